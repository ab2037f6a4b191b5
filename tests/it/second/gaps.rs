//! Tests with an engine that stops and comes back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{relay::Relay, stage::Stage};
use crate::support::program::{Program, SOON};

/// Between two tries to reach an engine.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After this long without an event, nothing is asked of the engine, on a slow machine too.
const QUIET: Duration = Duration::from_secs(3);

/// Time until a container that vanished during a gap counts as removed; and the time that it takes to see and do it.
const GRACE: Duration = Duration::from_secs(30);

fn seen(program: &Program) -> usize {
    program.count("engine-seen")
}

#[tokio::test]
async fn a_killed_engine_comes_back_with_what_it_starts_again_and_the_rest_answers_503_after_the_grace()
 {
    let mut stage = Stage::new();
    stage.app("app1", "app1", &["--restart", "always"]);
    stage.app("app2", "app2", &[]);
    let program = stage
        .watched(&stage.engine.socket(), &["app1", "app2"])
        .await;
    stage.engine.kill();
    program
        .until("it is told", || program.count("engine-lost") > 0)
        .await;
    // Containers outlive their engine.
    assert!(stage.serves(&["app1", "app2"]), "what is live stays");

    let (began, before) = (Instant::now(), seen(&program));
    // It ends what the killed one left, and starts what is always to run.
    stage.engine.begin();
    program
        .within(LONGEST_PAUSE + SOON, "the engine is seen", || {
            seen(&program) > before
        })
        .await;
    program
        .until("the app that runs again is served", || {
            stage.answer("app1") == "200 app1"
        })
        .await;
    assert_eq!(
        stage.sites(),
        ["app1", "app2"],
        "nothing is emptied at once"
    );
    program
        .within(GRACE + SOON, "what stays away is asked no longer", || {
            stage.answer("app1") == "200 app1" && stage.answer("app2") == "503"
        })
        .await;
    assert!(
        began.elapsed() > GRACE,
        "after {:?}; it told {:#?}",
        began.elapsed(),
        program.told()
    );
    assert_eq!(program.count("missed"), 1);
}

#[tokio::test]
async fn an_engine_that_is_restarted_empties_nothing() {
    let mut stage = Stage::new();
    stage.app("app1", "app1", &["--restart", "always"]);
    stage.app("app2", "app2", &["--restart", "always"]);
    let program = stage
        .watched(&stage.engine.socket(), &["app1", "app2"])
        .await;
    for _ in 0..2 {
        let before = seen(&program);
        stage.engine.end();
        assert_eq!(stage.sites(), ["app1", "app2"]);
        stage.engine.begin();
        program
            .within(LONGEST_PAUSE + SOON, "the engine is seen", || {
                seen(&program) > before
            })
            .await;
        program
            .until("both are served", || stage.serves(&["app1", "app2"]))
            .await;
    }
    assert_eq!(program.count("site-gone"), 0);
}

#[tokio::test]
async fn a_frozen_engine_is_found_out_and_what_was_asked_of_it_is_seen_when_it_thaws() {
    let mut stage = Stage::new();
    stage.app("app1", "app1", &[]);
    let program = stage.watched(&stage.engine.socket(), &["app1"]).await;
    // What is asked in the instant of the freeze has another limit.
    tokio::time::sleep(QUIET).await;
    stage.engine.freeze();
    // Asking for a look finds it out at once; without one the ping every 30 s does.
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
    assert!(stage.serves(&["app1"]), "what is live stays");

    let command = stage
        .engine
        .command()
        .args(["rename", "app1", "other"])
        .spawn();
    stage.engine.thaw();
    assert!(command.unwrap().wait().unwrap().success());
    stage.app("app2", "app2", &[]);
    program
        .within(LONGEST_PAUSE + SOON, "it converges", || {
            stage.serves(&["app1", "app2"])
        })
        .await;
    stage.engine.docker(&["rm", "--force", "other"]);
    program
        .until("events come again", || {
            stage.answer("app1") == "503" && stage.answer("app2") == "200 app2"
        })
        .await;
}

#[tokio::test]
async fn what_was_changed_behind_a_cut_socket_is_found() {
    let stage = Stage::new();
    ["app1", "app3"]
        .iter()
        .for_each(|name| stage.app(name, name, &[]));
    // Not paused, which would be quicker: a frozen process keeps even the kernel from ending the engine's.
    let check = "test ! -e /tmp/ill";
    let options = [
        "--health-interval",
        "500ms",
        "--health-retries",
        "1",
        "--health-cmd",
        check,
    ];
    stage.app("app2", "app2", &options);
    let relay = Relay::start(
        stage.engine.folder().join("relay.sock"),
        stage.engine.socket(),
    );
    let program = stage
        .watched(&relay.socket, &["app1", "app2", "app3"])
        .await;
    // Streams alone, twice: pauses grow from gap to gap. What happens at that moment is not lost.
    for name in ["new1", "new2"] {
        relay.cut();
        stage.app(name, name, &[]);
        program
            .until("what is new is served", || {
                stage.answer(name) == format!("200 {name}")
            })
            .await;
    }
    assert_eq!(program.count("engine-lost"), 2);

    relay.away(true);
    program
        .until("it is told", || program.count("engine-lost") > 2)
        .await;
    let docker = |words: &[&str]| drop(stage.engine.docker(words));
    // Made anew with another label, taken ill, stopped and started at another address, new.
    docker(&["rm", "--force", "app1"]);
    stage.app("app1", "changed", &[]);
    docker(&["exec", "app2", "touch", "/tmp/ill"]);
    docker(&["stop", "app3"]);
    stage.app("late", "late", &[]);
    docker(&["start", "app3"]);
    let health = ["inspect", "--format", "{{.State.Health.Status}}", "app2"];
    program
        .until("it is ill", || stage.engine.docker(&health) == "unhealthy")
        .await;
    assert_eq!(
        stage.sites(),
        ["app1", "app2", "app3", "new1", "new2"],
        "nobody can see it"
    );
    relay.away(false);
    let found = || {
        stage.sites() == ["app2", "app3", "changed", "late", "new1", "new2"]
            && [
                ("changed", "200 app1"),
                ("late", "200 late"),
                ("app3", "200 app3"),
                ("app2", "503"),
            ]
            .iter()
            .all(|(site, answer)| stage.answer(site) == *answer)
    };
    program
        .within(LONGEST_PAUSE + SOON, "all is found", found)
        .await;
}
