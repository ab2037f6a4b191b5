//! On the real engine: nginx looks at what is rendered for it before it is told.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::real::{Made, Program, docker, wait};

use crate::support::program::binary;

/// Made by `compose/images/build`.
const NGINX: &str = "quaymaster-example-nginx";

/// Started so that it writes when it is told.
const COMMAND: [&str; 4] = [
    NGINX,
    "nginx",
    "-g",
    "daemon off; error_log /dev/stderr notice;",
];
const TOLD: &str = "(SIGHUP) received";

/// A server with one more line.
fn server(line: &str) -> String {
    format!("server {{\n    listen 127.0.0.1:8080;\n    {line}\n}}")
}

/// nginx, reading `conf.d` of this folder. It has read it: what lies there for a moment later is not what it starts with.
fn nginx(what: &str, folder: &Path) -> Made {
    fs::create_dir(folder.join("conf.d")).unwrap();
    let volume = format!("{}:/etc/nginx/conf.d:ro", folder.join("conf.d").display());
    let nginx = Made::of(what, &["--volume", &volume], &COMMAND);
    wait("nginx runs", || {
        said_by(&nginx).contains("start worker process")
    });
    nginx
}

fn said_by(nginx: &Made) -> String {
    let Output { stdout, stderr, .. } = Command::new("docker")
        .args(["logs", &nginx.0])
        .output()
        .unwrap();
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

/// Number of its reloads.
fn reloads(nginx: &Made) -> usize {
    let text = said_by(nginx);
    assert!(
        !text.contains("[emerg]"),
        "it was told of what it refuses: {text}"
    );
    text.lines().filter(|line| line.contains(TOLD)).count()
}

/// `site.tmpl` to `site.conf`, which nginx reads, and `other.tmpl` beside it.
fn render(folder: &Path, nginx: &Made, check: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .args([
            "render",
            "--template",
            "site.tmpl",
            "--target",
            "conf.d/site.conf",
        ])
        .args(["--template", "other.tmpl", "--target", "conf.d/other.conf"])
        .args(["--check", &nginx.0, check, "--signal", &nginx.0, "HUP"]);
    command
}

/// The events about a file, in their order.
fn told_of<'a>(file: &str, log: &'a str) -> Vec<&'a str> {
    let of_it = log
        .lines()
        .filter(|line| line.contains(&format!("{file}: ")));
    of_it
        .filter_map(|line| {
            line.rsplit_once("event=")
                .map(|(_, event)| event.trim_matches('"'))
        })
        .collect()
}

#[test]
fn nginx_looks_at_what_is_rendered_before_it_is_told_and_what_it_refuses_does_not_stay() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    let nginx = nginx("nginx", folder);
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
    let site = || fs::read_to_string(folder.join("conf.d/site.conf")).unwrap_or_default();
    write("site.tmpl", &server("# one"));
    write("other.tmpl", "# one\n");
    let reloads = || reloads(&nginx);

    // What is good stays, and it is told.
    let Output { status, stderr, .. } = render(folder, &nginx, "nginx -t").output().unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(
        (status.code(), site()),
        (Some(0), server("# one")),
        "{told}"
    );
    assert_eq!(
        told_of("site.conf", &told),
        ["on-trial", "rendered"],
        "{told}"
    );
    wait("it reads that", || reloads() > 0);
    let before = reloads();

    // What is not goes, with what came with it: the old file is back, and the new one is no more.
    fs::remove_file(folder.join("conf.d/other.conf")).unwrap();
    write("site.tmpl", &server("nosuch_directive on;"));
    let Output { status, stderr, .. } = render(folder, &nginx, "nginx -t").output().unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(
        (status.code(), site()),
        (Some(3), server("# one")),
        "{told}"
    );
    assert!(
        told.contains("unknown directive \"nosuch_directive\" in /etc/nginx/conf.d/site.conf:3"),
        "{told}"
    );
    assert!(!folder.join("conf.d/other.conf").exists(), "{told}");
    for file in ["site.conf", "other.conf"] {
        assert_eq!(told_of(file, &told), ["on-trial", "put-back"], "{told}");
    }
    docker(&["exec", &nginx.0, "nginx", "-q", "-t"]);

    // Whoever watches goes on, asks once, and again when it is mended.
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut watching = render(folder, &nginx, "nginx -t");
    let _program = Program(
        watching
            .arg("--watch")
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap(),
    );
    let refusals = || {
        fs::read_to_string(folder.join("log"))
            .unwrap()
            .matches("check-failed")
            .count()
    };
    let put_back = || {
        let log = fs::read_to_string(folder.join("log")).unwrap();
        told_of("site.conf", &log).contains(&"put-back")
    };
    wait("it is refused, and what was there before is back", put_back);
    assert_eq!((site(), reloads()), (server("# one"), before));
    write("site.tmpl", &server("# two"));
    wait("it is mended", || {
        site() == server("# two") && reloads() > before
    });
    assert_eq!(refusals(), 1);
}

#[test]
fn what_a_kill_leaves_unchecked_is_checked_by_the_next_run() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    let nginx = nginx("killed", folder);
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
    let site = || fs::read_to_string(folder.join("conf.d/site.conf")).unwrap_or_default();
    write("other.tmpl", "# one\n");
    write("conf.d/site.conf", &server("# one"));
    for (line, code, stays) in [("nosuch_directive on;", 3, "# one"), ("# two", 0, "# two")] {
        write("site.tmpl", &server(line));
        let before = reloads(&nginx);
        let mut cut_off = Program(render(folder, &nginx, "sleep 600").spawn().unwrap());
        wait("it is being checked", || {
            folder.join("conf.d/other.conf").exists()
        });
        cut_off.0.kill().unwrap();
        cut_off.0.wait().unwrap();
        assert_eq!(site(), server(line), "nobody looked at it");

        let Output { status, stderr, .. } = render(folder, &nginx, "nginx -t").output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(
            (status.code(), site()),
            (Some(code), server(stays)),
            "{told}"
        );
        assert_eq!(
            told_of("site.conf", &told)[..2],
            ["cut-off", "on-trial"],
            "{told}"
        );
        assert_eq!(
            folder.join("conf.d/other.conf").exists(),
            code == 0,
            "{told}"
        );
        wait("it is told of what is good", || {
            reloads(&nginx) > before || code != 0
        });
        let names = fs::read_dir(folder.join("conf.d"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert!(
            names
                .into_iter()
                .all(|name| !name.to_string_lossy().starts_with('.')),
            "nothing is left beside them"
        );
    }
}
