//! The quickstart, as `compose/up` starts it from the very Compose file that people copy, on bad days. Both its sites
//! are asked all the time; no request may fail that the proxy's own stop does not explain.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, id},
    sync::Mutex,
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{
    client::Visitor,
    docker::{docker, is_so, logs, try_docker, wait},
    log::{self, Line},
    stack::{ECHO, MARK, SITE, SOON, in_volume, place, quaymaster_image, write_site_template},
    visits::{Visit, Visits, failures, shown},
};

const HELLO: &str = "hello.example";
const STATIC: &str = "static.example";

/// Requests for one site; what is shown by less is little, even on a busy machine.
const FEWEST: usize = 100;

/// The additions of a test to what people copy: a place for templates, and a log for machines.
const OVERRIDE: &str = "
services:
  quaymaster:
    environment: [QUAYMASTER_TEMPLATES=/templates, QUAYMASTER_LOG_FORMAT=json]
    volumes: [\"templates:/templates:ro\"]
volumes: {templates: }
";

/// The name of a copy of a stack; whatever was started under it is gone when the test ends.
pub struct Copy(pub String);

impl Copy {
    /// A copy of `compose/NAME` under a name of its own, started by `compose/up` with these settings.
    pub fn up(name: &str, settings: &[(&str, &str)]) -> Self {
        let copy = Self(format!("{MARK}-{}-{name}", id()));
        copy.again(name, settings);
        copy
    }

    /// Runs `compose/up NAME`, which must go well.
    pub fn again(&self, name: &str, settings: &[(&str, &str)]) {
        let image = quaymaster_image();
        let usual = [("QUAYMASTER_EXAMPLE_IMAGE", image.as_str())];
        let (is_up, said) = self.script(&["up", name], &[&usual, settings].concat());
        assert!(is_up, "{said}");
    }

    /// Runs `compose/up` or `compose/down`, or a `try`; whether it went well, and what it said.
    pub fn script(&self, words: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("compose")
            .join(words[0]);
        let mut command = Command::new(script);
        command
            .args(&words[1..])
            .env("QUAYMASTER_EXAMPLE_PROJECT", &self.0)
            .envs(settings.iter().copied());
        let output = command.output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    }

    /// The container of a service, or what the engine says instead.
    pub fn container(&self, service: &str) -> Result<String, String> {
        let of = |key: &str, value: &str| format!("label=com.docker.compose.{key}={value}");
        let [project, service] = [of("project", &self.0), of("service", service)];
        try_docker(&[
            "ps",
            "-aq",
            "--filter",
            &project,
            "--filter",
            &service,
            "--filter",
            &of("oneoff", "False"),
        ])
    }
}

impl Copy {
    /// The serial number of the certificate that a client in the stack is shown at an address for a name.
    pub fn serial_at(&self, at: &str, name: &str) -> Result<String, String> {
        let script = "openssl s_client -connect \"$1\" -servername \"$2\" </dev/null 2>/dev/null | openssl x509 -noout -serial";
        let pebble = self.container("pebble")?;
        try_docker(&["exec", &pebble, "sh", "-c", script, "sh", at, name])
    }

    /// Waits until a client is shown another certificate than this one; its serial number.
    #[track_caller]
    pub fn wait_for_another_than(&self, serial: &str, at: &str, name: &str) -> String {
        wait(
            2 * SOON,
            &format!("{at} shows another than {serial}"),
            || {
                let seen = self.serial_at(at, name)?;
                is_so(seen != serial, || seen.clone()).map(|()| seen)
            },
        )
    }

    /// The daemon's own status, once it is at rest and there is no problem.
    #[track_caller]
    pub fn wait_until_all_is_well(&self) -> Value {
        let quaymaster = self.container("quaymaster").unwrap();
        let words = [
            "exec",
            &quaymaster,
            "/quaymaster",
            "status",
            "--format",
            "json",
        ];
        wait(
            2 * SOON,
            "the daemon is at rest and nothing is wrong",
            || {
                let status: Value = serde_json::from_str(&try_docker(&words)?).unwrap();
                let is_empty = |key: &str| status[key].as_array().is_some_and(Vec::is_empty);
                let is_well =
                    status["at_rest"] == true && is_empty("failures") && is_empty("complaints");
                is_so(is_well, || status.to_string()).map(|()| status)
            },
        )
    }

    /// Number of times that a certificate was obtained from the CA.
    pub fn orders(&self, name: &str) -> usize {
        let said = logs(&self.container("quaymaster").unwrap());
        let obtained = format!(" {name}: certificate obtained from ");
        said.lines().filter(|line| line.contains(&obtained)).count()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let (is_down, said) = self.script(&["down"], &[]);
        if !is_down {
            eprintln!("{said}");
        }
    }
}

/// A copy of the quickstart beside all others, whose sites are visited until the end of the test.
struct Quickstart {
    copy: Copy,
    at: SocketAddr,
    visitor: Visitor,
    visits: Mutex<Option<Visits>>,
    /// The deeds of the test itself, and their times.
    deeds: Mutex<Vec<String>>,
    _place: File,
}

impl Quickstart {
    /// Starts it under a name of its own, and lets the visitors come.
    fn up(word: &str) -> Self {
        let place = place();
        let copy = Copy(format!("{MARK}-{}-{word}", id()));
        let [http, https] = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("override.yml");
        fs::write(&file, OVERRIDE).unwrap();
        let (is_up, said) = copy.script(
            &["up"],
            &[
                ("QUAYMASTER_EXAMPLE_HTTP_PORT", &http.to_string()),
                ("QUAYMASTER_EXAMPLE_HTTPS_PORT", &https.to_string()),
                ("QUAYMASTER_EXAMPLE_IMAGE", &quaymaster_image()),
                ("QUAYMASTER_EXAMPLE_OVERRIDE", &file.to_string_lossy()),
            ],
        );
        assert!(is_up, "{said}");
        let at = (Ipv4Addr::LOCALHOST, https).into();
        let visitor = Visitor::trusting(&docker(&[
            "exec",
            &copy.container("pebble").unwrap(),
            "pebble-root",
        ]));
        let visits = Mutex::new(Some(Visits::begin(visitor.clone(), at, &[HELLO, STATIC])));
        Self {
            copy,
            at,
            visitor,
            visits,
            deeds: Mutex::default(),
            _place: place,
        }
    }

    fn container(&self, service: &str) -> String {
        self.copy.container(service).unwrap()
    }

    fn volume(&self, what: &str) -> String {
        format!("{}_{what}", self.copy.0)
    }

    /// Runs the docker command, and keeps in mind when.
    fn does(&self, words: &[&str]) -> String {
        self.notes(&format!("begins: docker {}", words.join(" ")));
        let said = docker(words);
        self.notes(&format!("has done: docker {}", words.join(" ")));
        said
    }

    fn notes(&self, deed: &str) {
        self.deeds
            .lock()
            .unwrap()
            .push(format!("{} the test {deed}", shown(SystemTime::now())));
    }

    /// A third app, started as `compose/up` says.
    fn guest(&self, word: &str, labels: &[(&str, &str)]) {
        let (name, network) = (self.guest_name(word), format!("{}_default", self.copy.0));
        let mark = format!("quaymaster-example.stack={}", self.copy.0);
        let host = format!("{}.host={}", self.copy.0, host(word));
        let more: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{}.{key}={value}", self.copy.0))
            .collect();
        let more = more.iter().flat_map(|label| ["--label", label.as_str()]);
        let words = [
            "run",
            "-d",
            "--name",
            &name,
            "--network",
            &network,
            "--label",
            &mark,
            "--label",
            &host,
        ];
        self.does(&[&words[..], &more.collect::<Vec<_>>(), &[ECHO]].concat());
    }

    fn guest_goes(&self, word: &str) {
        self.does(&["rm", "-f", &self.guest_name(word)]);
    }

    fn guest_name(&self, word: &str) -> String {
        format!("{}-{word}", self.copy.0)
    }

    fn write_template(&self, what: &str, text: &str) {
        self.notes(&format!("writes a template {what}"));
        write_site_template(&self.volume("templates"), text);
    }

    /// Waits until a site is served by this edition of the template; `None` is the built-in one.
    #[track_caller]
    fn wait_for_edition(&self, host: &str, edition: Option<&str>) {
        wait(SOON, &format!("{host} is of edition {edition:?}"), || {
            let seen = self.edition(host)?;
            is_so(seen.as_deref() == edition, || format!("{seen:?}"))
        });
    }

    fn edition(&self, host: &str) -> Result<Option<String>, String> {
        Ok(self
            .visitor
            .https(self.at, host, "/")?
            .answer
            .header("X-Edition")
            .map(str::to_owned))
    }

    /// Waits until a third app is served, however often it must be tried.
    #[track_caller]
    fn wait_for_guest(&self, word: &str) {
        let host = host(word);
        wait(3 * SOON, &format!("{host} is served"), || {
            let answer = self.visitor.https(self.at, &host, "/")?.answer;
            is_so(answer.status == 200, || format!("{answer:?}"))
        });
    }

    fn log(&self) -> Vec<Line> {
        self.copy
            .container("quaymaster")
            .map(|quaymaster| log::lines(&logs(&quaymaster)))
            .unwrap_or_default()
    }

    /// Waits for one more event than there were, whose words hold a piece of text.
    #[track_caller]
    fn wait_for_another(&self, event: &str, piece: &str, before: usize) -> Line {
        wait(
            2 * SOON,
            &format!("event {event} about {piece:?} after {before} of them"),
            || {
                let lines = self.log();
                let found = log::about(&lines, event, piece)
                    .get(before)
                    .map(|line| (*line).clone());
                found.ok_or_else(|| format!("{:?}", lines.last()))
            },
        )
    }

    #[track_caller]
    fn wait_until_nothing_is_left_to_do(&self) {
        let quaymaster = self.container("quaymaster");
        wait(2 * SOON, "nothing is left to do", || {
            let plan = try_docker(&["exec", &quaymaster, "/quaymaster", "plan"])?;
            is_so(plan == "# nothing to do", || plan)
        });
    }

    /// Lets the visitors go. No request may have failed but during an outage of the proxy; else the test ends with all
    /// that failed among what happened meanwhile.
    #[track_caller]
    fn end(&self, outage: Option<&Outage>) {
        let visits = self
            .visits
            .lock()
            .unwrap()
            .take()
            .expect("it is ended once")
            .end();
        let is_explained =
            |visit: &&Visit| outage.is_some_and(|outage| outage.explains(visit, &visits));
        let wrong = failures(visits.iter().filter(|visit| !is_explained(visit)));
        let (failed, all) = (failures(&visits), visits.len());
        assert!(
            wrong.is_empty(),
            "{} of {all} requests failed without reason:\n{}",
            wrong.len(),
            self.story(failed)
        );
        for site in [HELLO, STATIC] {
            let seen: Vec<_> = visits.iter().filter(|visit| visit.site == site).collect();
            let length = seen
                .last()
                .unwrap()
                .began
                .duration_since(seen[0].began)
                .unwrap();
            // To be seen with --nocapture.
            println!(
                "{}: {} requests for {site} in {length:.1?}",
                self.copy.0,
                seen.len()
            );
            assert!(
                seen.len() > FEWEST,
                "only {} requests for {site}",
                seen.len()
            );
        }
        println!("{}: {} requests failed", self.copy.0, failed.len());
        assert_eq!(
            failed.is_empty(),
            outage.is_none(),
            "{}",
            self.story(failed)
        );
    }

    /// Requests that failed, what the test did, and what quaymaster says, in the order of time.
    fn story(&self, failures: Vec<String>) -> String {
        let told = self
            .log()
            .into_iter()
            .map(|line| format!("{} {}: {}", line.at, line.event, line.words));
        let deeds = self.deeds.lock().unwrap().clone();
        let mut story: Vec<_> = failures.into_iter().chain(deeds).chain(told).collect();
        story.sort();
        story.join("\n")
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let visits = self
            .visits
            .get_mut()
            .ok()
            .and_then(Option::take)
            .map(Visits::end);
        if let Some(visits) = visits.filter(|_| thread::panicking()) {
            eprintln!("--- {}\n{}", self.copy.0, self.story(failures(&visits)));
        }
    }
}

/// From just before the proxy is stopped to just before it is started.
struct Outage {
    stopped: SystemTime,
    started: SystemTime,
}

impl Outage {
    /// True if a request met it: it was under way after the stop, and began before any request was answered after the
    /// start.
    fn explains(&self, visit: &Visit, all: &[Visit]) -> bool {
        let answered = all
            .iter()
            .filter(|visit| visit.began >= self.started && visit.outcome.is_ok());
        let first_answer = answered.map(|visit| visit.ended).min();
        visit.ended >= self.stopped && first_answer.is_none_or(|first| visit.began <= first)
    }
}

/// Two ports that are free. Not of those that the system gives to whoever connects: visitors do that all the time, and
/// a proxy that is stopped leaves its port alone for a while.
pub fn free_ports() -> [u16; 2] {
    const FIRST: u32 = 20_000;
    static NEXT: Mutex<u32> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    [(); 2].map(|()| {
        loop {
            let port = u16::try_from(FIRST + (id() * 16 + *next) % 10_000).unwrap();
            *next += 1;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                break port;
            }
        }
    })
}

fn host(word: &str) -> String {
    format!("{word}.example")
}

/// The built-in template with a header that says which edition it is of, and more lines in each server.
fn edition(name: &str, more: &str) -> String {
    let server = "    server_name {{ host }};\n";
    SITE.replace(
        server,
        &format!("{server}    add_header X-Edition {name} always;\n{more}"),
    )
}

#[test]
fn the_quickstart_s_sites_are_served_whatever_a_user_s_template_is() {
    let quickstart = Quickstart::up("template");

    // One that is none: what was in use stays.
    quickstart.write_template("that does not end", &edition("one", "{% if host %}\n"));
    quickstart.wait_for_another("template-broken", "nginx/site.conf", 0);
    assert_eq!(
        [HELLO, STATIC].map(|site| quickstart.edition(site)),
        [Ok(None), Ok(None)]
    );

    // One that nginx refuses for one site: what was in use stays for all.
    let refused =
        "{% if host is startingwith \"static\" %}\n    nosuch_directive on;\n{% endif %}\n";
    quickstart.write_template("that nginx refuses for one site", &edition("two", refused));
    let is_refused = "refuses what your templates make";
    quickstart.wait_for_another("complaint", is_refused, 0);
    assert_eq!(
        [HELLO, STATIC].map(|site| quickstart.edition(site)),
        [Ok(None), Ok(None)]
    );
    quickstart.write_template("that is mended", &edition("two", ""));
    [HELLO, STATIC]
        .iter()
        .for_each(|site| quickstart.wait_for_edition(site, Some("two")));

    // One that it refuses for every site, and a new site meanwhile: what was in use serves that, too.
    quickstart.write_template(
        "that nginx refuses",
        &edition("three", "    nosuch_directive on;\n"),
    );
    quickstart.wait_for_another("complaint", is_refused, 1);
    quickstart.guest("late", &[]);
    quickstart.wait_for_edition(&host("late"), Some("two"));
    assert_eq!(
        [HELLO, STATIC].map(|site| quickstart.edition(site)),
        [Ok(Some("two".to_owned())), Ok(Some("two".to_owned()))]
    );

    quickstart.write_template("that is good", &edition("four", ""));
    [HELLO, STATIC, &host("late")]
        .iter()
        .for_each(|site| quickstart.wait_for_edition(site, Some("four")));
    quickstart.wait_until_nothing_is_left_to_do();
    quickstart.end(None);
}

#[test]
fn the_quickstart_s_sites_are_served_from_the_first_answer_of_a_proxy_that_was_stopped() {
    let quickstart = Quickstart::up("stopped");
    let proxy = quickstart.container("proxy");
    quickstart.wait_until_nothing_is_left_to_do();

    let stopped = SystemTime::now();
    quickstart.does(&["stop", &proxy]);
    // Something is to be done as soon as it is back.
    quickstart.guest("late", &[]);
    quickstart.wait_for_another("site-seen", &host("late"), 0);
    let started = SystemTime::now();
    quickstart.does(&["start", &proxy]);
    [HELLO, STATIC]
        .iter()
        .for_each(|site| drop(quickstart.visitor.wait_for_site(quickstart.at, site)));
    quickstart.wait_for_guest("late");
    quickstart.wait_until_nothing_is_left_to_do();
    // Nobody has anything to do now, and nothing fails any more.
    thread::sleep(Duration::from_secs(3));
    quickstart.end(Some(&Outage { stopped, started }));
}

#[test]
fn the_quickstart_s_sites_are_served_while_its_proxy_s_own_configuration_is_broken() {
    let quickstart = Quickstart::up("broken");
    let (proxy, quaymaster) = (
        quickstart.container("proxy"),
        quickstart.container("quaymaster"),
    );
    let edge = quickstart.volume("edge");
    quickstart.wait_until_nothing_is_left_to_do();
    let failed = || {
        log::about(
            &quickstart.log(),
            "failed",
            "the previous one, which was restored",
        )
        .len()
    };

    // A file of the user's own beside ours.
    quickstart.notes("breaks own.conf");
    in_volume(&edge, "echo \"$1\" > /at/own.conf", "nosuch_directive on;");
    quickstart.guest("late", &[]);
    quickstart.wait_for_another("failed", "the previous one, which was restored", 0);
    quickstart.notes("mends own.conf");
    in_volume(&edge, "echo \"$1\" > /at/own.conf", "# it is empty now");
    quickstart.wait_for_guest("late");

    // The file that nginx reads first, and quaymaster begins its work with that.
    quickstart.does(&["stop", &quaymaster]);
    let edit = |script: &str| {
        quickstart.does(&["exec", &proxy, "sed", "-i", script, "/etc/nginx/nginx.conf"])
    };
    edit("1i nosuch_directive on;");
    quickstart.guest("later", &[]);
    let before = failed();
    quickstart.does(&["start", &quaymaster]);
    quickstart.wait_for_another("failed", "the previous one, which was restored", before);
    edit("1d");
    quickstart.wait_for_guest("later");
    assert_eq!(
        log::about(&quickstart.log(), "complaint", "refuses").len(),
        0,
        "no site is to blame"
    );
    quickstart.wait_until_nothing_is_left_to_do();
    quickstart.end(None);
}

/// A thing that happens to a third app.
enum Deed {
    Comes(&'static str),
    Changes(&'static str),
    Goes(&'static str),
}

#[test]
fn the_quickstart_s_sites_are_served_though_quaymaster_is_killed_ten_times_while_others_come_change_and_go()
 {
    use Deed::{Changes, Comes, Goes};
    const DEEDS: [Deed; 10] = [
        Comes("one"),
        Comes("two"),
        Changes("one"),
        Goes("two"),
        Comes("three"),
        Changes("three"),
        Goes("one"),
        Comes("two"),
        Changes("two"),
        Goes("three"),
    ];
    let quickstart = Quickstart::up("killed");
    let quaymaster = quickstart.container("quaymaster");
    let changed = [("body-size", "10m"), ("tls", "both")];
    for (deed, round) in DEEDS.iter().zip(0..) {
        match deed {
            Comes(word) => quickstart.guest(word, &[]),
            Changes(word) => {
                quickstart.guest_goes(word);
                quickstart.guest(word, &changed);
            }
            Goes(word) => quickstart.guest_goes(word),
        }
        // Somewhere in what it does about that, another place each time.
        thread::sleep(Duration::from_millis(40 + 110 * round));
        quickstart.does(&["kill", "-s", "KILL", &quaymaster]);
        quickstart.does(&["start", &quaymaster]);
    }
    // An order that was cut off twice pauses for minutes, unless somebody insists.
    let insists = [
        "exec",
        &quaymaster,
        "/quaymaster",
        "renew",
        "--force",
        &host("two"),
    ];
    quickstart.does(&insists);
    quickstart.wait_for_guest("two");
    wait(
        2 * SOON,
        "what changed is served, and what went is not",
        || {
            // The site of one that went may be kept for some minutes, and leads nowhere then.
            let folder = docker(&[
                "exec",
                &quickstart.container("proxy"),
                "sh",
                "-c",
                "grep -l proxy_pass /etc/nginx/conf.d/*.conf",
            ]);
            let files = ["one", "two", "three"]
                .map(|word| folder.contains(&format!("quaymaster-{}.conf", host(word))));
            is_so(files == [false, true, false], || folder)
        },
    );
    quickstart.wait_until_nothing_is_left_to_do();
    quickstart.end(None);
}
