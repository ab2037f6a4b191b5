//! Who has a name while containers come and go.

use std::{fs, path::PathBuf};

use quaymaster::{
    adapters::disk::Folders,
    observe::Source,
    ports::{CertificateStore, NewCertificate},
    values::{CertificateName, Host, Secret, Timestamp},
};
use serde_json::Value;

use super::world::World;
use crate::support::fake_engine::local;

/// A container of a Compose project that answers for `shop.example`.
fn shop(world: &World, id: &str, project: &str) {
    world.set(id, "quaymaster.host", "shop.example", |container| {
        container["Config"]["Labels"]["com.docker.compose.project"] = project.into();
    });
}

/// The text in the file of the site.
fn site(world: &World) -> String {
    fs::read_to_string(world.config().join("quaymaster-shop.example.conf")).unwrap_or_default()
}

/// The project that has the host, as it is on record.
fn holder(world: &World) -> Option<String> {
    let text = fs::read_to_string(world.state_folder().join("hosts.json")).ok()?;
    let hosts: Value = serde_json::from_str(&text).ok()?;
    Some(hosts["shop.example"]["project"].as_str()?.to_owned())
}

#[tokio::test]
async fn the_name_of_a_project_that_is_gone_is_handed_over_by_the_command_that_the_complaint_names()
{
    local(async {
        let world = World::new();
        shop(&world, "a1", "a");
        let program = world.watch(&["shop"]).await;
        program
            .until("it is on record", || holder(&world).as_deref() == Some("a"))
            .await;
        world.remove("a1");
        world.event("a1", "destroy");
        shop(&world, "b2", "b");
        world.event("b2", "start");
        let remedy = "or hand this one over now: `quaymaster release shop.example`; or write a table [grants] with the \
                      line `b = \"shop.example\"`";
        program
            .until("it is told how to get the name", || {
                program.told().iter().any(|(_, words)| words.contains(remedy))
            })
            .await;
        assert!(!site(&world).contains("10.9.0.3"), "it is not b's yet");
        let release = |host: &'static str| world.start_with(&["release", host]);
        assert_eq!(release("shop.example").ended().await, Some(0));
        assert_eq!(holder(&world).as_deref(), Some("b"), "it is done when it is said");
        program
            .until("b is served", || site(&world).contains("10.9.0.3"))
            .await;
        for (host, expected) in [("shop.example", Some(3)), ("shpo.example", Some(2))] {
            assert_eq!(release(host).ended().await, expected, "{host}");
        }
        assert_eq!(holder(&world).as_deref(), Some("b"), "nobody else asks for it");
        let left = fs::read_dir(world.state_folder().join("releases")).unwrap();
        assert_eq!(left.count(), 0, "no request is left");
    })
    .await;
}

/// Lays a certificate there that quaymaster obtained once.
fn obtained(world: &World, host: &str) -> PathBuf {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let state = world.state_folder();
    let stored =
        Folders::new(state.join("certificates"), state.clone(), |_| ()).store(&NewCertificate {
            profile: None,
            name: &CertificateName::parse(host).unwrap(),
            names: &[Host::parse(host).unwrap()].into(),
            key: &Secret::new(made.signing_key.serialize_pem()),
            chain: &made.cert.pem(),
            source: Source::SelfSigned,
            now: Timestamp::from_seconds(1_800_000_000),
        });
    stored.unwrap();
    state.join("certificates/live").join(host)
}

#[tokio::test]
async fn a_certificate_that_nobody_asks_for_is_archived_by_the_command_with_a_daemon_and_without_one()
 {
    local(async {
        let world = World::new();
        let [old, older] = ["old.example", "older.example"].map(|host| obtained(&world, host));
        world.set("a1", "quaymaster.host", "a1.example", |container| {
            container["Config"]["Labels"]["quaymaster.ca"] = "self-signed".into();
        });
        let mut program = world.watch(&["a1"]).await;
        let wanted = world.state_folder().join("certificates/live/a1.example");
        program
            .until("it has one of its own", || wanted.exists())
            .await;
        let forget = |name: &'static str| world.start_with(&["forget", name]);
        assert_eq!(forget("old.example").ended().await, Some(0));
        assert!(!old.exists(), "it is done when it is said");
        for (name, expected) in [
            ("old.example", Some(0)),
            ("a1.example", Some(3)),
            ("oldr.example", Some(2)),
        ] {
            assert_eq!(forget(name).ended().await, expected, "{name}");
        }
        assert!(wanted.exists() && older.exists(), "nobody else's goes");
        program.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(program.ended().await, Some(0));
        assert_eq!(forget("older.example").ended().await, Some(0));
        assert!(!older.exists(), "the command did it itself");
        let archive = world.state_folder().join("certificates/archive");
        for name in ["old.example", "older.example"] {
            assert!(archive.join(name).join("archived.json").exists(), "{name}");
        }
        let left = fs::read_dir(world.state_folder().join("forgets")).unwrap();
        assert_eq!(left.count(), 0, "no request is left");
    })
    .await;
}
