//! Whatever labels say: nobody else is harmed, each complaint is a line, and nginx takes what is rendered.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use quaymaster::{
    desire::{Desired, LABELS, desire},
    observe::{Bearer, Installed, Observed, Snapshot},
    plan::{Action, foresee, plan},
    render::Templates,
    values::{CertificateName, ContainerName, Timestamp},
};

use super::chance::Chance;
use crate::fixtures::{self, label_rules, plan_rules, volume};

/// Number of containers that are made up.
const TURNS: u64 = 500;

const FINDS: &str = include_str!("finds.txt");
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const IMAGE: &str = "quaymaster-example-nginx";

/// Characters of a complaint as a line: it repeats some 300 of a label, each of which may be escaped as `\u{10ffff}`.
const LONGEST_LINE: usize = 3500;

/// Configurations that go through nginx in the end.
const SAMPLES: usize = 60;

type Files = BTreeMap<String, String>;

fn container(name: &str, number: u8, labels: BTreeMap<String, String>) -> Bearer {
    Bearer {
        labels: labels.into_iter().collect(),
        started_at: None,
        mounts: vec![volume("edge", "/etc/nginx/conf.d", true)],
        ..fixtures::container(name, number)
    }
}

/// The meaning of labels when there is a proxy, a good container, and one with these labels.
fn meant(odd: Option<BTreeMap<String, String>>) -> Desired {
    let label =
        |key: &str, value: &str| BTreeMap::from([(format!("quaymaster.{key}"), value.to_owned())]);
    let mut all = vec![
        container("proxy", 3, label("kind", "nginx")),
        container("good", 4, label("host", "good.example")),
    ];
    all.extend(odd.map(|labels| Bearer {
        mounts: Vec::new(),
        ..container("odd", 9, labels)
    }));
    let own = Some(container("quaymaster", 2, BTreeMap::new()));
    let containers = all
        .into_iter()
        .map(|container| (container.name.clone(), container.into()))
        .collect();
    desire(
        &Snapshot {
            bearers: containers,
            own,
            ..Snapshot::default()
        },
        &label_rules(),
    )
}

/// The files written for the proxy; with `held` every name has its certificate.
fn files(desired: &Desired, held: bool, templates: &Templates) -> Files {
    let mut observed = Observed::default();
    observed.installed.insert(
        ContainerName::parse("proxy").unwrap(),
        Installed::default().into(),
    );
    let names = desired.certificates.keys().filter(|_| held);
    names.for_each(|name| observed.hold(name.clone(), fixtures::held(&[name.as_str()])));
    let rules = plan_rules();
    let mut written = Files::new();
    for _ in 0..3 {
        let mut plan = plan(desired, &observed, templates, &rules, NOW);
        let unrendered: Vec<_> = plan
            .complaints
            .iter()
            .filter(|it| it.problem.starts_with("template "))
            .collect();
        assert!(
            unrendered.is_empty(),
            "what was understood can be rendered: {unrendered:?}"
        );
        // What is held is what was said.
        plan.actions
            .retain(|action| matches!(action, Action::Deploy(_)));
        for action in &plan.actions {
            let Action::Deploy(deploy) = action else {
                continue;
            };
            let files = deploy
                .write
                .iter()
                .filter(|_| deploy.consumer.name.as_str() == "proxy");
            written.extend(files.map(|(name, text)| (name.to_string(), text.clone())));
        }
        observed = foresee(&observed, &plan, NOW);
    }
    written
}

fn labels(chance: &mut Chance) -> BTreeMap<String, String> {
    let site = *chance.pick(&["", "", "site.a.", "site.b-1."]);
    let mut labels = BTreeMap::from([(format!("quaymaster.{site}host"), "odd.example".to_owned())]);
    for _ in 0..=chance.below(5) {
        let row = chance.pick(LABELS);
        let mut value = row.example.as_bytes().to_vec();
        if chance.below(3) > 0 {
            chance.mutate(&mut value);
        }
        let mut key = format!("{site}{}", row.key).into_bytes();
        if chance.below(12) == 0 {
            chance.mutate(&mut key);
        }
        // What the engine tells is JSON, and so text.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        labels.insert(format!("quaymaster.{}", text(&key)), text(&value));
    }
    labels
}

/// Past finds, each a JSON object of labels on a line.
fn finds() -> Vec<BTreeMap<String, String>> {
    let lines = FINDS.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn whatever_labels_say() {
    let templates = Templates::built_in().unwrap();
    let good = files(&meant(None), true, &templates)["quaymaster-good.example.conf"].clone();
    let (mut finds, mut samples) = (finds(), Vec::new());
    assert!(!finds.is_empty());
    let mut chance = Chance::begin("labels", TURNS);
    while chance.goes_on() {
        let find = finds.pop();
        let is_find = find.is_some();
        let labels = find.unwrap_or_else(|| labels(&mut chance));
        let shown: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| (key, value.chars().take(300).collect::<String>()))
            .collect();
        let desired = meant(Some(labels.clone()));
        for complaint in &desired.complaints {
            let line = complaint.to_string();
            let is_seen =
                |c: char| c.is_ascii_graphic() || c == ' ' || c.escape_debug().count() == 1;
            assert!(
                line.len() < LONGEST_LINE && line.chars().all(is_seen),
                "{line:?} of {shown:?}"
            );
            assert_eq!(complaint.origin.bearer.as_str(), "odd", "{shown:?}");
        }
        let files = files(&desired, true, &templates);
        assert_eq!(
            files.get("quaymaster-good.example.conf"),
            Some(&good),
            "{shown:?}"
        );
        if is_find || files.len() > 5 && samples.len() < SAMPLES && chance.below(3) == 0 {
            samples.push((
                shown
                    .into_iter()
                    .map(|(key, value)| format!("{key}={value:?}"))
                    .collect(),
                desired.clone(),
                files,
            ));
        }
    }
    assert!(
        samples.len() > SAMPLES / 2,
        "only {} samples",
        samples.len()
    );
    assert_eq!(refused_by_nginx(&samples), Vec::<String>::new());
}

/// The files that nginx refuses or warns of, with the labels that led to it.
fn refused_by_nginx(samples: &[(Vec<String>, Desired, Files)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    // Debian's own site is the default one of port 80, and no server takes two.
    let mut script = "rm /etc/nginx/sites-enabled/default\n".to_owned();
    for (number, (_, desired, files)) in samples.iter().enumerate() {
        let config = folder.path().join(number.to_string());
        fs::create_dir(&config).unwrap();
        files
            .iter()
            .for_each(|(name, text)| fs::write(config.join(name), text).unwrap());
        desired
            .certificates
            .keys()
            .for_each(|name| write_certificate(&config, name));
        script.push_str(&format!(
            "cp -r /cases/{number}/. /etc/nginx/conf.d/; nginx -q -t 2>&1 | sed 's/^/{number} /'; rm -rf /etc/nginx/conf.d/*\n"
        ));
    }
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--volume"])
        .arg(format!("{}:/cases:ro", folder.path().display()))
        .args([IMAGE, "sh", "-c", &script])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{told}\nis the image {IMAGE} there? tests/run, or compose/images/build, makes it"
    );
    let said = |line: &str| {
        let (number, said) = line.split_once(' ').unwrap();
        format!(
            "{said}, of {:?}",
            samples[number.parse::<usize>().unwrap()].0
        )
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(said)
        .collect()
}

fn write_certificate(config: &Path, name: &CertificateName) {
    let folder = config.join("certificates").join(name.as_str());
    fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_string()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    fs::write(folder.join("fullchain.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).unwrap();
}
