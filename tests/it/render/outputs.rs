//! Outputs of `watch` on the real engine: a container comes, a file of the user's own follows, and who reads it is told;
//! what that one refuses, or can't live with, goes again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::real::{IMAGE, Made, Program, docker, make_image, wait};
use crate::support::program::binary;

/// A program on the host that watches for the labels of this test alone, and a folder that the reader mounts.
struct Outputs {
    folder: tempfile::TempDir,
    reader: Made,
    program: Program,
}

/// Tells of each HUP, and ends where its file says so, then and when it starts.
const READER: &str = "look() { line=; read -r line < /etc/reader/list; case $line in *deadly*) exit 3;; esac; }; \
                      trap 'echo told; look' HUP; look; while :; do sleep 0.1; done";

/// nginx, as other tests have it.
const NGINX: &str = "quaymaster-example-nginx";

/// Refuses what begins with `bad`.
const CHECK: &str =
    "read -r line < /etc/reader/list; case $line in bad*) echo it is bad; exit 1;; esac";

/// A label that containers of one test alone bear.
fn label(test: &str) -> String {
    format!("outputs-test-{}-{test}", id())
}

/// A template with a first line, and then the containers of this test by a label.
fn template(test: &str, head: &str) -> String {
    let label = format!("'{}'", label(test));
    format!(
        "{head}\n{{% for c in containers if c.labels[{label}] %}}\n{{{{ c.labels[{label}] }}}} {{{{ c.env.PORT }}}} \
         {{{{ c.env.SECRET }}}}\n{{% endfor %}}\n"
    )
}

impl Outputs {
    fn start(what: &str, template: &str, policy: &str) -> Self {
        make_image();
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        fs::write(folder.path().join("list.tmpl"), template).unwrap();
        let mount = format!("{}:/etc/reader:ro", mounted.display());
        let name = format!("outputs-{what}");
        let options = [
            "--restart",
            policy,
            "--volume",
            &mount,
            "--env",
            "PORT=80",
            "--env",
            "SECRET=hush",
        ];
        let reader = Made::new(&name, &options, READER);
        let settings = format!(
            "ca = \"none\"\ntemplate-env = \"PORT\"\n[outputs.list]\ntemplate = \"{0}/list.tmpl\"\n\
             target = \"/etc/reader/list\"\nconsumer = \"{1}\"\nreload = \"HUP\"\ncheck = \"exec /bin/sh -c '{CHECK}'\"\n",
            folder.path().display(),
            reader.0
        );
        fs::write(folder.path().join("q.toml"), settings).unwrap();
        let program = Program(start(folder.path()));
        Self {
            folder,
            reader,
            program,
        }
    }

    fn out(&self) -> String {
        fs::read_to_string(self.path("mounted/list")).unwrap_or_default()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, template: &str) {
        fs::write(self.path("list.tmpl"), template).unwrap();
    }

    fn told(&self) -> usize {
        let log = docker(&["logs", &self.reader.0]);
        log.lines().filter(|line| *line == "told").count()
    }

    fn status(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.path("state/status.json"));
        text.map_or(serde_json::Value::Null, |text| {
            serde_json::from_str(&text).unwrap()
        })
    }

    /// Waits until nothing is left to tell, and the file is or is not as its template makes it.
    fn wait_for(&self, is_current: bool) {
        wait("it is at rest", || {
            let output = &self.status()["outputs"]["list"];
            output["current"] == is_current && output["owed"] == false
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Runs another command with the same settings.
    fn says(&self, command: &[&str]) -> (String, Option<i32>) {
        let output = words(self.folder.path()).args(command).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text, output.status.code())
    }
}

/// The beginning of the labels of the test in this folder: others run beside it, and see each other's containers.
fn prefix(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let name = name.trim_start_matches('.').to_ascii_lowercase();
    format!("outputs-test-{}-{name}", id())
}

fn words(folder: &Path) -> Command {
    let mut words = Command::new(binary());
    let prefix = prefix(folder);
    words
        .current_dir(folder)
        .args(["--config", "q.toml", "--label-prefix", &prefix, "--state"])
        .arg(folder.join("state"));
    words
}

fn start(folder: &Path) -> std::process::Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let child = words(folder)
        .arg("watch")
        .stderr(Stdio::from(log))
        .stdout(Stdio::null())
        .spawn();
    child.unwrap()
}

#[test]
fn an_output_follows_the_containers_its_reader_is_told_and_what_the_check_refuses_goes_again() {
    let outputs = Outputs::start("checked", &template("checked", "# one"), "no");
    wait("it is there at the start", || outputs.out() == "# one\n");
    wait("the reader is told", || outputs.told() == 1);
    let app = Made::new(
        "outputs-app",
        &[
            "--label",
            &format!("{}=app", label("checked")),
            "--env",
            "PORT=8080",
            "--env",
            "SECRET=hush",
        ],
        "while :; do sleep 0.1; done",
    );
    let with_app = "# one\napp 8080 \n";
    wait("a new container is in it, without its secrets", || {
        outputs.out() == with_app
    });
    wait("the reader is told", || outputs.told() == 2);
    outputs.wait_for(true);
    let (shown, _) = outputs.says(&["status"]);
    assert!(
        shown.contains("/etc/reader/list") && shown.contains("in place"),
        "{shown}"
    );
    let (plan, code) = outputs.says(&["plan"]);
    assert_eq!((plan.as_str(), code), ("# nothing to do\n", Some(0)));

    // What the reader's own tool refuses does not stay, and nobody is told of it.
    outputs.write(&template("checked", "bad"));
    outputs.wait_for(false);
    assert_eq!((outputs.out().as_str(), outputs.told()), (with_app, 2));
    let (shown, _) = outputs.says(&["status"]);
    assert!(
        shown.contains("outputs.list: ") && shown.contains("it is bad"),
        "{shown}"
    );
    let kept = fs::read_dir(outputs.path("mounted")).unwrap().count();
    assert_eq!(kept, 1, "nothing is left beside it");

    // A template that is broken is told with its line, and the file stays.
    outputs.write("{{ nosuch() }}");
    wait("it is told", || {
        outputs
            .status()
            .to_string()
            .contains("list.tmpl, line 1: unknown function")
    });
    assert_eq!(outputs.out(), with_app);
    let (plan, code) = outputs.says(&["plan"]);
    assert_eq!((plan.lines().count(), code), (1, Some(3)), "{plan}");
    outputs.write(&template("checked", "# two"));
    wait("it is mended", || outputs.out() == "# two\napp 8080 \n");
    wait("the reader is told", || outputs.told() == 3);
    drop(app);
    wait("a container that is gone is not in it", || {
        outputs.out() == "# two\n"
    });
    outputs.wait_for(true);
    assert_eq!(outputs.status()["complaints"], serde_json::json!([]));

    let mut outputs = outputs;
    let pid = Pid::from_raw(i32::try_from(outputs.program.0.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(outputs.program.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_ends_of_an_output_gets_back_what_was_there_before() {
    for policy in ["no", "always"] {
        let name = format!("deadly-{policy}");
        let outputs = Outputs::start(&name, &template(&name, "# one"), policy);
        outputs.wait_for(true);
        assert_eq!(outputs.out(), "# one\n");
        outputs.write(&template(&name, "deadly"));
        wait("it ends, and what was there before is back", || {
            outputs.log().contains("with the new file") && outputs.out() == "# one\n"
        });
        outputs.wait_for(false);
        // It runs with what it had, and is not told of the same again.
        if policy == "no" {
            docker(&["start", &outputs.reader.0]);
        }
        let words = ["inspect", "--format", "{{.State.Running}}"];
        let runs = || docker(&[&words[..], &[&outputs.reader.0]].concat()) == "true";
        wait("it runs", runs);
        outputs.write(&template(&name, "# two"));
        wait("what is good comes", || outputs.out() == "# two\n");
        outputs.wait_for(true);
        assert!(runs(), "{policy}");
    }
}

/// A block in this language of the section about outputs, by its number there.
fn written(language: &str, number: usize) -> String {
    let page = include_str!("../../../docs/templates.md");
    let section = page.split("\n## Files of your own\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let block = section.split(&fence).nth(number + 1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_outputs_of_the_docs_are_made_where_their_consumers_read_them() {
    make_image();
    let folder = tempfile::tempdir().unwrap();
    let (compose, here) = (written("yaml", 0), folder.path().display().to_string());
    // What the Compose file mounts where, as the program on this host sees it.
    for line in [
        "targets:/etc/prometheus/targets:ro",
        "edge:/etc/nginx/conf.d:ro",
    ] {
        assert!(compose.contains(line), "{compose}");
    }
    let settings = written("toml", 0).replace("/settings", &here);
    let names = ["prometheus", "proxy"].map(|word| format!("{word}-{}", id()));
    let settings = settings
        .replace("\"prometheus\"", &format!("{:?}", names[0]))
        .replace("\"proxy\"", &format!("{:?}", names[1]));
    let other_label = format!("prometheus-port-{}", id());
    let template = written("jinja", 0).replace("prometheus-port", &other_label);
    fs::write(
        folder.path().join("q.toml"),
        format!("ca = \"none\"\n{settings}"),
    )
    .unwrap();
    fs::write(folder.path().join("targets.json.tmpl"), template).unwrap();
    let other_backend = format!("labels['backend-{}']", id());
    let upstreams = written("jinja", 1).replace("labels.backend", &other_backend);
    fs::write(folder.path().join("upstreams.conf.tmpl"), upstreams).unwrap();
    let service = |name: &str| format!("com.docker.compose.service={name}");
    let mounts = [
        format!("{here}/targets:/etc/prometheus/targets:ro"),
        format!("{here}/edge:/etc/nginx/conf.d:ro"),
    ];
    for folder in ["targets", "edge"] {
        fs::create_dir(format!("{here}/{folder}")).unwrap();
    }
    let idle = "while :; do sleep 0.1; done";
    let labels = names.each_ref().map(|name| service(name));
    let _prometheus = Made::new(
        "readme-prometheus",
        &["--label", &labels[0], "--volume", &mounts[0]],
        idle,
    );
    let proxy = Made::of(
        "readme-proxy",
        &["--label", &labels[1], "--volume", &mounts[1]],
        &[NGINX],
    );
    let label = format!("{other_label}=9100");
    let shop = Made::new("readme-shop", &["--label", &label], idle);
    let backend = format!("backend-{}=8080", id());
    let name = format!("quaymaster-test-render-{}-backend", id());
    // With an address, which others here have none of.
    let run = ["run", "--detach", "--stop-timeout", "0", "--name", &name];
    let what = ["--label", &backend, IMAGE, "/bin/sh", "-c", idle];
    docker(&[&run[..], &what].concat());
    let _backend = Made(name);
    let _program = Program(start(folder.path()));

    let targets = || -> serde_json::Value {
        let text = fs::read_to_string(format!("{here}/targets/containers.json"));
        text.map_or(serde_json::Value::Null, |text| {
            serde_json::from_str(&text).unwrap()
        })
    };
    let target = format!("{}:9100", shop.0);
    wait("the targets are there", || {
        targets() == serde_json::json!([{"targets": [target]}])
    });
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait("nginx has looked at the upstreams, and was told", || {
        log().contains(&format!("{}: reloaded by SIGHUP", proxy.0))
    });
    let out = || fs::read_to_string(format!("{here}/edge/upstreams.conf")).unwrap();
    let before = out();
    assert!(
        before.starts_with("upstream backends {\n  server ") && before.ends_with(":8080;\n}\n"),
        "{before}"
    );
    fs::write(folder.path().join("upstreams.conf.tmpl"), "upstream {").unwrap();
    wait("nginx refuses", || log().contains("[emerg]"));
    wait("what was there before is back", || out() == before);
}

/// Starts watching with the reader's folder on a small disk, mounted where nobody else sees it.
fn start_on_small_disk(folder: &Path) -> Program {
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {} && exec \"$@\"",
        folder.join("mounted").display()
    );
    let log = fs::File::create(folder.join("log")).unwrap();
    let watching = words(folder);
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(watching.get_program())
        .args(watching.get_args())
        .arg("watch")
        .current_dir(folder)
        .stderr(Stdio::from(log))
        .spawn();
    Program(child.unwrap())
}

#[test]
fn on_a_full_disk_the_output_stays_and_that_is_told_until_there_is_room() {
    make_image();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display().to_string();
    fs::create_dir(format!("{here}/mounted")).unwrap();
    let mount = format!("{here}/mounted:/etc/reader:ro");
    let reader = Made::new(
        "outputs-full",
        &["--volume", &mount],
        "while :; do sleep 0.1; done",
    );
    let settings = format!(
        "ca = \"none\"\n[outputs.list]\ntemplate = \"{here}/list.tmpl\"\ntarget = \"/etc/reader/list\"\n\
         consumer = {:?}\n",
        reader.0
    );
    fs::write(folder.path().join("q.toml"), settings).unwrap();
    fs::write(folder.path().join("list.tmpl"), "# one\n\n").unwrap();
    let program = start_on_small_disk(folder.path());
    let disk = Path::new("/proc")
        .join(program.0.id().to_string())
        .join("root")
        .join(folder.path().strip_prefix("/").unwrap())
        .join("mounted");
    let out = || fs::read_to_string(disk.join("list")).unwrap_or_default();
    wait("it is there at the start", || out() == "# one\n");
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    std::io::copy(&mut std::io::repeat(b'x'), &mut filler).unwrap_err();
    drop(filler);
    fs::write(folder.path().join("list.tmpl"), "# two\n\n").unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait("it is told", || {
        log().contains("outputs.list: ") && log().contains("No space left on device")
    });
    assert_eq!(out(), "# one\n");
    let mut names: Vec<_> = fs::read_dir(&disk)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["filler", "list"], "nothing half-done is left");
    fs::remove_file(disk.join("filler")).unwrap();
    let pid = Pid::from_raw(i32::try_from(program.0.id()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    wait("there is room", || out() == "# two\n");
    wait("that is over", || {
        log().contains("resolved: outputs.list: ")
    });
}

#[test]
fn once_makes_outputs_of_the_certificates_that_it_has_just_delivered() {
    make_image();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display().to_string();
    for inner in ["mounted", "certs"] {
        fs::create_dir(format!("{here}/{inner}")).unwrap();
    }
    let mounts = [
        format!("{here}/mounted:/etc/reader:ro"),
        format!("{here}/certs:/certs:ro"),
    ];
    let labels = ["use=mqtt.example", "files=/certs", "reload=HUP"];
    let labels = labels.map(|label| format!("{}.{label}", prefix(folder.path())));
    let mut options = vec!["--volume", &mounts[0], "--volume", &mounts[1]];
    options.extend(labels.iter().flat_map(|label| ["--label", label]));
    let script = "trap 'echo told' HUP; while :; do sleep 0.1; done";
    let reader = Made::new("outputs-certificates", &options, script);
    let settings = format!(
        "ca = \"self-signed\"\n[outputs.list]\ntemplate = \"{here}/list.tmpl\"\ntarget = \"/etc/reader/list\"\n\
         consumer = {:?}\n",
        reader.0
    );
    let template = "{% for c in certificates if c.fullchain %}{{ c.names.first }} {{ c.fullchain }} {{ c.privkey }} \
                    {{ c.self_signed }}{% endfor %}";
    fs::write(folder.path().join("q.toml"), settings).unwrap();
    fs::write(folder.path().join("list.tmpl"), template).unwrap();
    let output = words(folder.path()).arg("once").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let out = fs::read_to_string(format!("{here}/mounted/list")).unwrap_or_default();
    let expected =
        "mqtt.example /certs/mqtt.example/fullchain.pem /certs/mqtt.example/privkey.pem True";
    assert_eq!(out, expected, "{log}");
}
