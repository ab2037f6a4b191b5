//! The look before an order: DNS of Pebble's test server, nginx as the proxy and as servers of others, and a CA that counts
//! its requests.
#![expect(clippy::disallowed_methods, reason = "tests start nginx")]

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    thread,
    time::Duration,
};

use quaymaster::{
    adapters::dns::DnsResolver,
    execute::{Outcome, execute},
    plan::{Action, SelfCheck, WebPorts},
    ports::Ports,
    values::{ChallengeType, Host, Retry},
};
use tempfile::TempDir;

use super::{
    faults::authority_at,
    obtain::{obtaining, ports},
};
use crate::support::{
    fake_ca::{FakeCa, Twist},
    knot::Knot,
    pebble::{Behaviour, Pebble},
    unbound::{Unbound, key_of},
};

/// nginx, ended when dropped: the proxy at 127.0.0.1, and servers of others at 127.0.0.2 and ::1.
struct Servers {
    child: Child,
    folder: TempDir,
    http: u16,
    https: u16,
}

impl Servers {
    fn start() -> Self {
        // A port that was free when asked may be another's by the time it is used.
        (0..5)
            .find_map(|_| Self::try_start())
            .expect("nginx starts within five tries")
    }

    fn try_start() -> Option<Self> {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let (http, https) = (free(), free());
        let folder = tempfile::tempdir().unwrap();
        // Its workers read there as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        let at = folder.path().display();
        let text = format!(
            r#"daemon off; pid {at}/pid; error_log {at}/error.log; events {{}}
            http {{
                access_log off;
                client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
                uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
                server {{ listen 127.0.0.1:{http}; location / {{ root {at}/challenge; }} }}
                server {{ listen 127.0.0.2:{http}; listen [::1]:{http}; return 404; }}
                server {{ listen 127.0.0.4:{http}; return 302 http://$host$request_uri; }}
                server {{ listen 127.0.0.5:{http}; return 301 https://$host$request_uri; }}
                server {{ listen 127.0.0.5:{https}; return 200 plain; }}
                server {{ listen 127.0.0.6:{http}; return 301 http://shop.example$request_uri; }}
                server {{ listen 127.0.0.7:{http};
                    default_type text/html; return 200 "<title>shop</title><p>This domain is for sale!"; }}
            }}"#
        );
        let config = folder.path().join("nginx.conf");
        fs::write(&config, text).unwrap();
        let log = folder.path().join("error.log");
        let child = Command::new("nginx")
            .arg("-e")
            .arg(log)
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        let mut started = Self {
            child,
            folder,
            http,
            https,
        };
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", http)).is_ok() {
                return Some(started);
            }
            if !matches!(started.child.try_wait(), Ok(None)) {
                return None;
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Number of responses that are shown at this moment.
    fn shown(&self) -> usize {
        let folder = self
            .folder
            .path()
            .join("challenge/.well-known/acme-challenge");
        fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        // So that its workers end, too.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// One try for this name, and what the CA was asked meanwhile.
async fn tried(ports: &Ports, servers: &Servers, name: &str) -> Outcome {
    let proxy = SocketAddr::from(([127, 0, 0, 1], servers.http));
    let now = ports.clock.now();
    let mut obtain = obtaining(servers.folder.path(), &[name], [proxy], now);
    obtain.self_check = Some(SelfCheck {
        method: ChallengeType::Http01,
        is_public: false,
        is_resolver_named: true,
        is_by_thumbprint: false,
        was_validated: false,
        is_urgent: false,
        identities: &["ca.example"],
        ports: WebPorts {
            http: servers.http,
            https: servers.https,
        },
    });
    execute(ports, &mut Action::Obtain(Box::new(obtain))).await
}

/// Names, and where the DNS server has them lead.
async fn names(pebble: &Pebble) {
    let addresses = |path, name: &str, address: &str| {
        let (path, text) = (
            path,
            format!(r#"{{"host": "{name}.", "addresses": ["{address}"]}}"#),
        );
        async move { pebble.dns_says(path, &text).await }
    };
    for (name, address) in [
        ("elsewhere.example", "127.0.0.2"),
        ("inside.example", "127.0.0.3"),
        ("loop.example", "127.0.0.4"),
        ("https.example", "127.0.0.5"),
        ("led.example", "127.0.0.6"),
        ("parked.example", "127.0.0.7"),
        ("metadata.example", "169.254.169.254"),
    ] {
        addresses("/add-a", name, address).await;
    }
    addresses("/add-aaaa", "six.example", "::1").await;
    pebble.break_dns("broken.example.").await;
    let caa = |name: &str, value: &str| {
        format!(r#"{{"host": "{name}.", "policies": [{{"tag": "issue", "value": "{value}"}}]}}"#)
    };
    for (name, value) in [
        ("caa.example", "other.example"),
        (
            "account.example",
            "ca.example; accounturi=https://ca.example/acct/7",
        ),
        ("method.example", "ca.example; validationmethods=dns-01"),
    ] {
        pebble.dns_says("/add-caa", &caa(name, value)).await;
    }
}

/// All that a try needs; the proxies answer from the folder of `servers`.
async fn stage(folder: &Path, ca: &FakeCa, pebble: &Pebble) -> Ports {
    names(pebble).await;
    let (authority, clock) = authority_at(&ca.server);
    let mut ports = ports(authority, folder, clock);
    ports.issuing.resolver = Rc::new(DnsResolver::new(Some(pebble.dns())));
    ports
}

#[tokio::test]
async fn a_name_that_a_ca_would_not_validate_is_told_in_a_sentence_without_a_request_to_the_ca() {
    let servers = Servers::start();
    let pebble = Pebble::start(servers.http, Behaviour::default());
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let ports = stage(servers.folder.path(), &ca, &pebble).await;
    for (name, sentence) in [
        (
            "elsewhere.example",
            "its A record leads to 127.0.0.2, where another server (nginx",
        ),
        (
            "six.example",
            "its AAAA record leads to ::1, where another server (nginx",
        ),
        (
            "six.example",
            "remove that record, since 127.0.0.1 shows what is looked for",
        ),
        (
            "loop.example",
            "it leads back to http://loop.example/.well-known/",
        ),
        (
            "https.example",
            "a redirect leads to https://https.example/.well-known/acme-challenge/",
        ),
        ("https.example", "which is broken: TLS fails"),
        ("parked.example", "a parking page answers"),
        (
            "metadata.example",
            "it leads to 169.254.169.254 alone, which no CA can reach",
        ),
        (
            "broken.example",
            "the DNS servers of its zone fail (SERVFAIL)",
        ),
        (
            "caa.example",
            "add the record caa.example. CAA 0 issue \"ca.example\"",
        ),
        (
            "account.example",
            "is for the account https://ca.example/acct/7 alone",
        ),
        ("method.example", "add http-01 to its validationmethods"),
    ] {
        let failed = tried(&ports, &servers, name).await.result.unwrap_err();
        let problem = failed.problem.clone().unwrap();
        let begin = format!("{name}: ");
        assert!(
            problem.starts_with(&begin)
                && problem.contains(sentence)
                && problem.contains("; the CA was not asked for anything. "),
            "{problem}"
        );
        assert_eq!(
            (failed.retry, failed.looks, failed.count),
            (Retry::SelfCheck, 1, 0)
        );
        assert_eq!(servers.shown(), 0, "nothing stays visible");
    }
    assert_eq!(ca.total(), 0, "the CA was asked for nothing");
}

#[tokio::test]
async fn an_order_goes_on_where_the_look_sees_our_response_or_can_t_tell() {
    let servers = Servers::start();
    let pebble = Pebble::start(servers.http, Behaviour::default());
    for (name, is_resolver_gone) in [
        ("shop.example", false),
        ("led.example", false),
        ("inside.example", false),
        ("shop.example", true),
    ] {
        let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
        let folder = tempfile::tempdir().unwrap();
        let mut ports = stage(folder.path(), &ca, &pebble).await;
        if is_resolver_gone {
            let nobody = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap();
            ports.issuing.resolver = Rc::new(DnsResolver::new(Some(nobody)));
        }
        let outcome = tried(&ports, &servers, name).await;
        assert_eq!(ca.count("POST /order"), 1, "{name}: {:?}", outcome.result);
        assert_eq!(servers.shown(), 0, "nothing stays visible");
    }
}

#[tokio::test]
async fn a_zone_whose_signatures_are_wrong_is_told_from_one_whose_servers_fail() {
    let servers = Servers::start();
    let pebble = Pebble::start(servers.http, Behaviour::default());
    let ca = FakeCa::start(|_, _, _| Twist::Nothing).await;
    let mut ports = stage(servers.folder.path(), &ca, &pebble).await;
    let here = "@ A 127.0.0.1";
    let knot = Knot::start_signed(&[("signed.example", here), ("broken.example", here)]);
    let zones = [
        ("signed.example", knot.at),
        ("broken.example", knot.at),
        // It knows nothing of this one.
        ("gone.example", knot.at),
    ];
    let keys = [
        key_of(&knot, "signed.example", "signed.example"),
        // As where the key of a zone was changed, and its parent still names the one before.
        key_of(&knot, "signed.example", "broken.example"),
    ];
    let unbound = Unbound::start(&zones, &keys);
    ports.issuing.resolver = Rc::new(DnsResolver::new(Some(unbound.at)));
    let signed = Host::parse("signed.example").unwrap();
    let addresses = ports.issuing.resolver.addresses(&signed).await.unwrap();
    assert_eq!(addresses.all, [IpAddr::from([127, 0, 0, 1])]);
    for (name, sentence) in [
        (
            "broken.example",
            "the DNSSEC signatures of its zone are wrong, so no CA believes what it says: renew them, or remove",
        ),
        (
            "gone.example",
            "the DNS servers of its zone fail (SERVFAIL): ask whoever runs them",
        ),
    ] {
        let failed = tried(&ports, &servers, name).await.result.unwrap_err();
        let problem = failed.problem.unwrap();
        assert!(problem.contains(sentence), "{problem}");
        assert_eq!(failed.retry, Retry::SelfCheck);
    }
    assert_eq!(ca.total(), 0, "the CA was asked for nothing");
}
