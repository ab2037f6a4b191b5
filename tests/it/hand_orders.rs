//! Certificates by commands, as users start them: against Pebble, with nginx as the web server of the names.
#![expect(
    clippy::disallowed_methods,
    reason = "the program, nginx and openssl are started as users start them"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::{
    by_hand::{Hand, Holding, exposed, openssl},
    support::{
        knot::{KEY, KEY_NAME, Knot},
        pebble::{Behaviour, Pebble},
        program::binary,
    },
};

/// nginx that shows the files of a folder for every name, ended when dropped.
struct Web {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Web {
    fn start() -> Self {
        Self::start_at(None)
    }

    /// The same, shown at port 80 of this address, too.
    fn start_at(other: Option<Ipv4Addr>) -> Self {
        // A port that was free when asked may be another's by the time it is used.
        let mut tries = (0..5).filter_map(|_| Self::try_start(other));
        tries.next().expect("nginx starts within five tries")
    }

    fn try_start(other: Option<Ipv4Addr>) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = tempfile::tempdir().unwrap();
        // Its workers read there as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = folder.path().display();
        let config = folder.path().join("nginx.conf");
        let other = other.map(|at| format!("listen {at}:80; listen {at}:{port};"));
        let other = other.unwrap_or_default();
        let text = format!(
            "daemon off; pid {at}/pid; events {{}} http {{ access_log off; client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; \
             fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5; \
             server {{ listen 127.0.0.1:{port}; {other} root {at}/root; }} }}"
        );
        fs::write(&config, text).unwrap();
        let log = folder.path().join("error.log");
        let mut nginx = Command::new("nginx");
        let nginx = nginx.arg("-e").arg(log).arg("-c").arg(config);
        let child = nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut started = Self {
            child: child.expect("nginx is installed"),
            folder,
            port,
        };
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(started);
            }
            if !matches!(started.child.try_wait(), Ok(None)) {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// The folder that it shows.
    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The responses that lie there.
    fn responses(&self) -> Vec<PathBuf> {
        let folder = self.root().join(".well-known/acme-challenge");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Puts there what a command has asked for.
    fn follow(&self, tasks: &Value) {
        for task in tasks.as_array().unwrap() {
            let path = task["path"].as_str().unwrap().trim_start_matches('/');
            let path = self.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, task["content"].as_str().unwrap()).unwrap();
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // So that its workers end, too.
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A web server, a CA that looks there, and a folder with an account.
fn stage() -> (Web, Pebble, Hand) {
    let web = Web::start();
    let pebble = Pebble::start(web.port, Behaviour::default());
    let hand = Hand::at(&pebble);
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    (web, pebble, hand)
}

/// The exit code of a command, and its output as JSON.
fn told(hand: &Hand, words: &[&str]) -> (Option<i32>, Value) {
    let (code, told, log) = hand.run(&[words, &["--format=json"]].concat());
    let read = serde_json::from_str(&told);
    (
        code,
        read.unwrap_or_else(|error| panic!("{error}: {told}{log}")),
    )
}

fn orders(pebble: &Pebble) -> usize {
    let requests = pebble.requests();
    requests
        .iter()
        .filter(|line| line.contains("order-plz"))
        .count()
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Checks by openssl that a key is that of a certificate.
fn assert_fits(certificate: &Path, key: &Path) {
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let of_certificate = openssl(&["x509", "-noout", "-pubkey", "-in", &certificate]);
    assert_eq!(of_certificate, openssl(&["pkey", "-pubout", "-in", &key]));
}

#[test]
fn a_first_certificate_is_obtained_step_by_step_on_one_order() {
    let (web, pebble, hand) = stage();
    let (code, asked) = told(&hand, &["authorize", "shop.example", "www.shop.example"]);
    assert_eq!((code, &asked["outcome"]), (Some(7), &json!("by-hand")));
    let tasks = asked["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        let (url, path) = (
            task["url"].as_str().unwrap(),
            task["path"].as_str().unwrap(),
        );
        let name = task["name"].as_str().unwrap();
        assert_eq!(url, format!("http://{name}{path}"));
    }
    // The same names in another order and spelling are the same order.
    let (code, again) = told(&hand, &["authorize", "WWW.shop.example.", "shop.example"]);
    assert_eq!((code, &again["tasks"]), (Some(7), &asked["tasks"]));
    let (code, text, _) = hand.run(&["authorize", "shop.example", "www.shop.example"]);
    assert_eq!(code, Some(7));
    for task in tasks {
        for part in ["url", "path", "content"] {
            assert!(text.contains(task[part].as_str().unwrap()), "{text}");
        }
    }
    let status = hand.json(&["status"]);
    assert_eq!(status["by_hand"][0]["stage"], "open");
    let (_, status, _) = hand.run(&["status"]);
    let url = tasks[0]["url"].as_str().unwrap();
    assert!(
        status.contains(&format!("waits for the file at {url}")),
        "{status}"
    );
    web.follow(&asked["tasks"]);
    let (code, done) = told(
        &hand,
        &["authorize", "shop.example", "www.shop.example", "--yes"],
    );
    assert_eq!((code, &done["outcome"]), (Some(0), &json!("authorized")));
    let (_, status, _) = hand.run(&["status"]);
    assert!(
        status.contains("`quaymaster issue shop.example www.shop.example`"),
        "{status}"
    );
    assert_eq!(exposed(&hand.path("state")), Vec::<PathBuf>::new());
    let issue = [
        "issue",
        "www.shop.example",
        "shop.example",
        "--output=certs",
    ];
    let issued = hand.json(&issue);
    assert_eq!(orders(&pebble), 1);
    let certs = hand.path("certs");
    let four = [".chain.crt", ".crt", ".intermediate.crt", ".pem"];
    assert_eq!(
        names(&certs),
        four.map(|ending| format!("www.shop.example{ending}"))
    );
    let file = |ending: &str| certs.join(format!("www.shop.example{ending}"));
    assert_eq!((mode(&file(".pem")), mode(&file(".crt"))), (0o600, 0o644));
    assert_fits(&file(".crt"), &file(".pem"));
    let read = |ending| fs::read_to_string(file(ending)).unwrap();
    assert_eq!(
        read(".chain.crt"),
        read(".crt") + &read(".intermediate.crt")
    );
    let asked = [
        "x509",
        "-noout",
        "-serial",
        "-fingerprint",
        "-sha256",
        "-in",
    ];
    let place = file(".crt").display().to_string();
    let seen = openssl(&[&asked[..], &[&place]].concat());
    let text = |part: &str| issued[part].as_str().unwrap().to_owned();
    let expected = format!(
        "serial={}\nsha256 Fingerprint={}\n",
        text("serial").to_uppercase(),
        text("sha256")
    );
    assert_eq!(seen, expected);
    assert_eq!(names(&hand.path("state/by-hand")), Vec::<String>::new());
    let (code, _, log) = hand.run(&["status"]);
    assert_eq!(code, Some(2), "{log}");
}

#[test]
fn nothing_is_left_of_an_order_that_a_terminal_has_ended_and_it_goes_on() {
    let (web, pebble, hand) = stage();
    let (code, asked) = told(&hand, &["authorize", "shop.example"]);
    assert_eq!(code, Some(7));
    // The terminal closes: nobody is there any more.
    let (code, seen) = hand.typed(&["authorize", "shop.example"], "\u{4}");
    assert_eq!(code, Some(7), "{seen}");
    let content = asked["tasks"][0]["content"].as_str().unwrap();
    assert!(seen.contains(content), "{seen}");
    web.follow(&asked["tasks"]);
    let (code, seen) = hand.typed(&["issue", "shop.example"], "\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("shop.example.chain.crt"), "{seen}");
    assert_fits(
        &hand.path("shop.example.crt"),
        &hand.path("shop.example.pem"),
    );
    assert_eq!(orders(&pebble), 1);
}

#[test]
fn a_webroot_needs_no_hands_and_nothing_stays_in_it() {
    let (web, pebble, hand) = stage();
    let webroot = format!("--webroot={}", web.root().display());
    let words = [
        "issue",
        "shop.example",
        &webroot,
        "--layout=certbot",
        "--output=live",
    ];
    let issued = hand.json(&[&words[..], &["--key-type=ec-384"]].concat());
    assert_eq!(issued["key_type"], "ec-384");
    let live = hand.path("live/shop.example");
    assert_eq!(
        names(&live),
        ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
    );
    assert_fits(&live.join("fullchain.pem"), &live.join("privkey.pem"));
    assert_eq!(mode(&live.join("privkey.pem")), 0o600);
    assert_eq!(web.responses(), Vec::<PathBuf>::new());
    // Another kind of key than that of the order that `authorize` began.
    let authorized = hand.json(&["authorize", "other.example", &webroot]);
    assert_eq!(authorized["outcome"], "authorized");
    assert_eq!(web.responses(), Vec::<PathBuf>::new());
    let issued = hand.json(&["issue", "other.example", "--key-type=rsa-2048", "--as=main"]);
    assert_eq!(issued["key_type"], "rsa-2048");
    assert_fits(&hand.path("main.crt"), &hand.path("main.pem"));
    // What the CA does not find is a failure that ends its order, and the next try begins another.
    let elsewhere = format!("--webroot={}", hand.path("elsewhere").display());
    let (code, printed, log) = hand.run(&["authorize", "third.example", &elsewhere]);
    assert_eq!((code, printed.as_str()), (Some(6), ""), "{log}");
    assert!(log.contains("could not validate third.example"), "{log}");
    let left = hand.path("elsewhere/.well-known/acme-challenge");
    assert_eq!(names(&left), Vec::<String>::new());
    assert_eq!(names(&hand.path("state/by-hand")), Vec::<String>::new());
    assert_eq!(
        hand.json(&["authorize", "third.example", &webroot])["outcome"],
        "authorized"
    );
    assert_eq!(orders(&pebble), 4);
}

#[test]
fn what_no_ca_would_do_is_refused_before_any_request() {
    let (_web, pebble, hand) = stage();
    let before = pebble.requests().len();
    for (words, told) in [
        (
            &["authorize", "*.shop.example"][..],
            "CAs validate wildcards only by dns-01",
        ),
        (&["authorize", "a b"], "\"a b\" is not a host"),
        (&["issue"], "name a host, or a --csr"),
        (&["issue", "shop.example", "--layout=none"], "--layout: "),
        (
            &["issue", "shop.example", "--ocsp-must-staple"],
            "have ended OCSP",
        ),
        (&["issue", "shop.example", "--method=smoke"], "--method: "),
        (&["issue", "shop.example", "--key=none.pem"], "none.pem"),
    ] {
        let (code, printed, log) = hand.run(words);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{words:?}: {log}");
        assert!(log.contains(told), "{words:?}: {log}");
    }
    assert_eq!(pebble.requests().len(), before);
    assert!(!hand.path("state/by-hand").exists());
}

/// A signing request of openssl's; its key stays beside it.
fn request(hand: &Hand, name: &str, more: &[&str]) -> String {
    let [key, file] = [".key", ".csr"].map(|ending| hand.path(&format!("{name}{ending}")));
    let [key, file] = [key, file].map(|path| path.display().to_string());
    let words = ["req", "-new", "-nodes", "-keyout", &key, "-out", &file];
    openssl(&[&words[..], more].concat());
    file
}

#[test]
fn a_signing_request_is_followed_and_its_key_is_nobody_s_but_its_owner_s() {
    let (web, pebble, hand) = stage();
    let webroot = format!("--webroot={}", web.root().display());
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let subject = ["-subj", "/CN=shop.example"];
    let names_of = [
        "-addext",
        "subjectAltName=DNS:shop.example,DNS:www.shop.example",
    ];
    let good = request(&hand, "shop", &[&ec[..], &subject, &names_of].concat());
    let before = pebble.requests().len();
    for (name, more, words) in [
        ("none", [&ec[..], &subject].concat(), "it has no host"),
        (
            "weak",
            [&["-newkey", "rsa:1024"][..], &subject, &names_of].concat(),
            "RSA of 1024 bits",
        ),
        (
            "staple",
            [
                &ec[..],
                &subject,
                &names_of,
                &["-addext", "tlsfeature=status_request"],
            ]
            .concat(),
            "must-staple",
        ),
    ] {
        let file = request(&hand, name, &more);
        let (code, printed, log) = hand.run(&["issue", "--csr", &file, &webroot]);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{log}");
        assert!(log.contains(words) && log.contains(&file), "{log}");
    }
    let (code, _, log) = hand.run(&["issue", "other.example", "--csr", &good]);
    assert_eq!(code, Some(2));
    assert!(
        log.contains("asks for shop.example, www.shop.example"),
        "{log}"
    );
    let (code, _, log) = hand.run(&["issue", "--csr", &good, "--layout=combined"]);
    assert_eq!(code, Some(2));
    assert!(log.contains("choose another --layout"), "{log}");
    assert_eq!(pebble.requests().len(), before);
    let text = fs::read_to_string(&good).unwrap();
    let windows = hand.path("windows.csr").display().to_string();
    fs::write(&windows, text.replace('\n', "\r\n")).unwrap();
    let der = hand.path("der.csr").display().to_string();
    openssl(&["req", "-in", &good, "-outform", "DER", "-out", &der]);
    for (file, output) in [(good, "one"), (windows, "two"), (der, "three")] {
        let output = format!("--output={output}");
        let issued = hand.json(&["issue", "--csr", &file, &webroot, &output]);
        assert_eq!(issued["files"].as_array().unwrap().len(), 3, "{issued}");
        let folder = hand.path(output.trim_start_matches("--output="));
        assert_fits(&folder.join("shop.example.crt"), &hand.path("shop.key"));
        assert!(!folder.join("shop.example.pem").exists());
    }
    // A key of the user's own in place of a signing request.
    let key = hand.path("shop.key").display().to_string();
    hand.json(&[
        "issue",
        "shop.example",
        "--key",
        &key,
        &webroot,
        "--output=four",
    ]);
    let four = hand.path("four/shop.example.crt");
    assert_fits(&four, &hand.path("shop.key"));
    assert_fits(&four, &hand.path("four/shop.example.pem"));
}

/// The program, looking for a name at a DNS server that never answers, until its response lies in the webroot.
fn held_up(hand: &Hand, web: &Web, silent: &UdpSocket) -> Child {
    let webroot = format!("--webroot={}", web.root().display());
    let resolver = format!("--resolver={}", silent.local_addr().unwrap());
    let words = hand.words(&["authorize", "shop.example", &webroot, &resolver]);
    let mut command = Command::new(binary());
    let command = command.env_clear().args(words).stdin(Stdio::null());
    let mut child = command
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while web.responses().is_empty() {
        assert_eq!(child.try_wait().unwrap(), None, "it waits for DNS");
        thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn an_end_in_the_midst_loses_nothing_and_leaves_nothing_in_the_webroot() {
    let (web, pebble, hand) = stage();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = held_up(&hand, &web, &silent);
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(web.responses(), Vec::<PathBuf>::new(), "{signal}");
    }
    let mut child = held_up(&hand, &web, &silent);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(web.responses().len(), 1, "nobody could take it away");
    // Another folder is used now, and what was left in the first one is taken away.
    let elsewhere = hand.path("elsewhere");
    let words = [
        "authorize",
        "shop.example",
        "--webroot",
        elsewhere.to_str().unwrap(),
    ];
    let (code, _, log) = hand.run(&words);
    assert_eq!(code, Some(6), "the CA does not look there: {log}");
    assert_eq!(web.responses(), Vec::<PathBuf>::new());
    assert_eq!(orders(&pebble), 1);
}

#[test]
fn who_is_at_work_on_a_name_is_told() {
    let (_web, _pebble, hand) = stage();
    let (code, _) = told(&hand, &["authorize", "shop.example"]);
    assert_eq!(code, Some(7));
    let folders = names(&hand.path("state/by-hand"));
    let locks = [
        hand.path(&format!("state/by-hand/{}/lock", folders[0])),
        hand.path("state/lock"),
    ];
    fs::create_dir_all(hand.path("state/orders/shop.example")).unwrap();
    for (lock, words) in locks.into_iter().zip(["another command", "the daemon"]) {
        let mut flock = Command::new("flock");
        let flock = flock
            .arg(&lock)
            .args(["sh", "-c", "echo held; exec sleep 60"]);
        let mut held = flock
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux has flock");
        let mut line = [0; 4];
        let mut out = held.stdout.take().unwrap();
        std::io::Read::read_exact(&mut out, &mut line).unwrap();
        let holding = Holding(held);
        let (code, printed, log) = hand.run(&["authorize", "shop.example"]);
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{log}");
        assert!(log.contains(words) && log.contains("shop.example"), "{log}");
        drop(holding);
    }
}

/// A certificate that is about to end, under manuale's names.
fn ending(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_secs(80 * 24 * 60 * 60);
    params.not_after = now + Duration::from_secs(10 * 24 * 60 * 60);
    let text = params.self_signed(&key).unwrap().pem();
    for (ending, text) in [
        ("pem", key.serialize_pem()),
        ("crt", text.clone()),
        ("chain.crt", text),
        ("intermediate.crt", String::new()),
    ] {
        fs::write(folder.join(format!("{name}.{ending}")), text).unwrap();
    }
    let key = folder.join(format!("{name}.pem"));
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn what_is_due_of_a_folder_is_renewed_and_nothing_is_touched_before() {
    let (web, pebble, hand) = stage();
    let webroot = format!("--webroot={}", web.root().display());
    hand.json(&[
        "issue",
        "new.example",
        &webroot,
        "--output=certs",
        "--key-type=ec-384",
    ]);
    let certs = hand.path("certs");
    ending(&certs, "old.example");
    let read = |name: &str| fs::read(certs.join(name)).unwrap();
    let before = ["new.example.pem", "old.example.pem", "old.example.crt"].map(read);
    let (code, renewals) = told(&hand, &["renew", "--folder=certs"]);
    assert_eq!(code, Some(7), "{renewals}");
    let [new, old] = [&renewals[0], &renewals[1]];
    assert_eq!(
        (&new["name"], &new["outcome"]),
        (&json!("new.example"), &json!("not-due"))
    );
    assert_eq!(old["name"], "old.example");
    assert_eq!(old["tasks"][0]["name"], "old.example");
    let after = ["new.example.pem", "old.example.pem", "old.example.crt"].map(read);
    assert_eq!(before, after);
    web.follow(&old["tasks"]);
    let (code, renewals) = told(&hand, &["renew", "--folder=certs", "--yes"]);
    assert_eq!(
        (code, &renewals[1]["outcome"]),
        (Some(0), &json!("renewed")),
        "{renewals}"
    );
    assert_eq!(read("new.example.pem"), before[0]);
    assert_ne!(read("old.example.pem"), before[1]);
    assert_fits(
        &certs.join("old.example.crt"),
        &certs.join("old.example.pem"),
    );
    assert_eq!(names(&certs).len(), 8);
    assert_eq!(orders(&pebble), 2);
    // One that is not due, as somebody insists: of the same kind, with another key.
    let words = [
        "renew",
        "--folder=certs",
        "--force",
        "new.example",
        &webroot,
    ];
    let (code, renewals) = told(&hand, &words);
    assert_eq!(code, Some(0), "{renewals}");
    assert_eq!(renewals[0]["certificate"]["key_type"], "ec-384");
    assert_ne!(read("new.example.pem"), before[0]);
    let (code, _, log) = hand.run(&["renew", "--folder=certs", "none.example"]);
    assert_eq!(code, Some(2), "{log}");
    // For people, the text of what was issued names it, and nothing before it does.
    let (code, text, log) = hand.run(&words);
    assert_eq!(code, Some(0), "{log}");
    assert!(text.starts_with("new.example: "), "{text}");
    assert_eq!(text.matches("new.example: ").count(), 1, "{text}");
    // A key that its owner keeps is not made anew, and files that are none of a layout are left alone.
    fs::remove_file(certs.join("old.example.pem")).unwrap();
    fs::write(certs.join("root.pem"), pebble.root()).unwrap();
    let (code, renewals) = told(&hand, &["renew", "--folder=certs"]);
    assert_eq!(code, Some(3), "{renewals}");
    assert_eq!(renewals.as_array().unwrap().len(), 2);
    let problem = renewals[1]["problem"].as_str().unwrap();
    assert!(problem.contains("`quaymaster issue --csr`"), "{problem}");
}

#[tokio::test]
async fn records_are_looked_for_and_a_wildcard_is_proven_beside_its_name() {
    let pebble = Pebble::start(1, Behaviour::default());
    let hand = Hand::at(&pebble);
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    let resolver = format!("--resolver={}", pebble.dns());
    let names = ["shop.example", "*.shop.example", "--method=dns", &resolver];
    let authorize = [&["authorize"][..], &names].concat();
    let (code, asked) = told(&hand, &authorize);
    assert_eq!(code, Some(7), "{asked}");
    let tasks = asked["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2);
    for (index, task) in tasks.iter().enumerate() {
        assert_eq!(task["challenge"], "dns-01");
        assert_eq!(task["record"], "_acme-challenge.shop.example");
        // The first record is there now, and the second one is still missed.
        let what = json!({"host": "_acme-challenge.shop.example.", "value": task["value"]});
        pebble.dns_says("/set-txt", &what.to_string()).await;
        if index == 0 {
            let (code, again) = told(&hand, &authorize);
            assert_eq!(code, Some(7), "{again}");
            let left = again["tasks"].as_array().unwrap();
            assert_eq!(left.len(), 1, "{again}");
            assert_eq!(left[0]["value"], tasks[1]["value"]);
            let problem = left[0]["problem"].as_str().unwrap();
            assert!(problem.contains("its TXT record is another"), "{problem}");
        }
    }
    assert_eq!(told(&hand, &authorize).0, Some(0));
    let issued = hand.json(&[&["issue"][..], &names].concat());
    assert_eq!(issued["names"].as_array().unwrap().len(), 2);
    assert_fits(
        &hand.path("shop.example.crt"),
        &hand.path("shop.example.pem"),
    );
    assert_eq!(orders(&pebble), 1);
}

#[test]
fn files_that_could_not_be_written_are_by_the_next_call_with_the_key_of_the_certificate() {
    let (web, pebble, hand) = stage();
    let webroot = format!("--webroot={}", web.root().display());
    let issue = ["issue", "shop.example", &webroot];
    // There is a file where the folder should be.
    let (code, printed, log) = hand.run(&[&issue[..], &["--output=root.pem/certs"]].concat());
    assert_eq!((code, printed.as_str()), (Some(3), ""), "{log}");
    assert!(log.contains("root.pem"), "{log}");
    let (_, status, _) = hand.run(&["status"]);
    assert!(status.contains("its certificate was requested"), "{status}");
    let key = hand.path("own.pem");
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let place = key.display().to_string();
    let (code, _, log) = hand.run(&[&issue[..], &["--key", &place]].concat());
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("already requested with another key"), "{log}");
    hand.json(&issue);
    assert_fits(
        &hand.path("shop.example.crt"),
        &hand.path("shop.example.pem"),
    );
    let requests = pebble.requests();
    let finalized = requests
        .iter()
        .filter(|line| line.contains("finalize-order"));
    assert_eq!((orders(&pebble), finalized.count()), (1, 1), "{requests:?}");
    assert_eq!(names(&hand.path("state/by-hand")), Vec::<String>::new());
}

/// The words of a table `[dns.home]` for this server.
fn dns_table(hand: &Hand, knot: &Knot) -> Vec<String> {
    let secret = hand.path("tsig");
    fs::write(&secret, KEY).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let config = hand.path("quaymaster.toml");
    let text = format!(
        "[dns.home]\nprovider = \"rfc2136\"\nserver = \"{at}\"\nnameservers = \"{at}\"\nkey-name = \"{KEY_NAME}\"\n\
         key-file = \"{secret}\"\n",
        at = knot.at,
        secret = secret.display()
    );
    fs::write(&config, text).unwrap();
    vec![
        format!("--config={}", config.display()),
        format!("--resolver={}", knot.at),
        "--method=dns".to_owned(),
    ]
}

#[test]
fn a_table_of_a_dns_server_needs_no_hands_also_for_a_wildcard() {
    let knot = Knot::start(&[("shop.example", "")]);
    let pebble = Pebble::start(
        1,
        Behaviour {
            dns: Some(knot.at),
            ..Behaviour::default()
        },
    );
    let hand = Hand::at(&pebble);
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    let table = dns_table(&hand, &knot);
    let table: Vec<_> = table.iter().map(String::as_str).collect();
    let names_of = ["shop.example", "*.shop.example"];
    let authorized = hand.json(&[&["authorize"][..], &names_of, &table].concat());
    assert_eq!(authorized["outcome"], "authorized");
    let left = knot.asked("_acme-challenge.shop.example", "TXT");
    assert_eq!(left, [""; 0], "no record stays");
    let (_, status, _) = hand.run(&["status"]);
    assert!(status.contains("quaymaster issue --method dns"), "{status}");
    let issued = hand.json(&[&["issue"][..], &names_of, &table].concat());
    assert_eq!(issued["names"].as_array().unwrap().len(), 2);
    // With no step before it, and no wildcard.
    let issued = hand.json(&[&["issue", "mail.shop.example"][..], &table].concat());
    assert_eq!(issued["names"], json!(["mail.shop.example"]));
    assert_eq!(orders(&pebble), 2);
}

#[tokio::test]
async fn a_file_that_the_look_does_not_see_costs_no_validation_and_one_that_it_sees_needs_no_hands()
{
    // The look asks port 80, which others on 127.0.0.1 may have.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let at = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
    let web = Web::start_at(Some(at));
    let pebble = Pebble::start(web.port, Behaviour::default());
    let hand = Hand::at(&pebble);
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    let resolver = format!("--resolver={}", pebble.dns());
    let there = json!({"host": "shop.example", "addresses": [at]});
    pebble.dns_says("/add-a", &there.to_string()).await;
    let authorize = |root: &Path| {
        let webroot = format!("--webroot={}", root.display());
        hand.run(&[
            "authorize",
            "shop.example",
            "--method=http",
            "--format=json",
            &webroot,
            &resolver,
        ])
    };
    let looks = || {
        let requests = pebble.requests();
        requests.iter().filter(|it| it.contains("chalZ")).count()
    };
    for _ in 0..2 {
        let (code, printed, log) = authorize(&hand.path("elsewhere"));
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{log}");
        assert!(log.contains(&at.to_string()), "{log}");
    }
    assert_eq!((looks(), orders(&pebble)), (0, 1));
    let (code, printed, log) = authorize(&web.root());
    assert_eq!(code, Some(0), "{printed}{log}");
    assert!(printed.contains("\"authorized\""), "{printed}");
    assert_eq!((looks() > 0, orders(&pebble)), (true, 1));
    assert_eq!(web.responses(), Vec::<PathBuf>::new());
    // Without a table of a DNS server, an order by DNS is by hand; `status` says how it goes on.
    let mail = ["authorize", "mail.example", "--method=dns", &resolver];
    assert_eq!(told(&hand, &mail).0, Some(7));
    let about = names(&hand.path("state/by-hand"));
    let about = about.iter().find(|word| word.starts_with("mail")).unwrap();
    let about = hand.path(&format!("state/by-hand/{about}/about.json"));
    let mut order: Value = serde_json::from_str(&fs::read_to_string(&about).unwrap()).unwrap();
    order["stage"] = json!("authorized");
    fs::write(&about, order.to_string()).unwrap();
    let (_, status, _) = hand.run(&["status"]);
    let command = "`quaymaster issue --method dns mail.example`";
    assert!(status.contains(command), "{status}");
}

#[test]
fn a_listener_of_ours_needs_no_hands_and_a_chain_is_chosen_by_its_root() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let pebble = Pebble::start(
        at.port(),
        Behaviour {
            alternate_roots: 2,
            ..Behaviour::default()
        },
    );
    let hand = Hand::at(&pebble);
    assert_eq!(hand.json(&["register", "--yes"])["outcome"], "registered");
    let listens = format!("--listen-http={at}");
    let profile = "--profile=shortlived";
    let authorized = hand.json(&["authorize", "shop.example", &listens, profile]);
    assert_eq!(authorized["outcome"], "authorized");
    assert!(TcpStream::connect(at).is_err(), "nobody listens any more");
    let (code, _, log) = hand.run(&["issue", "shop.example", "--chain=Nobody's Root"]);
    assert_eq!(code, Some(0), "the usual chain is used: {log}");
    assert_eq!(orders(&pebble), 1, "the profile on record is used");
    assert!(log.contains("Nobody's Root"), "{log}");
    // All of its roots are named.
    let roots: BTreeSet<_> = log
        .split('"')
        .filter(|word| word.starts_with("Pebble Root CA"))
        .map(str::to_owned)
        .collect();
    assert_eq!(roots.len(), 3, "{log}");
    let root_of = |folder: &str| {
        let chain = hand.path(&format!("{folder}/shop.example.intermediate.crt"));
        openssl(&["x509", "-noout", "-issuer", "-in", chain.to_str().unwrap()])
    };
    let usual = root_of(".");
    let others = roots.iter().filter(|root| !usual.contains(root.as_str()));
    for (folder, root) in ["one", "two"].into_iter().zip(others) {
        let chain = format!("--chain={root}");
        let output = format!("--output={folder}");
        hand.json(&["issue", "shop.example", &listens, &chain, &output]);
        let issuer = root_of(folder);
        assert!(issuer.contains(root), "{issuer}");
    }
}
