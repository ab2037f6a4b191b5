//! The daemon, from settings alone: a name that no container has, proven by DNS while one of the zone's servers is behind.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is started as users start it"
)]

use std::{fs, process::Command, rc::Rc};

use quaymaster::{adapters::clock::SystemClock, ports::Responder};

use super::dns::{HOME, NAME, at_home, challenge, home, responder};
use crate::support::{
    fake_engine::{Fake, Reply, local},
    knot::{KEY, KEY_NAME, Knot},
    pebble::{Behaviour, Pebble},
    program::{Program, binary},
};

/// An engine without containers.
fn engine() -> Fake {
    Fake::start(
        |line| match line.split(['?', ' ']).nth(1).unwrap_or_default() {
            "/_ping" => Reply::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
            "/version" => Reply::new(200, r#"{"Version": "99.1", "ApiVersion": "1.99"}"#),
            "/events" => Reply::stream(&[]).then_hangs(),
            "/containers/json" => Reply::new(200, "[]"),
            _ => Reply::new(404, r#"{"message": "No such container"}"#),
        },
    )
}

#[tokio::test]
async fn the_daemon_waits_for_a_server_that_is_behind_and_obtains_once_it_shows_the_record() {
    let knot = Knot::start(&[("shop.example", "")]);
    let behind = Knot::start(&[("shop.example", "")]);
    let behaviour = Behaviour {
        dns: Some(knot.at),
        ..Behaviour::default()
    };
    let pebble = Pebble::start(1, behaviour);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("root.pem"), pebble.root()).unwrap();
    fs::write(path("key"), format!("{KEY}\n")).unwrap();
    let settings = format!(
        "names = \"*.shop.example\"\nchallenge = \"dns-01\"\nresolver = \"{at}\"\n[dns.{HOME}]\nprovider = \"rfc2136\"\n\
         server = \"{at}\"\nkey-name = \"{KEY_NAME}\"\nkey-file = {:?}\nnameservers = \"{at}, {}\"\n",
        path("key"),
        behind.at,
        at = knot.at
    );
    fs::write(path("quaymaster.toml"), settings).unwrap();
    local(async {
        let engine = engine();
        let mut words = Command::new(binary());
        words
            .env_clear()
            .args(["watch", "--agree-tos", "--log-format", "json"])
            .arg(format!("--config={}", path("quaymaster.toml").display()))
            .arg(format!("--ca={}", pebble.directory()))
            .arg(format!("--ca-root={}", path("root.pem").display()))
            .arg(format!("--engine={}", engine.socket.display()))
            .arg(format!("--state={}", path("state").display()));
        let program = Program::start(words, path("log"));
        let awaited = || program.count("record-awaited") > 0;
        program.until("a server lacks the record", awaited).await;
        let shown = knot.asked(NAME, "TXT");
        let [value] = shown.as_slice() else {
            panic!("{shown:?}")
        };
        assert_eq!(program.count("obtained"), 0);
        // It comes to the other server at last.
        let one = challenge("*.shop.example", value.trim_matches('"'));
        let late = responder(&behind, &home(&behind), KEY, Rc::new(SystemClock));
        late.publish(&at_home(), &one).await.unwrap();
        let obtained = || program.count("obtained") > 0;
        program.until("it is obtained", obtained).await;
        // It was removed before.
        assert_eq!(knot.asked(NAME, "TXT"), [""; 0]);
        assert_eq!(program.count("record-left"), 0);
    })
    .await;
}
