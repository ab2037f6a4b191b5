//! Events while the engine can't be seen, and after it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::world::World;
use crate::support::{fake_engine::local, program::SOON};

/// Time until a container that vanished during a gap counts as removed.
const GRACE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_happened_while_streams_were_cut_is_found() {
    local(async {
        let world = World::new();
        world.app("shop");
        let program = world.watch(&["shop"]).await;
        for n in 1..=2 {
            let id = format!("app{n}");
            world.app(&id);
            world.cut();
            program
                .until("the new app is found", || world.sites().contains(&id))
                .await;
        }
        assert_eq!(program.count("engine-lost"), 2);
        // The next event comes over the new stream.
        world.remove("app1");
        world.event("app1", "destroy");
        program
            .until("it is asked no longer", || world.led() == ["app2", "shop"])
            .await;
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_of_the_engine_nothing_is_emptied_and_what_stays_away_goes_after_30_seconds()
 {
    local(async {
        let world = World::new();
        ["app1", "app2", "app3"].into_iter().for_each(|id| world.app(id));
        let program = world.watch(&["app1", "app2", "app3"]).await;
        world.away(true);
        program.until("it is told", || program.count("engine-lost") > 0).await;
        assert_eq!(world.sites().len(), 3, "what is live stays while the engine is away");
        let signals = world.asked("POST");
        let stop = |container: &mut serde_json::Value| {
            container["State"] = json!({"Status": "exited", "Running": false});
        };
        world.change("app1", stop);
        world.change("app2", stop);
        world.remove("app3");
        // The proxy was made anew: another id, the same name.
        world.remove("proxy");
        world.set("proxy2", "quaymaster.kind", "nginx", |proxy| {
            proxy["Name"] = "/proxy".into();
            proxy["Mounts"] = json!([{"Type": "bind", "Source": world.config(), "Destination": "/etc/nginx/conf.d"}]);
        });
        let began = Instant::now();
        world.away(false);
        program.until("it is told", || program.count("missed") == 1).await;
        world.send(json!({"Type": "network", "Action": "connect", "Actor": {"Attributes": {"container": "app1"}}}));
        world.change("app1", |container| container["State"] = json!({"Status": "running", "Running": true}));
        world.event("app1", "start");
        world.look(&program).await;
        if began.elapsed() < GRACE {
            assert_eq!((world.sites().len(), world.asked("POST")), (3, signals), "nothing changed, nobody was told");
        }
        program.within(GRACE + SOON, "they go", || world.led() == ["app1"]).await;
        assert!(began.elapsed() > GRACE, "after {:?}", began.elapsed());
        program.until("the new proxy is told", || world.asked("POST /containers/proxy2/kill") > 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_engine_is_found_and_everything_converges_when_it_thaws() {
    local(async {
        let world = World::new();
        world.app("shop");
        let program = world.watch(&["shop"]).await;
        world.freeze(true);
        // Asking for a look finds it out at once; without one the ping every 30 s does, which is tested in moved time.
        program.signal(Signal::SIGHUP);
        let told = || {
            program
                .told()
                .into_iter()
                .find(|(event, _)| event == "engine-lost")
        };
        program
            .within(SOON, "it is told", || told().is_some())
            .await;
        assert!(
            told()
                .unwrap()
                .1
                .contains("does not answer `GET /_ping` within 5s"),
            "{:?}",
            told()
        );
        world.app("app1");
        assert_eq!(world.sites(), ["shop"]);
        world.freeze(false);
        program
            .until("it converges", || world.sites() == ["app1", "shop"])
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_forbids_a_call_is_told_with_the_call_and_what_is_live_stays() {
    local(async {
        let world = World::new();
        world.app("shop");
        let program = world.watch(&["shop"]).await;
        for (call, named) in [
            ("GET /_ping", "`GET /_ping` is not allowed"),
            ("GET /events", "`GET /events` is not allowed"),
            (
                "GET /containers/json",
                "`GET /containers/json` is not allowed",
            ),
            (
                "GET /containers/shop",
                "`GET /containers/{id}/json` is not allowed",
            ),
        ] {
            world.deny(Some(call));
            world.cut();
            let told = || {
                program
                    .told()
                    .iter()
                    .any(|(event, words)| event == "engine-lost" && words.contains(named))
            };
            program.until(named, told).await;
            assert_eq!(world.sites(), ["shop"]);
        }
        world.deny(Some("POST"));
        world.app("app1");
        program
            .within(SOON, "signals are told", || {
                let named = "`POST /containers/{id}/kill` is not allowed";
                program
                    .told()
                    .iter()
                    .any(|(event, words)| event == "failed" && words.contains(named))
            })
            .await;
        world.deny(None);
        let signals = world.asked("POST");
        program
            .within(SOON, "what was owed is sent", || {
                world.asked("POST") > signals
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn two_hundred_hangups_lose_nothing_and_are_few_looks() {
    local(async {
        let world = World::new();
        (0..50).for_each(|n| world.app(&format!("app{n}")));
        let program = world.start("watch");
        program
            .until("it turns", || program.count("engine-seen") > 0)
            .await;
        world.forget();
        for burst in 0..10 {
            let before = world.asked("GET /containers/json");
            if burst == 5 {
                world.app("late");
                world.event("late", "start");
            }
            // Without a pause, so that a slow machine does not make them far apart: most come while a look is due or under way.
            (0..20).for_each(|_| program.signal(Signal::SIGHUP));
            program
                .until("it looks", || world.asked("GET /containers/json") > before)
                .await;
        }
        program
            .until("nothing is lost", || {
                world.sites().len() == 51 && world.asked("POST") > 0
            })
            .await;
        let looks = world.asked("GET /containers/json");
        assert!((1..100).contains(&looks), "{looks} looks");
        world.remove("app7");
        world.event("app7", "destroy");
        program
            .until("it goes on", || world.led().len() == 50)
            .await;
    })
    .await;
}

#[tokio::test]
async fn what_only_newer_engines_know_spoils_nothing() {
    local(async {
        let world = World::new();
        world.app("shop");
        world.set("app1", "quaymaster.host", "app1.example", |container| {
            container["State"]["Status"] = "hibernating".into();
            container["Future"] = json!({"Anything": [1, 2]});
        });
        world.set("app2", "quaymaster.host", "app2.example", |container| {
            container["State"]["Health"] = json!({"Status": "sleepy"});
            container["Mounts"] = json!([{"Type": "wormhole", "Destination": "/x"}]);
        });
        world.set("app3", "quaymaster.host", "app3.example", |container| {
            container["Config"]["Labels"] = json!(["of another type"]);
        });
        let program = world.watch(&["app2", "shop"]).await;
        world.send(json!({"Type": "wormhole", "Action": {"open": true}}));
        world.send(json!({"Type": "container", "Action": "teleport", "Actor": {"ID": "shop"}}));
        world.app("app4");
        world.event("app4", "start");
        program
            .until("events are still read", || {
                world.sites() == ["app2", "app4", "shop"]
            })
            .await;
        assert_eq!(program.count("engine-lost"), 0);
    })
    .await;
}

#[tokio::test]
async fn once_does_what_is_to_be_done_and_names_what_it_could_not() {
    local(async {
        let world = World::new();
        world.away(true);
        assert_eq!(world.start("once").ended().await, Some(4));
        world.away(false);
        world.deny(Some("GET /containers/json"));
        assert_eq!(world.start("once").ended().await, Some(4));
        assert!(
            !world.state_folder().join("status.json").exists(),
            "nothing is decided from what was not seen"
        );
    })
    .await;
}
