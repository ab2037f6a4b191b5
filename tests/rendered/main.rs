//! What labels become: each case is a file that a reviewer reads, labels above, configuration below, and each goes
//! through the real nginx. `UPDATE_RENDERED=1 cargo test --test rendered` writes the lower halves anew.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use quaymaster::{
    desire::{Complaint, desire},
    observe::{
        Container, ContainerState, Health, HeldCertificate, Installed, Mount, MountKind, Network, Observed, Shelf,
        Snapshot, Source,
    },
    plan::{Action, plan},
    render::Templates,
    values::{CertificateName, ContainerId, ContainerName, Digest, Timestamp},
};

const LINE: &str = "\n----------\n";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A case: what its file says above the line.
struct Case {
    path: PathBuf,
    labels: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rendered");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "the cases are not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let (labels, expected) = text.split_once(LINE).unwrap_or((text.trim_end(), ""));
        Case { labels: labels.to_owned(), expected: expected.to_owned(), path }
    };
    paths.into_iter().map(read).collect()
}

fn container(name: &str, number: u8) -> Container {
    let network = Network { id: "n".into(), address: Some([10, 0, 0, number].into()) };
    Container {
        id: ContainerId::parse(format!("id{number}")).unwrap(),
        name: ContainerName::parse(name).unwrap(),
        labels: BTreeMap::new(),
        state: ContainerState::Running,
        health: None,
        created: Some(Timestamp::from_seconds(i64::from(number))),
        started_at: None,
        networks: BTreeMap::from([("web".to_owned(), network)]),
        exposed: BTreeSet::from([8080]),
        mounts: Vec::new(),
    }
}

fn with_edge(mut container: Container, destination: &str) -> Container {
    let (name, driver) = ("edge".to_owned(), "local".to_owned());
    let kind = MountKind::Volume { name, driver, source: PathBuf::new(), subpath: PathBuf::new() };
    container.mounts.push(Mount { kind, destination: destination.into(), writable: true });
    container
}

/// `shop: quaymaster.host=shop.example` gives a container a label, `shop is unhealthy` ails it, `held: a.example` says
/// which certificates there are.
fn world(labels: &str) -> (Snapshot, Observed) {
    let mut proxy = with_edge(container("proxy", 3), "/etc/nginx/conf.d");
    proxy.labels.insert("quaymaster.kind".into(), "nginx".into());
    let mut containers = BTreeMap::from([(proxy.name.clone(), proxy)]);
    let mut observed = Observed::default();
    observed.installed.insert(ContainerName::parse("proxy").unwrap(), Installed::default());
    for line in labels.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(names) = line.strip_prefix("held: ") {
            observed.held.extend(names.split(' ').map(|name| (CertificateName::parse(name).unwrap(), held(name))));
            continue;
        }
        let name = line.split([':', ' ']).next().unwrap();
        let number = u8::try_from(containers.len()).unwrap() + 3;
        let entry = containers.entry(ContainerName::parse(name).unwrap()).or_insert_with(|| container(name, number));
        if let Some((_, label)) = line.split_once(": ") {
            let (key, value) = label.split_once('=').unwrap();
            entry.labels.insert(key.to_owned(), value.to_owned());
        } else if line.ends_with(" is unhealthy") {
            entry.health = Some(Health::Unhealthy);
        } else {
            panic!("{line:?} says nothing that is known");
        }
    }
    (Snapshot { containers, own: Some(with_edge(container("quaymaster", 2), "/edge")) }, observed)
}

fn held(name: &str) -> HeldCertificate {
    HeldCertificate {
        names: BTreeSet::from([name.to_owned()]),
        not_before: Timestamp::from_seconds(1_700_000_000),
        not_after: Timestamp::from_seconds(1_900_000_000),
        issuer: "Test".to_owned(),
        serial: "01".to_owned(),
        digest: Digest::of(name),
        source: Source::Provided,
        shelf: Shelf::Live,
    }
}

/// The files that would be written, by name, and what is complained about.
fn rendered(labels: &str) -> (BTreeMap<String, String>, BTreeSet<Complaint>) {
    let (snapshot, observed) = world(labels);
    let label_rules = quaymaster::desire::Rules {
        label_prefix: "quaymaster".into(),
        certificates: "/state/certificates".into(),
        webroot: None,
        public_authority: false,
    };
    let plan_rules = quaymaster::plan::Rules {
        authority: "https://ca.example".into(),
        mark_host: "quaymaster-0123456789abcdef".into(),
        resync: std::time::Duration::from_secs(3600),
    };
    let desired = desire(&snapshot, &label_rules);
    let plan = plan(&desired, &observed, &Templates::built_in().unwrap(), &plan_rules, NOW);
    assert!(plan.complaints.is_empty(), "{:?}", plan.complaints);
    let deploy = plan.actions.into_iter().find_map(|action| match action {
        Action::Deploy(deploy) => Some(deploy.write),
        Action::Obtain(_) => None,
    });
    let files = deploy.unwrap().into_iter().map(|(name, text)| (name.to_string(), text)).collect();
    (files, desired.complaints)
}

fn shown(case: &Case) -> String {
    let (files, complaints) = rendered(&case.labels);
    let mut text: String = complaints.iter().map(|complaint| format!("!! {complaint}\n")).collect();
    for (name, content) in files {
        // The proxy's own file is the same in every case but the one that is about it.
        if name != "quaymaster--proxy.conf" || case.path.ends_with("00-proxy.txt") {
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
    let folder = tempfile::tempdir().unwrap();
    let image = "quaymaster-example-nginx";
    let mut script = String::new();
    for case in cases() {
        let name = case.path.file_stem().unwrap().to_string_lossy().into_owned();
        let config = folder.path().join(&name);
        fs::create_dir(&config).unwrap();
        for (file, text) in rendered(&case.labels).0 {
            fs::write(config.join(file), text).unwrap();
        }
        for certificate in world(&case.labels).1.held.keys() {
            write_certificate(&config.join("certificates").join(certificate.as_str()), certificate.as_str());
        }
        script.push_str(&format!(
            "cp -r /cases/{name}/. /etc/nginx/conf.d/ && nginx -q -t || echo FAILED {name}; rm -rf /etc/nginx/conf.d/*\n"
        ));
    }
    #[expect(clippy::disallowed_methods, reason = "nginx is a program")]
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--volume"])
        .arg(format!("{}:/cases:ro", folder.path().display()))
        .args([image, "sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\nis the image {image} there? tests/run, or compose/images/build, makes it"
    );
    // A warning is a line that an operator reads at every reload.
    assert_eq!(said, "");
}

fn write_certificate(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("fullchain.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).unwrap();
}
