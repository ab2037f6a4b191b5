//! On an engine that answers at once, with more containers than a machine would hold.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, time::sleep};

use crate::{
    floor::Floor,
    median, resident,
    support::{fake_engine::local, program::Program},
    table::Table,
    world::World,
};

const ROUNDS: usize = 21;

/// Measures at each number of containers.
pub fn measure(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for (number, cpu, memory) in [
        (100, None, Some(12.0)),
        (1000, Some(5.0), None),
        (10_000, Some(40.0), Some(40.0)),
    ] {
        runtime.block_on(local(at(number, cpu, memory, table)));
    }
}

async fn at(number: usize, cpu: Option<f64>, memory: Option<f64>, table: &mut Table) {
    let world = World::new();
    (0..number).for_each(|n| world.app(&format!("app{n}")));
    let began = Instant::now();
    let program = world.start("watch");
    let first = until(&world, "POST /containers/proxy/", 0, began).await;
    if number == 100 {
        table.figure("first configuration at 100 containers", "ms", first, 150.0);
    }
    rest(&program).await;
    let _floor = Floor::start(world.socket(), "\"floor\"", "floor");
    while world.asked("GET /events") < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    let before = used(&program);
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each time another one: who comes and goes again and again waits.
        let (app, health) = (format!("app{round}"), "unhealthy");
        floors.push(signalled(&world, "floor", "floor", health).await);
        world.change(&app, |app| {
            app["State"]["Health"] = serde_json::json!({"Status": health})
        });
        ours.push(signalled(&world, &app, "proxy", health).await);
        rest(&program).await;
    }
    let each = (used(&program) - before) / ROUNDS as f64;
    let what = format!("event to signal, {number} containers, fake engine");
    table.beside(what, "ms", median(ours), median(floors), 10.0);
    if let Some(limit) = cpu {
        table.figure(
            format!("processor time of an event, {number} containers"),
            "ms",
            each,
            limit,
        );
    }
    if let Some(limit) = memory {
        table.figure(
            format!("resident memory, {number} containers"),
            "MiB",
            resident(program.id()),
            limit,
        );
    }
}

/// Sends an event about a container, and tells how many milliseconds later its proxy was signalled.
pub async fn signalled(world: &World, id: &str, proxy: &str, health: &str) -> f64 {
    let call = format!("POST /containers/{proxy}/");
    let before = world.asked(&call);
    let began = Instant::now();
    world.event(id, &format!("health_status: {health}"));
    until(world, &call, before, began).await
}

async fn until(world: &World, call: &str, before: usize, began: Instant) -> f64 {
    while world.asked(call) == before {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{call}: nothing came"
        );
        sleep(Duration::from_millis(1)).await;
    }
    began.elapsed().as_secs_f64() * 1000.0
}

/// Processor time that the program has used, in milliseconds; the kernel counts in tens.
fn used(program: &Program) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    let fields = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .skip(11)
        .take(2);
    fields
        .map(|field| field.parse::<f64>().unwrap() * 10.0)
        .sum()
}

/// Waits until the program does nothing any more.
pub async fn rest(program: &Program) {
    let mut before = -1.0;
    while used(program) > before {
        before = used(program);
        sleep(Duration::from_millis(200)).await;
    }
}
