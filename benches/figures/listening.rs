//! What the setting `listen` takes of the whole program: memory at rest, and time of a turn while clients of every kind are there.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::sleep,
};

use crate::{
    fake::{rest, signalled},
    median, resident,
    sites::SITES,
    support::{fake_engine::local, program::Program},
    table::Table,
    world::World,
};

const ROUNDS: usize = 11;

/// Clients at the same time that send a byte now and then, and never a whole request.
const SLOW: usize = 10_000;

/// Measures both with as many sites as pages are measured with.
pub fn measure(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(local(async {
        let without = memory(&world(), &[]).await;
        let at = free();
        let listen = at.to_string();
        let world = world();
        let program = world.start_with(&["watch", "--listen", &listen]);
        rest(&program).await;
        let what = |which| format!("resident memory more with listen, {SITES} containers, {which}");
        table.figure(
            what("never asked"),
            "MiB",
            resident(program.id()) - without,
            2.0,
        );
        for path in ["/", "/metrics", "/status.json", "/name/app7.example"] {
            assert!(ask(at, path).await > 1000, "{path} is shown");
        }
        rest(&program).await;
        table.told(
            what("asked for each once"),
            "MiB",
            resident(program.id()) - without,
        );
        turns(table, &world, &program, at).await;
    }));
}

async fn memory(world: &World, more: &[&str]) -> f64 {
    let program = world.start_with(&[&["watch"], more].concat());
    rest(&program).await;
    resident(program.id())
}

fn world() -> World {
    let world = World::new();
    (0..SITES).for_each(|n| world.app(&format!("app{n}")));
    world
}

/// A port that was free just now.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The bytes of an answer.
async fn ask(at: SocketAddr, path: &str) -> usize {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    said.len()
}

async fn turns(table: &mut Table, world: &World, program: &Program, at: SocketAddr) {
    let quiet = signals(world, program, 0).await;
    let mut clients = JoinSet::new();
    for _ in 0..SLOW {
        clients.spawn_local(async move {
            let Ok(mut stream) = TcpStream::connect(at).await else {
                return;
            };
            while stream.write_all(b"G").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
    sleep(Duration::from_secs(2)).await;
    let busy = signals(world, program, ROUNDS).await;
    table.beside(
        format!("event to signal with {SLOW} slow clients, beside none"),
        "ms",
        busy,
        quiet,
        5.0,
    );
}

/// The time from an event to its signal, in the middle of some.
async fn signals(world: &World, program: &Program, from: usize) -> f64 {
    let mut took = Vec::new();
    for round in from..from + ROUNDS {
        let (app, health) = (format!("app{round}"), "unhealthy");
        world.change(&app, |app| {
            app["State"]["Health"] = serde_json::json!({"Status": health})
        });
        took.push(signalled(world, &app, "proxy", health).await);
        sleep(Duration::from_millis(300)).await;
    }
    assert!(!program.told().is_empty());
    median(took)
}
