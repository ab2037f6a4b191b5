//! Two hundred containers whose labels can't be followed, beside ten that can.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::world::World;
use crate::support::{
    crowd::{NUMBER, crowd},
    fake_engine::local,
    program::SOON,
};

/// Longer than anything that should stand in a log.
const LONGEST_LINE: usize = 1500;

fn good() -> Vec<String> {
    (0..10).map(|n| format!("good{n}")).collect()
}

/// The files that the proxy serves for the good ones.
fn files(world: &World) -> Vec<String> {
    let read = |id: &String| {
        fs::read_to_string(world.config().join(format!("quaymaster-{id}.example.conf"))).unwrap()
    };
    good().iter().map(read).collect()
}

/// Whose labels can't be followed, as the status says; nobody's before there is one.
fn named(world: &World) -> BTreeSet<String> {
    let Ok(status) = fs::read_to_string(world.state_folder().join("status.json")) else {
        return BTreeSet::new();
    };
    let status: Value = serde_json::from_str(&status).unwrap();
    let complaints = status["complaints"].as_array().unwrap().iter();
    complaints
        .map(|complaint| complaint["container"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn two_hundred_hostile_containers_harm_none_of_ten_good_ones_and_each_is_named() {
    local(async {
        let world = World::new();
        good().iter().for_each(|id| world.app(id));
        let program = world
            .watch(&good().iter().map(String::as_str).collect::<Vec<_>>())
            .await;
        let before = files(&world);

        let odd = crowd("quaymaster", "good3.example", |name| {
            format!("{name}.example")
        });
        for odd in &odd {
            world.set(&odd.name, "", "", |container| {
                container["Config"]["Labels"] = serde_json::to_value(&odd.labels).unwrap();
            });
        }
        world.cut();
        let silent = || -> Vec<String> {
            let named = named(&world);
            let silent = odd.iter().filter(|odd| !named.contains(&odd.name));
            silent
                .map(|odd| format!("{}: {:.300?}", odd.name, odd.labels))
                .collect()
        };
        let began = Instant::now();
        while !silent().is_empty() && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(silent(), [""; 0], "nothing is said about these");
        assert_eq!(
            named(&world).len(),
            NUMBER,
            "nobody else is complained about"
        );
        assert_eq!(files(&world), before, "the good ones are served as before");

        for (event, words) in program.told() {
            assert!(
                words.len() < LONGEST_LINE && !words.contains(char::is_control),
                "{event}: {words:?}"
            );
        }
        let document = fs::metadata(world.state_folder().join("status.json"))
            .unwrap()
            .len();
        assert!(document < 3_000_000, "the status has {document} bytes");

        // And it goes on: with their events, too, and when it looks again.
        odd.iter().for_each(|odd| world.event(&odd.name, "start"));
        program.signal(Signal::SIGHUP);
        world.app("late");
        world.event("late", "start");
        program
            .until("the next one is served", || {
                world.sites().contains(&"late".to_owned())
            })
            .await;
        assert_eq!(program.count("engine-lost"), 1, "by the cut alone");
        assert_eq!(files(&world), before);
    })
    .await;
}
