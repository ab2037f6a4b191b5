//! The cost of an event, whatever the number of containers.

use std::{fs, time::Duration};

use super::world::World;
use crate::support::{fake_engine::local, program::Program};

/// Events over which the cost is averaged.
const EVENTS: u32 = 10;

/// Processor time that the program has used, in the kernel's ticks of 10 ms.
fn ticks(program: &Program) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap())
        .sum()
}

/// Waits until it rests, and tells how much it has used.
async fn at_rest(program: &Program) -> u32 {
    let mut before = ticks(program);
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match ticks(program) {
            now if now == before => return now,
            now => before = now,
        }
    }
}

async fn costs(number: usize) {
    let world = World::new();
    (0..number).for_each(|n| world.app(&format!("app{n}")));
    let program = world.start("watch");
    let told = || world.sites().len() == number && world.asked("POST") > 0;
    program
        .within(Duration::from_secs(600), "all are there", told)
        .await;
    let start = at_rest(&program).await;
    world.forget();

    for action in [
        "exec_create: sh -c true",
        "exec_start: sh -c true",
        "exec_die",
        "kill",
        "top",
    ] {
        world.event("app1", action);
    }
    let quiet = at_rest(&program).await;
    assert_eq!(
        world.requests(),
        Vec::<String>::new(),
        "what changes nothing is not asked about"
    );

    for n in 1..=EVENTS as usize {
        world.event("app1", "update");
        program
            .until("it is asked", || world.requests().len() >= n)
            .await;
    }
    let unchanged = at_rest(&program).await;
    assert_eq!(
        world.requests(),
        vec!["GET /containers/app1/json"; EVENTS as usize],
        "one inspect an event, no list"
    );

    world.forget();
    for n in 1..=EVENTS {
        // Each another one: who comes and goes again and again waits.
        let id = format!("app{n}");
        world.change(&id, |app| {
            app["State"]["Health"] = serde_json::json!({"Status": "unhealthy"})
        });
        world.event(&id, "health_status: unhealthy");
        program
            .until("the proxy is told", || world.asked("POST") >= n as usize)
            .await;
    }
    let changed = at_rest(&program).await;
    let inspects = (1..=EVENTS).map(|n| format!("GET /containers/app{n}/json"));
    assert_eq!(
        world.requests(),
        inspects.collect::<Vec<_>>(),
        "one inspect an event, no list"
    );
    let each = |from: u32, to: u32| f64::from((to - from) * 10) / f64::from(EVENTS);
    println!(
        "{number} containers: start {} ms; {} ms for five events that concern nobody; {} ms an event that changes \
         nothing; {} ms one that changes a site",
        start * 10,
        (quiet - start) * 10,
        each(quiet, unchanged),
        each(unchanged, changed),
    );
}

#[tokio::test]
async fn an_event_costs_one_inspect_at_100_containers() {
    local(costs(100)).await;
}

#[tokio::test]
async fn an_event_costs_one_inspect_at_1000_containers() {
    local(costs(1000)).await;
}

#[tokio::test]
async fn an_event_costs_one_inspect_at_10000_containers() {
    local(costs(10_000)).await;
}
