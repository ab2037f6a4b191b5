//! 10,000 certificates that the user provides, in real files: the first look, a later one, and one after a change.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process,
    thread::sleep,
    time::{Duration, Instant},
};

use quaymaster::{
    adapters::{
        acme::{new_key, self_signed},
        clock::SystemClock,
        disk::Folders,
    },
    ports::{CertificateStore, Clock},
    values::{Host, KeyType},
};

use tokio::runtime::Builder;

use crate::{
    fake::rest, median, resident, sites::SITES, support::fake_engine::local, table::Table,
    world::World,
};

/// The life of each certificate.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const ROUNDS: usize = 11;

/// How many of them there are while one is delivered.
const DELIVERED: u32 = 100;

/// What the engine is asked when the server is told.
const SIGNALLED: &str = "POST /containers/proxy/";

/// Measures looks at them.
pub fn measure(table: &mut Table) {
    let root = tempfile::tempdir().unwrap();
    let provided = root.path().join("certificates/provided");
    (0..SITES).for_each(|number| write(&provided, number));
    // Younger files are read again each time.
    sleep(Duration::from_secs(3));
    let folders = Folders::new(
        root.path().join("certificates"),
        root.path().join("state"),
        |_| (),
    );
    let before = resident(process::id());
    let began = Instant::now();
    look(&folders);
    let took = began.elapsed().as_secs_f64() * 1000.0;
    let what = format!("first look at {SITES} provided certificates");
    table.figure(what, "ms", took, 2000.0);
    let what = format!("memory of {SITES} provided certificates");
    table.figure(what, "MiB", resident(process::id()) - before, 60.0);
    let took = |change: &dyn Fn()| {
        change();
        let began = Instant::now();
        look(&folders);
        began.elapsed().as_secs_f64() * 1000.0
    };
    let again = median((0..ROUNDS).map(|_| took(&|| ())).collect());
    let what = format!("look again at {SITES} provided certificates");
    table.figure(what, "ms", again, 200.0);
    let changed = median((0..ROUNDS).map(|_| took(&|| write(&provided, 7))).collect());
    let what = format!("look again at {SITES} provided certificates, one changed");
    table.figure(what, "ms", changed, 200.0);
}

/// One of several provided certificates is replaced in its files: until the server that has it is signalled.
pub fn measure_delivery(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let took = runtime.block_on(local(delivered()));
    let what = format!("provided certificate replaced, to signal, {DELIVERED} provided");
    table.figure(what, "ms", took, 50.0);
}

async fn delivered() -> f64 {
    let world = World::new();
    let provided = world.state_folder().join("certificates/provided");
    (0..DELIVERED).for_each(|number| {
        world.app(&format!("app{number}"));
        write(&provided, number);
    });
    let program = world.start("watch");
    rest(&program).await;
    let mut took = Vec::new();
    for number in 0..ROUNDS as u32 {
        let before = world.asked(SIGNALLED);
        write(&provided, number);
        let began = Instant::now();
        while world.asked(SIGNALLED) == before {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing came");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        rest(&program).await;
    }
    median(took)
}

fn look(folders: &Folders) -> usize {
    let found = folders.certificates(SystemClock.now()).unwrap();
    assert!(found.faults.is_empty() && found.provided.len() == SITES as usize);
    found.provided.len()
}

/// Puts a certificate of its own there, as it comes out of Kubernetes.
pub fn write(provided: &Path, number: u32) {
    let name = format!("app{number}.example");
    let folder = provided.join(&name);
    fs::create_dir_all(&folder).unwrap();
    let key = new_key(KeyType::Ec256).unwrap();
    let names = [Host::parse(&name).unwrap()].into();
    let chain = self_signed(&key, &names, SystemClock.now(), LIFE).unwrap();
    fs::write(folder.join("tls.crt"), chain).unwrap();
    fs::write(folder.join("tls.key"), key.expose()).unwrap();
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("tls.key"), closed).unwrap();
}
