//! Files inside a container that shares no mount, put there by the real engine and the whole program.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use quaymaster::{
    ports::{Engine, EngineError, Item, Parcel},
    values::{ContainerId, Owner, Secret, Timestamp},
};
use tempfile::TempDir;

use super::real::{Made, docker, engine, image, socket, unique};
use crate::support::program::{SOON, binary};

const HOST: &str = "app.example";
/// 2027-01-15.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A server with labels that ask for files, gone when it is dropped.
struct App {
    name: String,
}

impl App {
    /// One that writes down each signal that tells it.
    fn start(name: &str, options: &[&str]) -> Self {
        let labels = [
            ("use", HOST),
            ("ca", "none"),
            ("copy", "true"),
            ("files", "/srv/app/certs"),
            ("layout", "server"),
            ("owner", "33:34"),
            ("mode", "0640"),
            ("reload", "HUP"),
        ];
        let labels = labels.map(|(key, value)| format!("{name}.{key}={value}"));
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        let mut words = vec!["run", "-d", "--name", name, "--stop-timeout", "0"];
        words.extend(["--restart", "always", "--stop-signal", "TERM"]);
        words.extend(["--label", "com.docker.compose.project=inside"]);
        words.extend(labels.chain(options.iter().copied()));
        let script = "trap 'echo told >>/told' HUP; while :; do sleep 0.05; done";
        words.extend([image(), "sh", "-c", script]);
        docker(&words);
        Self {
            name: name.to_owned(),
        }
    }

    /// The text of a file as a user of it reads it; none where it can't be read.
    fn read(&self, user: &str, file: &str) -> String {
        let script = format!("while read -r line; do echo \"$line\"; done <{file}");
        let ran = Command::new("docker")
            .args(["exec", "-u", user, &self.name, "sh", "-c", &script])
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap()
    }

    /// The lines that it has written, once it got so many signals.
    fn told(&self, times: usize) -> String {
        let begun = Instant::now();
        loop {
            let told = self.read("0", "/told");
            if told.lines().count() >= times || begun.elapsed() > SOON {
                return told;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn listed(&self) -> BTreeMap<String, String> {
        listed(&self.name, "/srv/app/certs")
    }
}

/// The files in a folder of a container, by paths and targets of links: mode, owner, length and time.
fn listed(container: &str, folder: &str) -> BTreeMap<String, String> {
    let script = "docker cp \"$1\" - | tar -tvf - --numeric-owner --full-time";
    let listed = Command::new("sh")
        .args(["-c", script, "sh", &format!("{container}:{folder}")])
        .output()
        .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let name = folder.rsplit('/').next().unwrap();
    let entry = |line: &str| {
        let (about, path) = line.split_once(&format!(" {name}/")).unwrap();
        (path.to_owned(), about.to_owned())
    };
    text.lines().map(entry).collect()
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["rm", "-f", "-v", &self.name])
            .output();
    }
}

/// The folder that is kept between two runs of the program.
struct Place(TempDir);

impl Place {
    /// Provides a new pair; returns its certificate.
    fn provide(&self) -> String {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let folder = self.0.path().join("certificates/provided").join(HOST);
        fs::create_dir_all(&folder).unwrap();
        let key = folder.join("privkey.pem");
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(folder.join("fullchain.pem"), made.cert.pem()).unwrap();
        made.cert.pem().replace('\r', "")
    }

    /// Does what there is to do; labels begin with this word.
    fn once(&self, prefix: &str) -> String {
        let state = |path: &str| self.0.path().join(path).display().to_string();
        let Output { stderr, .. } = Command::new(binary())
            .env_clear()
            .env("QUAYMASTER_GRANTS", "inside = \"* keys copy\"")
            .args(["once", "--agree-tos", "--label-prefix", prefix])
            // Nobody is asked there.
            .args(["--ca", "https://127.0.0.1:1/directory"])
            .args(["--engine", &socket(), "--state", &state("state")])
            .args(["--certificates", &state("certificates")])
            .output()
            .unwrap();
        String::from_utf8(stderr).unwrap()
    }
}

#[test]
fn files_get_into_a_container_without_a_mount_and_again_when_it_is_made_anew() {
    let (place, name) = (Place(tempfile::tempdir().unwrap()), unique("inside"));
    let app = App::start(&name, &[]);
    let [certificate, key] = ["/srv/app/certs/server.crt", "/srv/app/certs/server.key"];
    let first = place.provide();
    let told = place.once(&name);
    assert_eq!(app.read("1000:1000", certificate), first, "{told}");
    for (user, is_read) in [("33:1", true), ("1:34", true), ("1000:1000", false)] {
        assert_eq!(!app.read(user, key).is_empty(), is_read, "{user}");
    }
    let listed = app.listed();
    let of_key = listed
        .iter()
        .find(|(path, _)| path.ends_with("/server.key"));
    let (_, about) = of_key.unwrap_or_else(|| panic!("{listed:?}"));
    assert!(about.starts_with("-rw-r----- 33/34 "), "{about}");
    let link = |app: &App| {
        let listed = app.listed();
        let mut links = listed
            .into_keys()
            .filter(|path| path.starts_with(".current -> "));
        links.next().unwrap()
    };
    let to_first = link(&app);
    assert_eq!(app.told(1), "told\n");

    // The same is not sent again.
    place.once(&name);
    assert_eq!(app.listed(), listed);

    // Another version is another folder, and one link leads to it.
    let second = place.provide();
    let told = place.once(&name);
    assert_eq!(app.read("33:34", certificate), second, "{told}");
    assert_ne!(link(&app), to_first);
    assert_eq!(app.told(2), "told\ntold\n");
    let third = place.provide();
    let told = place.once(&name);
    assert_eq!(app.read("33:34", certificate), third, "{told}");
    // Of the first nothing is left but a name.
    let versions = app.listed();
    let keys = versions
        .keys()
        .filter(|path| path.starts_with(".versions/") && path.ends_with("/server.key"));
    assert_eq!(keys.count(), 2, "{versions:?}");

    drop(app);
    let anew = App::start(&name, &[]);
    let told = place.once(&name);
    assert_eq!(anew.read("33:34", certificate), third, "{told}");
    assert_eq!(anew.told(1), "told\n");
}

#[tokio::test]
async fn a_file_system_that_takes_no_files_is_told_and_a_volume_in_it_takes_them() {
    let made = Made::running(&["--read-only", "-v", "/volume"], &["sleep", "1000"]);
    let file = Item::File {
        text: Secret::new("text"),
        mode: 0o640,
        owner: Owner::parse("3000000:34"),
    };
    // Neither has room in a header of old.
    let long = format!("{}/{}", "a".repeat(200), "b".repeat(100));
    let parcel = |folder: &str| Parcel {
        container: ContainerId::parse(made.id.clone()).unwrap(),
        folder: folder.into(),
        items: vec![
            (long.clone().into(), file.clone()),
            ("link".into(), Item::Link(long.clone().into())),
        ],
        may_replace_folders: false,
    };
    let engine = engine();
    let refused = engine.put(&parcel("/srv"), NOW).await.unwrap_err();
    assert!(
        matches!(refused, EngineError::ReadOnly { .. }),
        "{refused:?}"
    );
    engine.put(&parcel("/volume"), NOW).await.unwrap();
    let now = || listed(&made.name, "/volume");
    let listed = now();
    let about = &listed[&long];
    let is_so = about.starts_with("-rw-r----- 3000000/34 ") && about.contains(" 4 2027-01-15 ");
    assert!(is_so, "{about}");
    let link = format!("link -> {long}");
    assert!(listed.contains_key(&link), "{listed:?}");

    // A link takes the place of a link. A folder makes room where it may, and nowhere else.
    engine.put(&parcel("/volume"), NOW).await.unwrap();
    let of_folder = |may_replace_folders| Parcel {
        items: vec![("a".repeat(200).into(), Item::Link("elsewhere".into()))],
        may_replace_folders,
        ..parcel("/volume")
    };
    let kept = engine.put(&of_folder(false), NOW).await.unwrap_err();
    assert!(
        kept.to_string().contains("cannot overwrite directory"),
        "{kept}"
    );
    assert!(now().contains_key(&long) && now().contains_key(&link));
    engine.put(&of_folder(true), NOW).await.unwrap();
    assert!(!now().contains_key(&long));
}
