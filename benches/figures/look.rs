//! A look at 10,000 certificates that lie there as they should, and the plan that follows it and has nothing to do. Its
//! files are real, in a temporary folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};

use quaymaster::{
    adapters::{
        acme::{new_key, self_signed},
        clock::SystemClock,
        disk::Folders,
    },
    desire::{Desired, desire},
    observe::Observed,
    plan::Planner,
    ports::{CertificateStore, Clock},
    render::Templates,
    values::{CertificateName, Issuer, KeyType, Secret},
};

use crate::{
    median,
    sites::{self, NOW, SITES},
    table::Table,
};

/// The life of each certificate.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const ROUNDS: usize = 11;
const DIRECTORY: &str = "https://ca.example/directory";

/// Measures the first look, and further ones.
pub fn measure(table: &mut Table) {
    let desired = desire(
        &sites::snapshot(),
        &sites::label_rules(Issuer::Ca(DIRECTORY.to_owned())),
    );
    let templates = Templates::built_in().unwrap();
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path(), &desired);
    // Younger files are read again each time.
    sleep(Duration::from_secs(3));
    let folders = Folders::new(
        folder.path().join("certificates"),
        folder.path().join("state"),
        |_| (),
    );
    let began = Instant::now();
    let first = look(&folders, &sites::fresh(&desired));
    table.told(
        format!("first look at {SITES} certificates"),
        "ms",
        began.elapsed().as_secs_f64() * 1000.0,
    );
    let mut observed = sites::settled(&desired, first, &templates);
    let mut memory = Planner::default();
    assert_eq!(
        sites::written(&mut memory, &desired, &observed, &templates),
        0
    );
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        observed = look(&folders, &observed);
        assert_eq!(
            sites::written(&mut memory, &desired, &observed, &templates),
            0
        );
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    table.figure(
        format!("look again at {SITES} certificates, none due"),
        "ms",
        median(took),
        200.0,
    );
}

fn look(folders: &Folders, observed: &Observed) -> Observed {
    let found = folders.certificates(SystemClock.now()).unwrap();
    assert!(
        found.faults.is_empty() && found.repairs.is_empty() && found.held.len() == SITES as usize
    );
    Observed {
        held: Rc::new(found.held),
        ..observed.clone()
    }
}

/// Puts a certificate of its own there for each name, as if each had been obtained once.
fn lay_out(root: &Path, desired: &Desired) {
    for (name, wanted) in &desired.certificates {
        let key = new_key(KeyType::Ec256).unwrap();
        let chain = self_signed(&key, &wanted.names.iter().cloned().collect(), NOW, LIFE).unwrap();
        let version = root
            .join("certificates/archive")
            .join(name.as_str())
            .join("1");
        write(&version, &chain, &key);
        write(&root.join("state/copies").join(name.as_str()), &chain, &key);
        link(&root.join("certificates/live"), name);
    }
}

fn write(folder: &Path, chain: &str, key: &Secret) {
    fs::create_dir_all(folder).unwrap();
    let about = format!(r#"{{"source": {{"acme": "{DIRECTORY}"}}}}"#);
    for (file, text) in [
        ("fullchain.pem", chain),
        ("privkey.pem", key.expose()),
        ("about.json", &about),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
    fs::set_permissions(
        folder.join("privkey.pem"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
}

fn link(live: &Path, name: &CertificateName) {
    fs::create_dir_all(live).unwrap();
    symlink(
        Path::new("../archive").join(name.as_str()).join("1"),
        live.join(name.as_str()),
    )
    .unwrap();
}
