//! `check` on engines that do not let everything pass: what is forbidden is found by trying, and told with its call. And
//! what it and `status` say of labels that ask for little, or can't be followed.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is started as users start it"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    disk::{World, serve},
    support::fake_engine::{Fake, Reply, local},
};
use quaymaster::{
    adapters::{acme, disk::Folders},
    ports::Accounts,
    values::{KeyType, Secret},
};
use serde_json::{Value, json};

use crate::support::program::binary;

/// For what is done at once, on a machine that is busy; the CA that can't be reached is refused at once, too.
const SOON: Duration = Duration::from_secs(30);

/// A CA that is not there.
const NOBODY: &str = "https://127.0.0.1:1/directory";

/// An engine without containers behind a filter that forbids what begins like this.
fn filtered(denied: &'static [&'static str]) -> Fake {
    Fake::start(move |line| match line.split(['?', ' ']).nth(1).unwrap() {
        _ if denied.iter().any(|call| line.starts_with(call)) => {
            Reply::new(403, "<html>Forbidden</html>")
        }
        // Without a date: the fake's own is one of long ago, which would be told.
        "/_ping" => Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
        "/version" => Reply::new(200, r#"{"Version": "99.1", "ApiVersion": "1.99"}"#),
        "/events" => Reply::stream(&[]).then_hangs(),
        "/containers/json" => Reply::new(200, "[]"),
        _ => Reply::new(404, r#"{"message": "No such container"}"#),
    })
}

/// Runs `check --format json` on it.
async fn check(fake: &Fake, folder: &Path) -> (Option<i32>, Value) {
    let (code, out) = run(fake, folder, &["check", "--format", "json"]).await;
    (code, serde_json::from_str(&out).unwrap())
}

/// Runs a command on it, with state in a folder and a CA that can't be reached; returns its exit code and what it
/// printed.
async fn run(fake: &Fake, folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    run_as(
        fake,
        folder,
        &[words, &["--agree-tos", "--ca", NOBODY]].concat(),
    )
    .await
}

/// The same without a word about the CA.
async fn run_as(fake: &Fake, folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    fs::create_dir_all(folder.join("state")).unwrap();
    let out = folder.join("out");
    let mut program = Command::new(binary())
        .env_clear()
        .args(words)
        .arg("--engine")
        .arg(&fake.socket)
        .arg("--state")
        .arg(folder.join("state"))
        .stdout(File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = program.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > SOON {
            program.kill().unwrap();
            panic!("it does not end");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    (status.code(), fs::read_to_string(out).unwrap())
}

/// The problems with the engine.
fn problems(told: &Value) -> Vec<&str> {
    let findings = told["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["about"] == "engine" && finding["state"] == "problem")
        .map(|finding| finding["says"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_engine_that_lets_everything_pass_is_no_problem_and_nobody_gets_a_signal() {
    local(async {
        let fake = filtered(&[]);
        let folder = tempfile::tempdir().unwrap();
        let (code, told) = check(&fake, folder.path()).await;
        assert_eq!(problems(&told), [""; 0], "{told}");
        assert_eq!(code, Some(0), "{told}");
        assert!(told.to_string().contains("99.1, API 1.99"), "{told}");
        let seen = fake.seen.borrow();
        let posts: Vec<_> = seen
            .iter()
            .filter(|line| line.starts_with("POST"))
            .collect();
        assert_eq!(posts.len(), 1, "{posts:?}");
        assert!(
            posts[0].contains(&format!("/containers/{}/kill", "0".repeat(64))),
            "{posts:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn each_call_that_a_socket_proxy_forbids_is_named() {
    local(async {
        for (denied, named, code) in [
            (&["POST"][..], &["POST /containers/{id}/kill"][..], 3),
            (&["GET /events"], &["GET /events"], 3),
            (&["GET /containers/0"], &["GET /containers/{id}/json"], 3),
            (
                &["POST", "GET /containers/json"],
                &["GET /containers/json", "POST /containers/{id}/kill"],
                4,
            ),
            (&["GET /_ping"], &["GET /_ping"], 4),
            // Nothing but this command asks for it.
            (&["GET /version"], &[], 0),
            // Nothing fails without it.
            (&["GET /images"], &[], 0),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (exit, told) = check(&filtered(denied), folder.path()).await;
            let problems = problems(&told);
            assert_eq!(
                (exit, problems.len()),
                (Some(code), named.len()),
                "{denied:?}: {told:#}"
            );
            for call in named {
                let says = format!("`{call}` is forbidden");
                assert!(
                    problems.iter().any(|problem| problem.starts_with(&says)),
                    "{call}: {problems:?}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_setting_self_that_is_wrong_is_a_problem_and_a_complaint() {
    local(async {
        let (fake, folder) = (filtered(&[]), tempfile::tempdir().unwrap());
        // This machine runs the program itself: no container can be ours.
        let (_, out) = run(
            &fake,
            folder.path(),
            &["check", "--format", "json", "--self", "nobody"],
        )
        .await;
        let told: Value = serde_json::from_str(&out).unwrap();
        let findings = told["findings"].as_array().unwrap();
        let problem = findings
            .iter()
            .find(|finding| finding["about"] == "ourselves")
            .unwrap();
        assert_eq!(problem["state"], "problem");
        assert!(
            problem["says"]
                .as_str()
                .unwrap()
                .contains("the setting self says \"nobody\""),
            "{problem}"
        );
        assert!(
            problem["remedy"]
                .as_str()
                .is_some_and(|remedy| !remedy.is_empty()),
            "{problem}"
        );

        assert_eq!(
            run(&fake, folder.path(), &["once", "--self", "nobody"])
                .await
                .0,
            Some(3)
        );
        let (_, status) = run(&fake, folder.path(), &["status"]).await;
        assert!(
            status.contains("setting self") && status.contains("there is no such container"),
            "{status}"
        );
        assert_eq!(run(&fake, folder.path(), &["once"]).await.0, Some(0));
        let (_, status) = run(&fake, folder.path(), &["status"]).await;
        assert!(!status.contains("setting self"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn a_record_of_templates_that_is_damaged_is_told_and_written_anew() {
    local(async {
        let (fake, folder) = (filtered(&[]), tempfile::tempdir().unwrap());
        let record = folder.path().join("state/templates.json");
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(&record, "{").unwrap();
        let (_, told) = check(&fake, folder.path()).await;
        assert!(told.to_string().contains("templates.json"), "{told}");
        assert_eq!(run(&fake, folder.path(), &["once"]).await.0, Some(0));
        assert_eq!(fs::read_to_string(&record).unwrap().trim(), "[]");
        let (code, told) = check(&fake, folder.path()).await;
        assert!(!told.to_string().contains("templates.json"), "{told}");
        assert_eq!(code, Some(0), "{told}");
    })
    .await;
}

#[tokio::test]
async fn where_no_ca_is_asked_there_are_no_terms_to_agree_to() {
    local(async {
        let (fake, folder) = (filtered(&[]), tempfile::tempdir().unwrap());
        for (ca, code) in [(NOBODY, 2), ("self-signed", 0), ("none", 0)] {
            assert_eq!(
                run_as(&fake, folder.path(), &["once", "--ca", ca]).await.0,
                Some(code),
                "{ca}"
            );
        }
    })
    .await;
}

/// A container on the network `web`, as inspect tells it.
fn container(id: &str, labels: &Value, ports: &[&str], mounts: &Value) -> Value {
    let exposed: Value = ports
        .iter()
        .map(|port| ((*port).to_owned(), json!({})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "Id": id, "Name": format!("/{id}"), "Created": "2026-11-22T18:46:08Z",
        "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-22T18:46:08Z"},
        "Config": {"Labels": labels, "ExposedPorts": exposed},
        "NetworkSettings": {"Networks": {"web": {"NetworkID": "n1", "IPAddress": ""}}},
        "Mounts": mounts,
    })
}

fn bind(source: &Path, destination: &str, writable: bool) -> Value {
    json!({"Type": "bind", "Source": source, "Destination": destination, "RW": writable})
}

/// An engine with a proxy and an app that has these labels and exposes these ports.
fn serving(config: &Path, labels: &Value, ports: &[&str]) -> Fake {
    let mounts = json!([bind(config, "/etc/nginx/conf.d", true)]);
    let proxy = json!({"quaymaster.kind": "nginx"});
    with(vec![
        container("proxy", &proxy, ports, &mounts),
        container("shop", labels, ports, &json!([])),
    ])
}

/// An engine with these containers.
fn with(containers: Vec<Value>) -> Fake {
    Fake::start(move |line| match line.split(['?', ' ']).nth(1).unwrap() {
        "/_ping" => Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
        "/events" => Reply::stream(&[]).then_hangs(),
        "/containers/json" => {
            let listed = containers
                .iter()
                .map(|it| json!({"Id": it["Id"], "Labels": it["Config"]["Labels"], "State": {}}));
            Reply::new(200, Value::from(listed.collect::<Vec<_>>()).to_string())
        }
        _ if line.starts_with("POST") => Reply::new(204, ""),
        path => {
            let is_it =
                |it: &&Value| path == format!("/containers/{}/json", it["Id"].as_str().unwrap());
            match containers.iter().find(is_it) {
                Some(found) => Reply::new(200, found.to_string()),
                None => Reply::new(404, r#"{"message": "No such container"}"#),
            }
        }
    })
}

/// The findings about a subject, each with its remedy.
fn found<'t>(told: &'t Value, about: &str, state: &str) -> Vec<(&'t str, &'t str)> {
    let findings = told["findings"].as_array().unwrap().iter();
    let text = |value: &'t Value| value.as_str().unwrap_or_default();
    findings
        .filter(|finding| finding["about"] == about && finding["state"] == state)
        .map(|finding| (text(&finding["says"]), text(&finding["remedy"])))
        .collect()
}

#[tokio::test]
async fn that_labels_of_images_can_not_be_told_apart_is_a_note_with_the_call() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let (_, told) = check(&filtered(&["GET /images"]), folder.path()).await;
        let notes = found(&told, "engine", "note");
        let is_it = |(says, remedy): &&(&str, &str)| {
            says.starts_with("`GET /images/{id}/json` is forbidden")
                && remedy.contains("socket proxy")
        };
        assert_eq!(notes.iter().filter(is_it).count(), 1, "{told:#}");
    })
    .await;
}

#[tokio::test]
async fn a_planted_token_and_whoever_could_plant_one_or_overwrite_a_certificate_are_found() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let (edge, webroot) = (folder.path().join("edge"), folder.path().join("webroot"));
        let certificates = folder.path().join("certificates");
        let challenges = webroot.join(".well-known/acme-challenge");
        for path in [&edge, &challenges, &certificates] {
            fs::create_dir_all(path).unwrap();
        }
        let of = |project: &str, kind: Option<&str>| {
            let mut labels = json!({"com.docker.compose.project": project});
            kind.into_iter()
                .for_each(|kind| labels["quaymaster.kind"] = kind.into());
            labels
        };
        let proxy_mounts = json!([
            bind(&edge, "/etc/nginx/conf.d", false),
            bind(&webroot, "/challenge", false)
        ]);
        let fake = with(vec![
            container("proxy", &of("edge", Some("nginx")), &[], &proxy_mounts),
            container(
                "blog",
                &of("blog", None),
                &[],
                &json!([bind(&webroot, "/w", true)]),
            ),
            container(
                "backup",
                &of("backup", None),
                &[],
                &json!([bind(folder.path(), "/all", true)]),
            ),
            container(
                "reader",
                &of("blog", None),
                &[],
                &json!([bind(&certificates, "/c", false)]),
            ),
            container(
                "trusted",
                &of("helper", None),
                &[],
                &json!([bind(&certificates, "/c", true)]),
            ),
        ]);
        let (path, at) = (folder.path(), |path: &Path| {
            path.to_str().unwrap().to_owned()
        });
        let [webroot, certificates] = [&webroot, &certificates].map(|path| at(path));
        let words = [
            "check",
            "--format",
            "json",
            "--ca",
            "self-signed",
            "--webroot",
            &webroot,
            "--certificates",
            &certificates,
            "--grants",
            "edge = \"proxy\"\nhelper = \"keys\"",
        ];
        let (_, out) = run_as(&fake, path, &words).await;
        let told: Value = serde_json::from_str(&out).unwrap();
        let says: Vec<_> = found(&told, "writers", "problem")
            .into_iter()
            .map(|(says, _)| says)
            .collect();
        let expected = [
            "backup can write to certificates at /all/certificates",
            "blog can write to webroot at /w",
            "backup can write to webroot at /all/webroot",
        ];
        assert_eq!(says.len(), expected.len(), "{says:?}");
        for beginning in expected {
            assert!(
                says.iter().any(|says| says.starts_with(beginning)),
                "{beginning}: {says:?}"
            );
        }
        // It does what it can: a token of its own account.
        fs::write(challenges.join("planted"), "planted.of-another-account").unwrap();
        let (code, out) = run_as(&fake, path, &words).await;
        let told: Value = serde_json::from_str(&out).unwrap();
        let problems = found(&told, "writers", "problem");
        assert_eq!(
            (code, problems.len()),
            (Some(3), expected.len() + 1),
            "{told:#}"
        );
        let token = at(&challenges.join("planted"));
        assert!(
            problems
                .iter()
                .any(|(says, remedy)| says.starts_with(&token)
                    && remedy.contains(&format!("rm {token}"))),
            "{problems:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_server_that_names_other_files_than_it_is_given_or_can_not_read_them_is_told() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        fs::create_dir_all(&certs).unwrap();
        let labels = json!({"quaymaster.kind": "mosquitto", "quaymaster.use": "mqtt.example", "quaymaster.owner": "33"});
        let mut broker = container("mqtt", &labels, &[], &json!([bind(&certs, "/mosquitto/certs", false)]));
        broker["Config"]["User"] = "101".into();
        broker["Path"] = "mosquitto".into();
        broker["Args"] = json!(["--cert", "/mosquitto/certs/server.crt", "--key", "/mosquitto/certs/privkey.pem"]);
        let words = ["check", "--format", "json", "--ca", "self-signed"];
        let (_, out) = run_as(&with(vec![broker]), folder.path(), &words).await;
        let told: Value = serde_json::from_str(&out).unwrap();
        let named = found(&told, "names of files", "problem");
        assert_eq!(named.len(), 1, "{told:#}");
        assert!(
            named[0].0.starts_with("mqtt: its command names /mosquitto/certs/server.crt, which does not exist; it gets ")
                && named[0].1.contains("quaymaster.layout"),
            "{named:?}"
        );
        let folders = found(&told, "folders", "problem");
        let is_it = |(says, remedy): &&(&str, &str)| {
            says.contains("who can't read its keys in /mosquitto/certs") && remedy.contains("quaymaster.owner=101")
        };
        assert_eq!(folders.iter().filter(is_it).count(), 1, "{folders:?}");
    })
    .await;
}

#[tokio::test]
async fn only_cas_that_somebody_asks_are_a_problem_when_they_can_not_be_reached() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        for (setting, label, state, words) in [
            (NOBODY, None, "problem", "can't be reached"),
            (
                NOBODY,
                Some("self-signed"),
                "note",
                "; no certificate needs it now",
            ),
            (
                NOBODY,
                Some("none"),
                "note",
                "; no certificate needs it now",
            ),
            (
                "self-signed",
                None,
                "note",
                "no certificate needs a CA, and the setting ca names none",
            ),
        ] {
            let mut labels = json!({"quaymaster.host": "shop.example"});
            label
                .into_iter()
                .for_each(|ca| labels["quaymaster.ca"] = ca.into());
            let fake = serving(&folder.path().join("edge"), &labels, &["8080/tcp"]);
            let (_, out) = run_as(
                &fake,
                folder.path(),
                &["check", "--format", "json", "--ca", setting],
            )
            .await;
            let told: Value = serde_json::from_str(&out).unwrap();
            let mut findings = told["findings"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|finding| finding["about"] == "CA");
            let (Some(finding), None) = (findings.next(), findings.next()) else {
                panic!("not one: {told:#}")
            };
            assert!(
                finding["state"] == state && finding["says"].as_str().unwrap().contains(words),
                "{finding}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_of_passwords_that_is_not_there_is_told_until_it_is() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let (edge, ca) = (folder.path().join("edge"), ["--ca", "self-signed"]);
        fs::create_dir(&edge).unwrap();
        let file = "/etc/nginx/conf.d/secret/htpasswd";
        let labels = json!({"quaymaster.host": "shop.example", "quaymaster.auth": file});
        let fake = serving(&edge, &labels, &["8080/tcp"]);
        let here = edge.join("secret/htpasswd");
        let words = format!(
            "there is no such file in proxy: quaymaster sees none at {}",
            here.display()
        );
        for is_told in [true, false] {
            let once = run_as(&fake, folder.path(), &["once", ca[0], ca[1]]).await;
            assert_eq!(once.0, Some(if is_told { 3 } else { 0 }));
            for command in ["check", "status"] {
                let words_of = [command, "--format", "json", ca[0], ca[1]];
                let (_, told) = run_as(&fake, folder.path(), &words_of).await;
                assert_eq!(told.contains(&words), is_told, "{command}: {told}");
            }
            fs::create_dir_all(here.parent().unwrap()).unwrap();
            fs::write(&here, "").unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_e_mail_address_that_the_ca_refuses_is_a_problem_as_long_as_it_is_set() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let refused = json!({"email": "ops@corp.example", "problem": "no such domain"});
        let account = json!({"url": format!("{NOBODY}/1"), "key": "", "refused": refused});
        Folders::new(state.join("certificates"), state, |_| ())
            .keep_account(NOBODY, &Secret::new(account.to_string()))
            .unwrap();
        let labels = json!({"quaymaster.host": "shop.example"});
        let fake = serving(&folder.path().join("edge"), &labels, &["8080/tcp"]);
        for (email, is_told) in [("ops@corp.example", true), ("ops@corp.test", false)] {
            let words = ["check", "--format", "json", "--email", email];
            let (_, told) = run(&fake, folder.path(), &words).await;
            let words = "label setting email: https://127.0.0.1:1/directory does not accept it";
            assert_eq!(told.contains(words), is_told, "{email}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_kept_says_whose_complaint_holds_it_up() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let labels = json!({"quaymaster.host": "shop.example"});
        for (ports, expected) in [
            (&["8080/tcp"][..], "shop.example  valid "),
            (
                &["8080/tcp", "9090/tcp"],
                "shop.example  kept while the complaint about shop stands ",
            ),
        ] {
            let fake = serving(&folder.path().join("edge"), &labels, ports);
            run_as(&fake, folder.path(), &["once", "--ca", "self-signed"]).await;
            let (_, status) = run_as(&fake, folder.path(), &["status"]).await;
            assert!(status.contains(expected), "{status}");
        }
    })
    .await;
}

/// Runs a command in the world of another test, whose threads answer meanwhile.
async fn ended(words: Vec<String>) -> (Option<i32>, Value) {
    let run = move || {
        let mut command = Command::new(&words[0]);
        command.env_clear().args(&words[1..]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_default())
}

#[tokio::test]
async fn each_name_is_looked_at_as_a_ca_would_and_no_ca_hears_of_it() {
    local(async {
        let world = World::new().await;
        // The first order fails, and its proxy has its site.
        let mut once = world.words("once");
        once.retain(|word| !word.starts_with("--ca="));
        once.push(format!("--ca={NOBODY}"));
        assert_eq!(ended(once).await.0, Some(3));
        // The look asks port 80, which others on 127.0.0.1 may have.
        let [_, _, b, c] = std::process::id().to_be_bytes();
        let [theirs, ours] = [100, 101].map(|a| Ipv4Addr::new(127, a, b, c.clamp(1, 254)));
        for (at, folder) in [(theirs, "elsewhere"), (ours, "conf.d/challenge")] {
            let listener = tokio::net::TcpListener::bind((at, 80)).await.unwrap();
            tokio::task::spawn_local(serve(listener, world.path(folder)));
        }
        let leads_to = async |at: Ipv4Addr| {
            let there = json!({"host": "shop.example", "addresses": [at]});
            // It would be one more of its addresses.
            world.pebble.dns_says("/clear-a", &there.to_string()).await;
            world.pebble.dns_says("/add-a", &there.to_string()).await;
        };
        let mut check = world.words("check");
        check.retain(|word| !word.starts_with("--log"));
        check.push(format!("--resolver={}", world.pebble.dns()));
        check.push("--format=json".to_owned());
        let looked = async || {
            let (_, told) = ended(check.clone()).await;
            let found = told["findings"].as_array().unwrap().iter();
            let found = found.filter(|finding| finding["about"] == "names");
            let words = |it: &Value| (it["state"].clone(), it["says"].as_str().unwrap().to_owned());
            found.map(words).collect::<Vec<_>>()
        };
        leads_to(theirs).await;
        let found = looked().await;
        let [(state, says)] = &*found else {
            panic!("{found:?}")
        };
        assert_eq!(state, "problem", "{says}");
        let begin = "no CA would validate shop.example: ";
        assert!(
            says.starts_with(begin) && says.contains(&theirs.to_string()),
            "{says}"
        );
        leads_to(ours).await;
        let found = looked().await;
        let seen = "as far as seen from here, a CA would find that 1 of them lead to this machine";
        assert_eq!(found, [(json!("ok"), seen.to_owned())]);
        let responses = world.path("conf.d/challenge/.well-known/acme-challenge");
        assert_eq!(fs::read_dir(responses).unwrap().count(), 0, "nothing stays");
        let requests = world.pebble.requests();
        assert!(
            requests.iter().all(|line| line.contains("/dir")),
            "{requests:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_thumbprint_that_a_server_has_to_answer_by_is_told_and_that_there_is_no_account_yet() {
    local(async {
        let fake = filtered(&[]);
        let folder = tempfile::tempdir().unwrap();
        let told = async |words: &[&str]| {
            let words = [&["check", "--format", "json"], words].concat();
            let (_, out) = run(&fake, folder.path(), &words).await;
            serde_json::from_str::<Value>(&out).unwrap()
        };
        let says = |told: &Value, state| {
            let found = found(told, "thumbprint", state);
            found
                .iter()
                .map(|(says, _)| (*says).to_owned())
                .collect::<Vec<_>>()
        };
        let none = told(&["--thumbprint=on"]).await;
        let expected = format!(
            "there is no account at {NOBODY} yet by whose thumbprint a server could answer"
        );
        assert_eq!(says(&none, "problem"), [expected], "{none}");

        let key = acme::new_key(KeyType::Ec256).unwrap();
        let account = json!({"url": "https://127.0.0.1:1/account/1", "key": key.expose()});
        let account = Secret::new(account.to_string());
        let thumbprint = acme::thumbprint(&account).unwrap();
        let state = folder.path().join("state");
        let folders = Folders::new(state.join("certificates"), state, |_| ());
        folders.keep_account(NOBODY, &account).unwrap();
        let one = told(&["--thumbprint=on"]).await;
        let expected = format!("the server has to answer by {thumbprint} for {NOBODY}");
        assert_eq!(says(&one, "ok"), [expected], "{one}");
        assert_eq!(says(&one, "problem"), [""; 0], "{one}");
        let off = told(&[]).await;
        assert!(!off.to_string().contains(&thumbprint), "{off}");
    })
    .await;
}
