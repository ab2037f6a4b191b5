//! Whatever the engine answers: nothing ends the program, what is good counts, and memory has a bound.

use std::{cell::RefCell, fs, rc::Rc};

use futures_util::StreamExt;
use quaymaster::{adapters::engine::RecordedEngine, desire::Dialects, ports::Engine};
use tokio::runtime::Builder;

use super::chance::Chance;
use crate::support::fake_engine::{Fake, Reply, local};

const INSPECTED: &str = include_str!("../../recorded/engine/inspect-20.10.json");
const LISTED: &str = include_str!("../../recorded/engine/list-20.10.json");
const EVENTS: &[&str] = &[
    r#"{"status":"start","id":"2ec31d1c","from":"img:1","Type":"container","Action":"start","Actor":{"ID":"2ec31d1c","Attributes":{"image":"img:1","name":"shop","q.host":"a.example"}},"scope":"local","time":1795373168,"timeNano":1795373168731191206}"#,
    r#"{"Type":"network","Action":"connect","Actor":{"ID":"067d6832","Attributes":{"container":"2ec31d1c","name":"bridge","type":"bridge"}},"scope":"local","time":1795373168}"#,
    r#"{"status":"die","id":"2e","from":"img:1","time":1}"#,
];

/// Number of tries of each target.
const TURNS: u64 = 1_000;

/// Kilobytes that this process, which runs other tests, too, may have had at most.
const MOST_MEMORY: u64 = 1_000_000;

fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn mutated(chance: &mut Chance, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    chance.mutate(&mut bytes);
    bytes
}

#[test]
fn whatever_inspect_says() {
    let mut chance = Chance::begin("inspect", TURNS);
    while chance.goes_on() {
        let bytes = mutated(&mut chance, INSPECTED);
        let good = r#"{"Id":"1","Name":"/good","Config":{"Labels":{"q.host":"a"}}}"#;
        // By itself, and beside one that is good.
        let text = String::from_utf8_lossy(&bytes);
        let _ = RecordedEngine::read(&text, |_| ());
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            continue;
        };
        let read = RecordedEngine::read(&format!("[{value},{good}]"), |_| ()).unwrap();
        let found = Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(read.inspect("good"))
            .unwrap();
        assert!(found.is_some(), "{text}");
    }
    assert!(memory() < MOST_MEMORY, "{} kB", memory());
}

/// A fake engine that answers what a test puts there.
fn said() -> (Fake, Rc<RefCell<[Vec<u8>; 3]>>) {
    let said = Rc::<RefCell<[Vec<u8>; 3]>>::default();
    let shared = Rc::clone(&said);
    let fake = Fake::start(move |line| match line.split(['?', ' ']).nth(1).unwrap() {
        "/_ping" => Reply::new(200, "OK"),
        "/events" => {
            Reply::stream(&shared.borrow()[0].chunks(4000).collect::<Vec<_>>()).then_ends()
        }
        "/containers/json" => Reply::new(200, &shared.borrow()[1]),
        _ => Reply::new(200, &shared.borrow()[2]),
    });
    (fake, said)
}

#[test]
fn whatever_comes_over_the_socket() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(local(async {
        let (fake, said) = said();
        let engine = fake.engine();
        let mut chance = Chance::begin("socket", TURNS);
        while chance.goes_on() {
            let event = *chance.pick(EVENTS);
            let odd = mutated(&mut chance, event);
            // Whether our place in the stream is kept: each line is JSON, nothing, or too long.
            let is_sound = odd.split(|byte| *byte == b'\n').all(is_line);
            let [first, last] = ["first", "last"].map(|id| EVENTS[0].replace("2ec31d1c", id));
            *said.borrow_mut() = [
                [first.as_bytes(), b"\n", &odd, b"\n", last.as_bytes(), b"\n"].concat(),
                mutated(&mut chance, LISTED),
                mutated(&mut chance, INSPECTED),
            ];
            let events: Vec<_> = engine.events().await.unwrap().collect().await;
            let ids: Vec<_> = events
                .iter()
                .flatten()
                .map(|event| event.container.as_str())
                .collect();
            let shown = || {
                String::from_utf8_lossy(&odd)
                    .chars()
                    .take(2000)
                    .collect::<String>()
            };
            assert_eq!(ids.first(), Some(&"first"), "{}", shown());
            assert_eq!(
                is_sound,
                ids.last() == Some(&"last"),
                "{ids:?} of {}",
                shown()
            );
            // Both may fail; neither may do more.
            let _ = engine.bearers(&Dialects::native("q").interest()).await;
            let _ = engine.inspect("shop").await;
        }
    }));
    assert!(memory() < MOST_MEMORY, "{} kB", memory());
}

fn is_line(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
        || line.len() > 1 << 20
        || serde_json::from_slice::<serde_json::Value>(line).is_ok()
}
