//! Servers of the user's that answer challenges by the thumbprint of the account's key, with the lines that the docs have:
//! haproxy and nginx, against Pebble.
#![expect(clippy::disallowed_methods, reason = "tests start haproxy and nginx")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key, thumbprint},
        disk::Folders,
        dns::DnsResolver,
        https_proxy::HttpsProxy,
    },
    execute::{Outcome, execute},
    observe::Webroots,
    plan::{Action, SelfCheck, WebPorts},
    ports::{Accounts, Ports},
    values::{ChallengeType, KeyType, Retry, Secret},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{
    bench::{AccountsOnly, RealClock},
    obtain::{obtaining, ports},
};
use crate::{
    by_hand::Hand,
    support::{
        fake_engine::{Fake, Reply, local},
        pebble::{Behaviour, Pebble},
    },
};

/// A server to which nobody gives responses, ended when dropped.
struct Server {
    child: Child,
    _folder: TempDir,
    /// Where it answers by the right thumbprint.
    right: u16,
    /// Where it answers by another.
    wrong: u16,
}

const OTHER: &str = "AnotherAccountsThumbprint_-0123456789ABCDEF";

/// The line of the docs that begins so, with this thumbprint.
fn line(begin: &str, thumbprint: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/servers.md");
    let docs = fs::read_to_string(docs).unwrap();
    let mut lines = docs.lines().filter(|line| line.starts_with(begin));
    let line = lines.next().expect("the docs have the line");
    assert!(line.contains("THUMBPRINT"), "{line}");
    line.replace("THUMBPRINT", thumbprint)
}

fn haproxy(ports: [u16; 2], thumbprints: [&str; 2], _: &Path) -> String {
    let mut text =
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n"
            .to_owned();
    for (port, thumbprint) in ports.into_iter().zip(thumbprints) {
        let line = line("http-request return", thumbprint);
        text += &format!(
            "frontend at-{port}\n  bind 127.0.0.1:{port}\n  {line}\n  http-request redirect scheme https\n"
        );
    }
    text
}

fn nginx(ports: [u16; 2], thumbprints: [&str; 2], folder: &Path) -> String {
    let at = folder.display();
    let mut text = format!(
        "daemon off; pid {at}/pid; error_log {at}/error.log; events {{}}\nhttp {{ access_log off; \
         client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; \
         uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n"
    );
    for (port, thumbprint) in ports.into_iter().zip(thumbprints) {
        let line = line("location ~", thumbprint);
        text += &format!(
            "server {{ listen 127.0.0.1:{port};\n{line}\nlocation / {{ return 301 https://$host$request_uri; }} }}\n"
        );
    }
    text + "}"
}

type Written = fn([u16; 2], [&str; 2], &Path) -> String;

impl Server {
    fn start(program: &str, words: &[&str], written: Written, thumbprint: &str) -> Self {
        // Ports that were free when asked may be others' by the time they are used.
        (0..5)
            .find_map(|_| Self::try_start(program, words, written, thumbprint))
            .unwrap_or_else(|| panic!("{program} starts within five tries"))
    }

    fn try_start(
        program: &str,
        words: &[&str],
        written: Written,
        thumbprint: &str,
    ) -> Option<Self> {
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = held.map(|held| held.local_addr().unwrap().port());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        let text = written(ports, [thumbprint, OTHER], folder.path());
        fs::write(&config, text + "\n").unwrap();
        let child = Command::new(program)
            .args(words)
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is installed: {error}"));
        let [right, wrong] = ports;
        let mut started = Self {
            child,
            _folder: folder,
            right,
            wrong,
        };
        for _ in 0..1000 {
            if ports
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
            {
                return Some(started);
            }
            if !matches!(started.child.try_wait(), Ok(None)) {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // So that nginx's workers end, too.
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// An account as a crash leaves it before the CA has heard of its key, so that a server can be told which key it is; and the
/// thumbprint.
fn unheard_of() -> (Secret, String) {
    let key = new_key(KeyType::Ec256).unwrap();
    let account = Secret::new(json!({"url": null, "key": key.expose()}).to_string());
    let thumbprint = thumbprint(&account).unwrap();
    (account, thumbprint)
}

/// A try to obtain a certificate, whose names are asked for at this port.
async fn tried(ports: &Ports, folder: &Path, http: u16) -> Outcome {
    let now = ports.clock.now();
    let mut obtain = obtaining(folder, &["shop.example"], [], now);
    obtain.webroots = Webroots::default();
    obtain.self_check = Some(SelfCheck {
        method: ChallengeType::Http01,
        is_public: false,
        is_resolver_named: true,
        is_by_thumbprint: true,
        was_validated: false,
        is_urgent: false,
        identities: &[],
        ports: WebPorts { http, https: 1 },
    });
    execute(ports, &mut Action::Obtain(Box::new(obtain))).await
}

#[tokio::test]
async fn a_certificate_is_obtained_where_a_server_answers_by_the_thumbprint_and_none_is_ordered_where_it_is_another()
 {
    let servers: [(_, &[_], Written); 2] = [
        ("haproxy", &["-db", "-q", "-f"], haproxy),
        ("nginx", &["-e", "/dev/null", "-c"], nginx),
    ];
    for (program, words, written) in servers {
        let (account, right) = unheard_of();
        let server = Server::start(program, words, written, &right);
        let pebble = Pebble::start(server.right, Behaviour::default());
        let accounts = Rc::new(AccountsOnly::default());
        accounts
            .keep_account(&pebble.directory(), &account)
            .unwrap();
        let settings = AcmeSettings {
            ca_root_pem: Some(pebble.root()),
            agree_tos: true,
            email: None,
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: HttpsProxy::default(),
        };
        let clock = Rc::new(RealClock);
        let authority = AcmeAuthority::new(
            &pebble.directory(),
            settings,
            accounts,
            clock.clone(),
            |_| (),
        );
        let folder = tempfile::tempdir().unwrap();
        let mut ports = ports(authority.unwrap(), folder.path(), clock);
        ports.issuing.resolver = Rc::new(DnsResolver::new(Some(pebble.dns())));
        let count = |word: &str| {
            let requests = pebble.requests();
            requests.iter().filter(|line| line.contains(word)).count()
        };

        let failed = tried(&ports, folder.path(), server.wrong).await;
        let failed = failed.result.unwrap_err();
        let problem = failed.problem.unwrap();
        let sentence = format!(
            "shop.example: its A record leads to 127.0.0.1, where challenges are answered by the thumbprint {OTHER} of another \
             account, and the one of our account's key is {right}: write that into the line of the server there"
        );
        assert!(problem.starts_with(&sentence), "{program}: {problem}");
        assert_eq!(failed.retry, Retry::SelfCheck);
        let (accounts, orders) = (count("/sign-me-up"), count("/order-plz"));
        assert_eq!((accounts, orders), (1, 0), "the account alone is made");

        let obtained = tried(&ports, folder.path(), server.right).await;
        assert!(obtained.result.is_ok(), "{program}: {:?}", obtained.result);
        assert_eq!((count("/sign-me-up"), count("/order-plz")), (1, 1));
        let challenge = folder.path().join("challenge");
        assert!(!challenge.exists(), "nothing is put anywhere");
    }
}

#[test]
fn commands_print_the_lines_of_the_server_and_need_no_hands_where_it_has_them() {
    let (account, right) = unheard_of();
    let server = Server::start("haproxy", &["-db", "-q", "-f"], haproxy, &right);
    let pebble = Pebble::start(server.right, Behaviour::default());
    let hand = Hand::at(&pebble);
    let folders = Folders::new(hand.path("certificates"), hand.path("state"), |_| ());
    folders.keep_account(&pebble.directory(), &account).unwrap();
    let lines = |thumbprint: &str| {
        ["http-request return", "location ~"].map(|begin| line(begin, thumbprint))
    };

    let (code, told, log) = hand.run(&["register", "--yes"]);
    assert_eq!(code, Some(0), "{told}{log}");
    assert!(told.contains(&right) && !told.contains("haproxy"), "{told}");
    let (code, told, log) = hand.run(&["register", "--thumbprint=on"]);
    assert_eq!(code, Some(0), "{told}{log}");
    for line in lines(&right) {
        assert!(told.contains(&line), "{told}");
    }
    let asked = hand.json(&["authorize", "shop.example", "--thumbprint=on"]);
    assert_eq!(asked["outcome"], "authorized");

    let ca = pebble.directory();
    let (code, told, log) = hand.run(&["account", &ca, "--roll-over", "--thumbprint=on"]);
    assert_eq!(code, Some(0), "{told}{log}");
    let shown = hand.json(&["account", &ca]);
    let new = shown["thumbprint"].as_str().unwrap();
    assert_ne!(new, right);
    for line in lines(new) {
        assert!(told.contains(&line), "{told}");
    }
}

#[tokio::test]
async fn names_that_no_proxy_serves_are_ordered_where_a_server_answers_by_the_thumbprint() {
    local(async {
        let engine = Fake::start(|line| match line.split(['?', ' ']).nth(1).unwrap() {
            "/_ping" => Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
            "/version" => Reply::new(200, r#"{"Version": "99.1", "ApiVersion": "1.99"}"#),
            "/events" => Reply::stream(&[]).then_hangs(),
            "/containers/json" => Reply::new(200, "[]"),
            _ => Reply::new(404, r#"{"message": "No such container"}"#),
        });
        let (account, right) = unheard_of();
        let server = Server::start("haproxy", &["-db", "-q", "-f"], haproxy, &right);
        let pebble = Pebble::start(server.right, Behaviour::default());
        let hand = Hand::at(&pebble);
        let folders = Folders::new(hand.path("certificates"), hand.path("state"), |_| ());
        folders.keep_account(&pebble.directory(), &account).unwrap();
        let certificate = hand.path("certificates/live/shop.example/fullchain.pem");
        let socket = format!("--engine={}", engine.socket.display());
        // The engine answers in this thread.
        let ended = spawn_blocking(move || {
            [&[][..], &["--thumbprint=on"]].map(|words| {
                let once = ["once", "--agree-tos", "--names=shop.example", &socket];
                let (code, _, log) = hand.run(&[&once, words].concat());
                (code, log, certificate.exists())
            })
        });
        let [without, with] = ended.await.unwrap();
        assert!(!without.2, "nobody answers: {}", without.1);
        assert_eq!((with.0, with.2), (Some(0), true), "{}", with.1);
    })
    .await;
}
