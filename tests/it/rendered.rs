//! The configuration that labels become: each case is a file that a reviewer reads, labels above, configuration below,
//! and each is tried with the real nginx. `UPDATE_RENDERED=1 cargo test --test it rendered::` writes the lower halves
//! anew.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod ipv6;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use http::Method;
use quaymaster::{
    adapters::{probe::TcpProbe, x509},
    desire::{Complaint, LabelRules, desire},
    observe::{Bearer, BearerState, Health, Holder, Installed, Observed, Removed, Snapshot},
    plan::{Action, foresee, plan},
    ports::Probe,
    render::Templates,
    values::{Block, CertificateName, ContainerName, Host, Protocol, Timestamp},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixtures::{container, held, label_rules, plan_rules, volume};

const LINE: &str = "\n----------\n";
const GATE: &str = "quaymaster--gate.conf";
const IMAGE: &str = "quaymaster-example-nginx";
/// More than a proxy is ever told until everything is as it should be.
const MOST_TURNS: usize = 20;
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A case: what its file says above the line.
struct Case {
    path: PathBuf,
    labels: String,
    expected: String,
}

impl Case {
    fn name(&self) -> String {
        self.path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// Writes what nginx reads, with a certificate for each that is held; tells their serial numbers.
    fn write(&self, config: &Path) -> BTreeMap<String, String> {
        fs::create_dir(config).unwrap();
        for (file, text) in rendered(&self.labels).0 {
            fs::write(config.join(file), text).unwrap();
        }
        let held = world(&self.labels).1.held;
        let write = |name: &CertificateName| {
            let folder = config.join("certificates").join(name.as_str());
            (
                name.to_string(),
                write_certificate(&folder, &covered_by(name)),
            )
        };
        held.keys().map(write).collect()
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendered");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "the cases are not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let (labels, expected) = text.split_once(LINE).unwrap_or((text.trim_end(), ""));
        Case {
            labels: labels.to_owned(),
            expected: expected.to_owned(),
            path,
        }
    };
    paths.into_iter().map(read).collect()
}

fn with_edge(mut container: Bearer, destination: &str) -> Bearer {
    container.mounts.push(volume("edge", destination, true));
    container
}

/// The beginning of the line that has the setting trusted-proxies.
const TRUSTED: &str = "trusted: ";

/// `shop: quaymaster.host=shop.example` gives a container a label, `shop is unhealthy` ails it, as do `is stopped` and `was
/// removed`; `shop has IPv6` gives it such an address, too, and `has IPv6 alone` no other; `held: a.example` says which
/// certificates there are, `served: a.example` which names were served before.
fn world(labels: &str) -> (Snapshot, Observed) {
    let mut proxy = with_edge(container("proxy", 3), "/etc/nginx/conf.d");
    proxy
        .labels
        .insert("quaymaster.kind".into(), "nginx".into());
    let mut containers = BTreeMap::from([(proxy.name.clone(), proxy)]);
    let (mut observed, mut holders) = (Observed::default(), BTreeMap::new());
    observed.installed.insert(
        ContainerName::parse("proxy").unwrap(),
        Installed::default().into(),
    );
    let is_setting = |line: &&str| line.starts_with(TRUSTED);
    let lines = labels
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty() && !is_setting(line));
    for line in lines {
        if let Some(names) = line.strip_prefix("held: ") {
            for word in names.split(' ') {
                let name = CertificateName::parse(word).unwrap();
                let covered = covered_by(&name);
                observed.hold(name, held(&[&covered]));
            }
            continue;
        }
        if let Some(hosts) = line.strip_prefix("served: ") {
            let hosts = hosts.split(' ').map(|word| Host::parse(word).unwrap());
            holders.extend(hosts.map(|host| (host, Holder::of(&None))));
            continue;
        }
        let name = line.split([':', ' ']).next().unwrap();
        let number = u8::try_from(containers.len()).unwrap() + 3;
        let entry = containers
            .entry(ContainerName::parse(name).unwrap())
            .or_insert_with(|| container(name, number));
        if let Some((_, label)) = line.split_once(": ") {
            let (key, value) = label.split_once('=').unwrap();
            entry.labels.insert(key.to_owned(), value.to_owned());
        } else if line.ends_with(" is unhealthy") {
            entry.health = Some(Health::Unhealthy);
        } else if line.ends_with(" is stopped") {
            entry.state = BearerState::Other("exited".to_owned());
            entry.endpoints[0].address = None;
        } else if line.ends_with(" has IPv6") {
            entry.endpoints[0].has_ipv6 = true;
        } else if line.ends_with(" has IPv6 alone") {
            entry.endpoints[0].has_ipv6 = true;
            let mapped = |address: IpAddr| match address {
                IpAddr::V4(address) => {
                    [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(address.octets()[3])].into()
                }
                IpAddr::V6(address) => IpAddr::V6(address),
            };
            entry.endpoints[0].address = entry.endpoints[0].address.map(mapped);
        } else if line.ends_with(" was removed") {
            *entry = Removed::of(entry, NOW).bearer();
        } else {
            panic!("{line:?} says nothing that is known");
        }
    }
    let own = Some(with_edge(container("quaymaster", 2), "/edge"));
    let bearers = containers
        .into_iter()
        .map(|(name, container)| (name, container.into()))
        .collect();
    (
        Snapshot {
            bearers,
            own,
            holders: holders.into(),
        },
        observed,
    )
}

/// The host whose own certificate has this name.
fn covered_by(certificate: &CertificateName) -> String {
    let word = certificate.as_str();
    let hosts = [
        word.replace('-', ":"),
        word.replacen("_.", "*.", 1),
        word.to_owned(),
    ];
    let host = hosts
        .iter()
        .filter_map(|host| Host::parse(host).ok())
        .find(|host| CertificateName::from(host) == *certificate);
    host.unwrap().to_string()
}

/// The files that would be written, by name, and what is complained about.
fn rendered(labels: &str) -> (BTreeMap<String, String>, BTreeSet<Complaint>) {
    let (snapshot, observed) = world(labels);
    let trusted = labels.lines().find_map(|line| line.strip_prefix(TRUSTED));
    let label_rules = LabelRules {
        trusted_proxies: trusted
            .map(|blocks| Block::parse_all(blocks).unwrap())
            .unwrap_or_default(),
        ..label_rules()
    };
    let desired = desire(&snapshot, &label_rules);
    let (mut observed, mut files) = (observed, BTreeMap::new());
    for _ in 0..MOST_TURNS {
        let mut plan = plan(
            &desired,
            &observed,
            &Templates::built_in().unwrap(),
            &plan_rules(),
            NOW,
        );
        assert!(plan.complaints.is_empty(), "{:?}", plan.complaints);
        // No order: what is held is what the case says.
        plan.actions
            .retain(|action| matches!(action, Action::Deploy(_)));
        if plan.actions.is_empty() {
            return (files, desired.complaints);
        }
        for action in &plan.actions {
            let Action::Deploy(deploy) = action else {
                continue;
            };
            files.extend(
                deploy
                    .write
                    .iter()
                    .map(|(name, text)| (name.to_string(), text.clone())),
            );
        }
        observed = foresee(&observed, &plan, NOW);
    }
    panic!("it never rests")
}

fn shown(case: &Case) -> String {
    let (files, complaints) = rendered(&case.labels);
    let mut text: String = complaints
        .iter()
        .map(|complaint| format!("!! {complaint}\n"))
        .collect();
    for (name, content) in files {
        // The proxy's own files are the same in every case but those that are about them.
        let is_about_them = [
            "00-proxy.txt",
            "12-kinds-of-hosts.txt",
            "13-trusted-proxies.txt",
            "15-further-names.txt",
            "18-behind-a-balancer.txt",
            "24-no-certificate-covers.txt",
            "25-ipv6.txt",
        ]
        .iter()
        .any(|file| case.path.ends_with(file));
        if !name.starts_with("quaymaster--") || name.contains("--names") || is_about_them {
            text.push_str(&format!("==== {name}\n{content}"));
        }
    }
    text
}

#[test]
fn each_case_is_rendered_as_its_file_says() {
    let update = std::env::vars().any(|(name, _)| name == "UPDATE_RENDERED");
    for case in cases() {
        let shown = shown(&case);
        if update {
            fs::write(&case.path, format!("{}{LINE}{shown}", case.labels)).unwrap();
        } else {
            assert_eq!(shown, case.expected, "{} differs", case.path.display());
        }
    }
}

#[test]
fn nginx_takes_each_case() {
    assert_eq!(said_by(IMAGE), Vec::<String>::new());
}

/// Warnings of newer versions that are lived with, and why. A warning is a line that an operator reads at every reload,
/// so anything else is a failure.
const LIVED_WITH: &[(&str, &str)] = &[(
    "the \"listen ... http2\" directive is deprecated",
    "what takes its place from 1.25.1 on, `http2 on`, is refused with the whole configuration by all before",
)];

#[test]
fn nginx_of_the_next_debian_takes_each_case() {
    let said = said_by("quaymaster-example-nginx-trixie");
    let lived_with = |line: &&String| {
        LIVED_WITH
            .iter()
            .any(|(warning, _)| line.contains(" [warn] ") && line.contains(warning))
    };
    let (known, new): (Vec<_>, Vec<_>) = said.iter().partition(lived_with);
    assert_eq!(new, Vec::<&String>::new());
    for (warning, reason) in LIVED_WITH {
        assert!(
            known.iter().any(|line| line.contains(warning)),
            "{warning} is not said any more: no need for {reason:?}"
        );
    }
}

/// The lines of the nginx of an image when it tries each case.
fn said_by(image: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (mut script, mut beside_debians) = (String::new(), String::new());
    for case in cases() {
        let name = case.name();
        case.write(&folder.path().join(&name));
        script.push_str(&format!(
            "cp -r /cases/{name}/. /etc/nginx/conf.d/ && nginx -q -t || echo FAILED {name}; rm -rf /etc/nginx/conf.d/*\n"
        ));
        beside_debians.push_str(&format!(
            "cp -r /cases/{name}/. /etc/nginx/conf.d/ && rm -f /etc/nginx/conf.d/quaymaster--unknown-http.conf && nginx -q -t \
             || echo FAILED {name} beside the default site of Debian; rm -rf /etc/nginx/conf.d/*\n"
        ));
    }
    // Debian's own site is the default one of port 80, and no server takes two.
    let script = format!("{beside_debians}rm /etc/nginx/sites-enabled/default\n{script}");
    #[expect(clippy::disallowed_methods, reason = "nginx is a program")]
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--volume"])
        .arg(format!("{}:/cases:ro", folder.path().display()))
        .args([image, "sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\nis the image {image} there? tests/run, or compose/images/build, makes it"
    );
    said.lines().map(str::to_owned).collect()
}

/// Writes a certificate for one name; tells its serial number.
fn write_certificate(folder: &Path, name: &str) -> String {
    fs::create_dir_all(folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    fs::write(folder.join("fullchain.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).unwrap();
    x509::serial_of(certificate.der()).unwrap()
}

/// nginx with the configuration of one case, gone when the test ends.
struct Nginx {
    name: String,
    at: SocketAddr,
    serials: BTreeMap<String, String>,
    probe: TcpProbe,
    folder: tempfile::TempDir,
}

/// Number of servers that were started: several tests may serve the same case.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Nginx {
    async fn serving(case: &str) -> Self {
        Self::with(case, None).await
    }

    /// With what listens here, at this port, in place of all containers.
    async fn before(case: &str, app: u16) -> Self {
        Self::with(case, Some(app)).await
    }

    async fn with(case: &str, app: Option<u16>) -> Self {
        let case = cases()
            .into_iter()
            .find(|other| other.name() == case)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let serials = case.write(&folder.path().join("case"));
        if let Some(app) = app {
            lead_to(app, &folder.path().join("case"));
        }
        // Shows what is passed on to apps.
        let show = "server { listen 81; return 200 \"$remote_addr $quaymaster_scheme\"; }";
        if case.labels.contains(TRUSTED) {
            fs::write(folder.path().join("case/show.conf"), show).unwrap();
        }
        let name = format!(
            "quaymaster-test-rendered-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let volume = format!("{}:/case:ro", folder.path().display());
        let script = "rm /etc/nginx/sites-enabled/default; cp -r /case/case/. /etc/nginx/conf.d/ && exec nginx -g 'daemon off;'";
        docker(&[
            "run",
            "--detach",
            "--rm",
            "--name",
            &name,
            "--volume",
            &volume,
            "--add-host",
            "app:host-gateway",
            IMAGE,
            "sh",
            "-c",
            script,
        ]);
        let address = docker(&[
            "inspect",
            "--format",
            "{{.NetworkSettings.IPAddress}}",
            &name,
        ]);
        let at = SocketAddr::new(address.trim().parse().unwrap(), 443);
        let nginx = Self {
            name,
            at,
            serials,
            probe: TcpProbe::new().unwrap(),
            folder,
        };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(nginx.at).await.is_ok() {
                // As long as a certificate is wanted and not there, nothing goes through a gate.
                if nginx.folder.path().join("case").join(GATE).exists() {
                    nginx.gate(Method::PUT).await;
                }
                return nginx;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("nginx does not listen at {}", nginx.at);
    }

    /// Runs a script in its container.
    fn run(&self, script: &str) {
        docker(&["exec", &self.name, "sh", "-c", script]);
    }

    /// Opens its gate by PUT, or closes it by DELETE, as quaymaster does.
    async fn gate(&self, method: Method) {
        let text = fs::read_to_string(self.folder.path().join("case").join(GATE)).unwrap();
        let word = |before: &str, after: char| {
            let rest = text.split_once(before).unwrap().1;
            rest.split_once(after).unwrap().0.to_owned()
        };
        let (host, path) = (word("server_name ", ';'), word("location = ", ' '));
        let at = SocketAddr::new(self.at.ip(), 80);
        let answer = self.probe.ask(method, at, &host, &path).await.unwrap();
        assert!(matches!(answer.status, 201 | 204), "{answer:?}");
    }

    /// The name of the certificate that a client of this host is shown.
    async fn shows(&self, host: &str) -> Result<&str, String> {
        let served = self
            .probe
            .certificate(self.at, Protocol::Tls, &Host::parse(host).unwrap())
            .await;
        let serial = served.map_err(|error| error.to_string())?.serial;
        Ok(self
            .serials
            .iter()
            .find(|(_, own)| **own == serial)
            .map(|(name, _)| name.as_str())
            .unwrap())
    }
}

/// Writes a port of this machine in place of all containers' addresses.
fn lead_to(app: u16, config: &Path) {
    for entry in fs::read_dir(config).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| match line.trim_start() {
                server if server.starts_with("server 10.0.0.") => {
                    format!("    server app:{app};\n")
                }
                _ => format!("{line}\n"),
            });
            fs::write(&path, lines.collect::<String>()).unwrap();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.name]);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the engine is asked as a user asks it"
)]
fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn hosts_of_all_kinds_are_served_with_their_own_certificates() {
    let nginx = Nginx::serving("12-kinds-of-hosts").await;
    for (host, certificate) in [
        ("*.shop.example", "_.shop.example"),
        ("b.shop.example", "_.shop.example"),
        ("a.shop.example", "a.shop.example"),
        ("192.0.2.7", "192.0.2.7"),
        // nginx shows one certificate to all that send no name it knows.
        ("::1", "192.0.2.7"),
        ("unknown.example", "192.0.2.7"),
    ] {
        assert_eq!(nginx.shows(host).await, Ok(certificate), "{host}");
    }
    let http = SocketAddr::new(nginx.at.ip(), 80);
    for host in ["b.shop.example", "192.0.2.7", "[2001:db8::1]"] {
        assert_eq!(
            nginx.probe.page(http, host, "/").await.unwrap().status,
            301,
            "{host}"
        );
    }
}

#[tokio::test]
async fn without_an_address_unknown_names_are_shown_nothing() {
    let nginx = Nginx::serving("01-site").await;
    assert_eq!(nginx.shows("shop.example").await, Ok("shop.example"));
    for host in ["unknown.example", "192.0.2.7"] {
        assert!(nginx.shows(host).await.is_err(), "{host}");
    }
}

#[tokio::test]
async fn names_that_no_certificate_covers_are_shown_the_nearest_one_else_the_default() {
    let nginx = Nginx::serving("24-no-certificate-covers").await;
    for (host, certificate) in [
        ("a.shop.example", "shop.example"),
        ("blog.example", "spare.example"),
        ("unknown.example", "spare.example"),
        ("192.0.2.7", "spare.example"),
    ] {
        assert_eq!(nginx.shows(host).await, Ok(certificate), "{host}");
    }
}

/// The status and the body that a request with these headers gets in plain text.
async fn asked(at: SocketAddr, headers: &str) -> (String, String) {
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let request = format!("GET / HTTP/1.0\r\nHost: shop.example\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn only_proxies_that_are_trusted_speak_for_their_clients() {
    const FORWARDED: &str =
        "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
    let nginx = Nginx::serving("13-trusted-proxies").await;
    let (http, show) = (
        SocketAddr::new(nginx.at.ip(), 80),
        SocketAddr::new(nginx.at.ip(), 81),
    );
    // The engine's own network is a block that is trusted in this case: 401 asks for the password, 403 is for strangers.
    assert_eq!(asked(http, FORWARDED).await.0, "401");
    assert_eq!(
        asked(http, "X-Forwarded-For: 192.0.2.7, 203.0.113.9\r\n")
            .await
            .0,
        "403"
    );
    assert_eq!(asked(http, "").await.0, "403");
    for (headers, scheme) in [
        (FORWARDED, "https"),
        ("X-Forwarded-Proto: http\r\n", "http"),
        ("X-Forwarded-Proto: x; y\r\n", "http"),
    ] {
        assert!(
            asked(show, headers)
                .await
                .1
                .ends_with(&format!(" {scheme}")),
            "{headers}"
        );
    }
    let nginx = Nginx::serving("14-other-proxies").await;
    let (http, show) = (
        SocketAddr::new(nginx.at.ip(), 80),
        SocketAddr::new(nginx.at.ip(), 81),
    );
    assert_eq!(asked(http, FORWARDED).await.0, "403");
    assert!(asked(show, FORWARDED).await.1.ends_with(" http"));
}
