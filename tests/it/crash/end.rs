//! The files and answers when all is done, so that two ends can be compared: every path with what varies by chance made
//! plain, and the text of the files that a server reads.

use std::{collections::BTreeMap, fs, path::Path};

use quaymaster::{
    adapters::{clock::SystemClock, disk::Folders},
    ports::{CertificateStore, Clock},
    values::CertificateName,
};
use serde_json::Value;

use super::world::World;

/// Each path, or what else there is, with what is in it, and how often.
pub type End = BTreeMap<String, usize>;

/// The file of a daemon's requests about renewals: `once`, with which the others are compared, asks nothing.
const ASKED: &str = "state/renewals.json";

/// The present state of a world; `hosts` are those that should be served with the certificate that is held.
pub async fn end(world: &World, hosts: &[&str]) -> End {
    let mut found = End::new();
    for inner in ["conf.d", "state"] {
        walk(world, &world.path(inner), &mut found);
    }
    let state = world.path("state");
    let held = Folders::new(state.join("certificates"), state, |_| ())
        .certificates(SystemClock.now())
        .unwrap();
    for fault in held.faults {
        add(&mut found, format!("fault: {fault}"));
    }
    for repair in held.repairs.keys() {
        add(&mut found, format!("to be mended: {repair}"));
    }
    for host in hosts {
        let name = CertificateName::parse(*host).unwrap();
        let key_type = held.held.get(&name).and_then(|held| held.key_type);
        add(&mut found, format!("{host} has a key of type {key_type:?}"));
        let held = held.held.get(&name).map(|held| held.serial.clone());
        let is_served = world.serial(host).await.ok() == held && held.is_some();
        add(
            &mut found,
            format!("{host} is served with what is held: {is_served}"),
        );
        let page = world.page(host).await.map(|page| (page.status, page.body));
        add(&mut found, format!("{host} shows {page:?}"));
    }
    let record = json(&world.path("state/deployed/proxy/record.json"));
    add(&mut found, format!("journal: {}", record["journal"]));
    add(
        &mut found,
        format!(
            "proven: {}",
            record["installed"]["progress"]["proven"].is_object()
        ),
    );
    let mark = mark(world);
    let shown = world
        .page(&mark)
        .await
        .map(|page| page.body.trim().to_owned());
    add(
        &mut found,
        format!(
            "mark: {}",
            shown == Ok(record["installed"]["generation"].to_string())
        ),
    );
    found
}

/// The name at which nginx shows the number of the last deployment.
fn mark(world: &World) -> String {
    fs::read_to_string(world.path("state/mark")).unwrap_or_else(|_| "not made yet".to_owned())
}

pub fn json(path: &Path) -> Value {
    fs::read_to_string(path).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

fn add(found: &mut End, what: String) {
    *found.entry(what).or_default() += 1;
}

fn walk(world: &World, folder: &Path, found: &mut End) {
    // A daemon may be at work: what goes while it is looked at is not there.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        let bare = path
            .strip_prefix(world.folder.path())
            .unwrap()
            .display()
            .to_string();
        if kind.is_dir() {
            walk(world, &path, found);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path)
                .map(|target| plain(&target.display().to_string()))
                .ok();
            add(found, format!("{} -> {target:?}", plain(&bare)));
        } else if !is_old_version(world, &bare) && bare != ASKED {
            let is_read = bare.starts_with("conf.d/quaymaster-");
            let text = if is_read {
                fs::read_to_string(&path).unwrap_or_default()
            } else {
                String::new()
            };
            // The host of the mark is made by chance; its number counts deployments.
            let text = without_gate(&text.replace(&mark(world), "MARK"));
            let text = if bare.ends_with("--mark.conf") {
                text.replace(|c: char| c.is_ascii_digit(), "")
            } else {
                text
            };
            add(found, format!("{} {}", plain(&bare), text.trim()));
        }
    }
}

/// The names of the gate are made from that of the mark.
fn without_gate(text: &str) -> String {
    let without = |text: &str, begin: &str| {
        let mut parts = text.split(begin);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{all}GATE{rest}")
        })
    };
    without(&without(text, "quaymaster-gate-"), "quaymaster-open-")
}

/// Versions in the archive stay for ever; a crash between writing one and its link costs a number.
fn is_old_version(world: &World, bare: &str) -> bool {
    let Some(rest) = bare.strip_prefix("state/certificates/archive/") else {
        return false;
    };
    let mut parts = rest.split('/');
    let (name, number) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let live = fs::read_link(world.path("state/certificates/live").join(name));
    number.parse::<u64>().is_ok()
        && live.is_ok_and(|live| live.file_name().is_some_and(|live| live != number))
}

/// Without digests, tokens, ports and numbers of versions.
pub fn plain(path: &str) -> String {
    let plain = |part: &str| match part {
        part if part.parse::<u64>().is_ok() => "N".to_owned(),
        part if part.len() >= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            "DIGEST".to_owned()
        }
        part if part.starts_with("127.0.0.1-") => "CA".to_owned(),
        // Pebble's tokens have 256 bits.
        part if part.trim_start_matches('.').trim_end_matches(".new").len() == 43 => {
            "TOKEN".to_owned()
        }
        part => part.to_owned(),
    };
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

/// The difference, for people.
pub fn difference(wanted: &End, found: &End) -> String {
    let lines = |one: &End, other: &End, sign: &str| {
        let differing = one
            .iter()
            .filter(|(what, count)| other.get(*what) != Some(count));
        differing
            .map(|(what, count)| format!("{sign} {count} × {what}\n"))
            .collect::<String>()
    };
    lines(wanted, found, "-") + &lines(found, wanted, "+")
}
