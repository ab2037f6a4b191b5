//! Servers that get certificates and no configuration, on an engine that answers at once: how soon 100 of them are told of
//! one certificate, and what many of them cost while something else changes.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::json;
use tempfile::TempDir;
use tokio::{runtime::Builder, time::sleep};

use crate::{
    fake::rest,
    provided,
    support::{fake_engine::local, program::Program},
    table::Table,
    world::World,
};

/// The number of the provided certificate that all of them use.
const CERTIFICATE: u32 = 7;
const NAME: &str = "app7.example";

/// The requests to engines when one of these servers is reloaded.
const TOLD: &str = "POST /containers/used";

/// The requests to engines when a site has changed.
const PROXY_TOLD: &str = "POST /containers/proxy/";

/// The longest time until strace shows each call.
const ATTACHED: Duration = Duration::from_secs(2);

/// Events over which calls are averaged, each about another app.
const EVENTS: usize = 10;

const PATIENCE: Duration = Duration::from_secs(600);

/// Measures it.
pub fn measure(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(local(renewed(100, table)));
    let few = runtime.block_on(local(elsewhere(1)));
    let many = runtime.block_on(local(elsewhere(1000)));
    let what =
        "calls about files for an event that concerns none of 1000 servers, beside the same with 1";
    table.beside(what, "", many, few, 0.0);
}

/// Servers that have the certificate, and the program at rest.
struct Servers {
    world: World,
    program: Program,
    root: TempDir,
}

impl Servers {
    async fn settled(number: usize) -> Self {
        let (world, root) = (World::new(), tempfile::tempdir().unwrap());
        (0..EVENTS).for_each(|n| world.app(&format!("app{n}")));
        provided::write(&of_user(&world), CERTIFICATE);
        for n in 0..number {
            let folder = root.path().join(n.to_string());
            fs::create_dir(&folder).unwrap();
            world.set(&format!("used{n}"), "quaymaster.use", NAME, |container| {
                let labels = &mut container["Config"]["Labels"];
                labels["quaymaster.files"] = json!("/certs");
                labels["quaymaster.reload"] = json!("HUP");
                container["Mounts"] =
                    json!([{"Type": "bind", "Source": folder, "Destination": "/certs", "RW": true}]);
            });
        }
        let program = world.start("watch");
        until(|| world.asked(TOLD) >= number).await;
        rest(&program).await;
        Self {
            world,
            program,
            root,
        }
    }

    fn folder(&self, n: usize) -> PathBuf {
        self.root.path().join(n.to_string())
    }
}

/// Where the user's own certificates lie.
fn of_user(world: &World) -> PathBuf {
    world.state_folder().join("certificates/provided")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "nothing came");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Counts what of a kind happens in these folders, as long as the result is there.
fn watch(
    folders: impl IntoIterator<Item = PathBuf>,
    counts: fn(&EventKind) -> bool,
) -> (RecommendedWatcher, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if counts(&event.unwrap().kind) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })
    .unwrap();
    for folder in folders {
        watcher.watch(&folder, RecursiveMode::NonRecursive).unwrap();
    }
    (watcher, seen)
}

async fn renewed(number: usize, table: &mut Table) {
    let servers = Servers::settled(number).await;
    let world = &servers.world;
    let versions = |n| servers.folder(n).join(".versions").join(NAME);
    let is_new = |kind: &EventKind| matches!(kind, EventKind::Create(_));
    let (_watcher, written) = watch((0..number).map(versions), is_new);
    let before = world.asked(TOLD);
    provided::write(&of_user(world), CERTIFICATE);
    until(|| world.asked(TOLD) > before).await;
    let first = Instant::now();
    until(|| world.asked(TOLD) >= before + number).await;
    let took = first.elapsed().as_secs_f64() * 1000.0;
    let has_one = |n| fs::read_dir(versions(n)).unwrap().count() == 1;
    until(|| (0..number).all(has_one)).await;
    rest(&servers.program).await;
    let what =
        format!("one certificate for {number} servers, from the first that is told to the last");
    table.figure(what, "ms", took, 1000.0);
    let each = |count: usize| count as f64 / number as f64;
    table.figure(
        "signals to each of them",
        "",
        each(world.asked(TOLD) - before),
        1.0,
    );
    let written = each(written.load(Ordering::Relaxed));
    table.figure("versions written for each of them", "", written, 1.0);
}

/// Number of calls about files for an event of an app, while so many servers have nothing to do with it.
async fn elsewhere(number: usize) -> f64 {
    let servers = Servers::settled(number).await;
    let (world, program) = (&servers.world, &servers.program);
    let (file, process) = (servers.root.path().join("calls"), program.id().to_string());
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=%file", "-p", &process, "-o"])
        .arg(&file)
        .spawn()
        .unwrap();
    let calls = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    // Once it is there: what the first event takes does not count.
    world.event("app0", "update");
    sleep(ATTACHED).await;
    let (before, told) = (calls(), world.asked(PROXY_TOLD));
    for n in 1..EVENTS {
        let app = format!("app{n}");
        world.change(&app, |app| {
            app["State"]["Health"] = json!({"Status": "unhealthy"});
        });
        world.event(&app, "health_status: unhealthy");
        until(|| world.asked(PROXY_TOLD) >= told + n).await;
        rest(program).await;
    }
    let taken = calls() - before;
    strace.kill().unwrap();
    strace.wait().unwrap();
    taken as f64 / (EVENTS - 1) as f64
}
