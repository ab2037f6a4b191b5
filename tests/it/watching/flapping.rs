//! Containers that come and go again and again.

use std::{fs, time::Duration, time::Instant};

use serde_json::{Value, json};

use super::world::World;
use crate::support::{fake_engine::local, program::Program};

/// Number of times that it comes and goes.
const ROUNDS: usize = 20;

/// Number of signals that a proxy may have got because of a container that never stays for 5 s, in so long: for each
/// end and return until the third end, and for two more for each pause that may be over.
fn allowed(length: Duration) -> usize {
    let pauses = [5, 10, 20, 40, 80, 160, 300];
    let ends = pauses.iter().scan(0, |sum, pause| {
        *sum += pause;
        Some(Duration::from_secs(*sum))
    });
    5 + 2 * ends.take_while(|end| *end <= length).count()
}

/// Changes a container, and waits until that is seen.
async fn tell(
    world: &World,
    program: &Program,
    (id, action): (&str, &str),
    change: impl FnOnce(&mut Value),
) {
    let call = format!("GET /containers/{id}/json");
    let before = world.asked(&call);
    world.change(id, change);
    world.event(id, action);
    program
        .until("it is asked", || world.asked(&call) > before)
        .await;
}

async fn ends(world: &World, program: &Program, id: &str, round: usize) {
    tell(world, program, (id, "die"), |container| {
        container["State"]["Status"] = "restarting".into();
        container["RestartCount"] = round.into();
        container["NetworkSettings"]["Networks"]["web"]["IPAddress"] = "".into();
    })
    .await;
}

async fn starts(world: &World, program: &Program, id: &str, round: usize, address: &str) {
    tell(world, program, (id, "start"), |container| {
        container["State"]["Status"] = "running".into();
        container["State"]["StartedAt"] = format!("2026-11-22T18:47:{round:02}Z").into();
        container["NetworkSettings"]["Networks"]["web"]["IPAddress"] = address.into();
    })
    .await;
}

/// Restarts it again and again; in the end it is down.
async fn comes_and_goes(world: &World, program: &Program, id: &str) {
    for round in 1..ROUNDS {
        ends(world, program, id, round).await;
        starts(world, program, id, round, "10.9.0.2").await;
    }
    ends(world, program, id, ROUNDS).await;
    world.look(program).await;
}

/// The wait of a site's container in the status; null where it waits for nothing.
fn waits(world: &World, id: &str) -> Value {
    let text = fs::read_to_string(world.state_folder().join("status.json")).unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    let mut sites = status["sites"].as_array().unwrap().iter();
    let site = sites.find(|site| site["containers"][0] == id);
    site.map_or(Value::Null, |site| site["waits"][id].clone())
}

/// The text in the file of a site.
fn file(world: &World, site: &str) -> String {
    let name = format!("quaymaster-{site}.example.conf");
    fs::read_to_string(world.config().join(name)).unwrap_or_default()
}

#[tokio::test]
async fn a_container_that_restarts_again_and_again_costs_fewer_and_fewer_signals_and_is_served_once_it_stays()
 {
    local(async {
        let world = World::new();
        ["app1", "app2"].into_iter().for_each(|id| world.app(id));
        let program = world.watch(&["app1", "app2"]).await;
        world.look(&program).await;
        let (before, began) = (world.asked("POST"), Instant::now());
        comes_and_goes(&world, &program, "app1").await;
        let (signals, length) = (world.asked("POST") - before, began.elapsed());
        assert!(
            signals <= allowed(length),
            "{signals} signals of {ROUNDS} restarts in {length:?}"
        );
        program
            .until("it is told", || waits(&world, "app1")["restarts"] == ROUNDS)
            .await;
        assert!(program.count("waits") > 0);

        // Another site does not wait for it.
        tell(&world, &program, ("app2", "update"), |container| {
            container["NetworkSettings"]["Networks"]["web"]["IPAddress"] = "10.9.9.9".into();
        })
        .await;
        program
            .until("the other one is led there", || {
                file(&world, "app2").contains("10.9.9.9")
            })
            .await;
        starts(&world, &program, "app1", ROUNDS, "10.9.0.2").await;
        world.forget();
        program
            .until("it is served without any event", || {
                world.led() == ["app1", "app2"]
            })
            .await;
        assert_eq!(world.asked("GET /containers/app1/json"), 0);
        program
            .until("it does not wait any more", || {
                waits(&world, "app1") == Value::Null
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn others_serve_a_site_while_one_container_of_it_comes_and_goes() {
    local(async {
        let world = World::new();
        for id in ["app1", "app2"] {
            world.set(id, "quaymaster.host", "app1.example", |_| {});
        }
        let program = world.watch(&["app1"]).await;
        world.look(&program).await;
        comes_and_goes(&world, &program, "app1").await;
        program
            .until("it is told", || waits(&world, "app1")["restarts"] == ROUNDS)
            .await;
        assert!(
            file(&world, "app1").contains("10.9.0.3"),
            "the other one serves it"
        );
        starts(&world, &program, "app1", ROUNDS, "10.9.0.2").await;
        let both = |text: &str| text.contains("10.9.0.2") && text.contains("10.9.0.3");
        program
            .until("both serve it when it stays", || {
                both(&file(&world, "app1"))
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_health_check_that_flaps_costs_fewer_and_fewer_signals() {
    local(async {
        let world = World::new();
        world.app("app1");
        let program = world.watch(&["app1"]).await;
        world.look(&program).await;
        let (before, began) = (world.asked("POST"), Instant::now());
        for _ in 1..=ROUNDS {
            for health in ["unhealthy", "healthy"] {
                let event = ("app1", &*format!("health_status: {health}"));
                tell(&world, &program, event, |container| {
                    container["State"]["Health"] = json!({"Status": health});
                })
                .await;
            }
        }
        world.look(&program).await;
        let (signals, length) = (world.asked("POST") - before, began.elapsed());
        assert!(
            signals <= allowed(length),
            "{signals} signals of {ROUNDS} flaps in {length:?}"
        );
    })
    .await;
}
