//! Configurations that a server starts with, and that are ours as long as nobody changes them.

use std::os::unix::fs::symlink;

use super::*;
use crate::ports::DefaultPlace;

const CONF: &str = "mosquitto.conf";

/// A broker with a folder for its configuration.
struct Broker {
    proxy: Consumer,
    file: FileName,
    beside: [FileName; 2],
}

fn broker() -> Broker {
    Broker {
        proxy: consumer(),
        file: file(CONF),
        beside: ["passwd", "acl"].map(file),
    }
}

fn ours(text: &str) -> String {
    InstalledFile::sealed("#", text)
}

impl Broker {
    fn folder(&self) -> Folder<'_> {
        Folder {
            default: Some(DefaultPlace {
                file: &self.file,
                beside: &self.beside,
            }),
            ..self.proxy.folder()
        }
    }

    /// Writes the default with this in it, or takes it away.
    fn put(&self, text: Option<&str>) {
        let write = text.map(|text| (self.file.clone(), ours(text)));
        let change = Change {
            write: &write.into_iter().collect(),
            remove: &text
                .is_none()
                .then(|| self.file.clone())
                .into_iter()
                .collect(),
            deliver: &BTreeMap::new(),
        };
        let folders = &self.proxy.place.folders;
        folders
            .stage(&self.folder(), &change)
            .expect("it is staged");
        folders
            .switch(&self.folder(), &change, &open())
            .expect("it is put in place");
    }

    fn take_back(&self) {
        let folders = &self.proxy.place.folders;
        folders.take_back(&self.folder()).expect("it is done");
    }

    fn look(&self) -> Installed {
        let folders = &self.proxy.place.folders;
        folders.installed(&self.folder()).expect("it is looked at")
    }

    fn text(&self) -> Option<String> {
        self.proxy.text(CONF)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.proxy.place.config.join(name), text).expect("it is written");
    }
}

#[test]
fn a_default_is_written_where_there_is_none_and_is_ours_until_it_is_changed() {
    let broker = broker();
    assert_eq!(broker.look(), Installed::default());
    broker.put(Some("listener 1883\n"));
    let digest = Digest::of(ours("listener 1883\n"));
    let seen = broker.look();
    assert_eq!(seen.files[&broker.file].digest, digest);
    assert_eq!(mode(broker.proxy.place.config.join(CONF)), 0o644);
    broker.put(Some("listener 8883\n"));
    assert_eq!(broker.text(), Some(ours("listener 8883\n")));
    broker.take_back();
    assert_eq!(broker.text(), None, "there was none before");
}

#[test]
fn what_somebody_changed_or_wrote_is_never_replaced_or_taken_away() {
    let changed = ours("listener 1883\n") + "listener 9001\n";
    for text in [changed.as_str(), "listener 1883\n", ""] {
        let broker = broker();
        broker.put(Some("listener 1883\n"));
        // Between our last look and what is done now.
        broker.write(CONF, text);
        broker.put(Some("listener 8883\n"));
        assert_eq!(broker.text().as_deref(), Some(text));
        broker.take_back();
        assert_eq!(broker.text().as_deref(), Some(text));
        broker.put(None);
        assert_eq!(broker.text().as_deref(), Some(text));
        let seen = broker.look();
        assert_eq!(seen.foreign, [broker.file.clone()].into());
        assert!(seen.files.is_empty());
    }
}

#[test]
fn a_link_or_a_folder_in_its_place_is_the_user_s() {
    let broker = broker();
    let path = broker.proxy.place.config.join(CONF);
    broker.write("other.conf", &ours("listener 1883\n"));
    symlink("other.conf", &path).expect("it is made");
    broker.put(Some("listener 8883\n"));
    assert_eq!(
        fs::read_link(&path).expect("a link"),
        Path::new("other.conf")
    );
    assert_eq!(broker.look().foreign, [broker.file.clone()].into());
    fs::remove_file(&path).expect("it is gone");
    fs::create_dir(&path).expect("it is made");
    broker.put(Some("listener 8883\n"));
    assert!(path.is_dir());
    assert_eq!(broker.look().foreign, [broker.file.clone()].into());
}

#[test]
fn files_of_the_user_s_beside_it_are_seen_and_nothing_else_in_its_folder() {
    let broker = broker();
    broker.write("quaymaster-a.conf", "mine");
    broker.write("acl", "user a");
    fs::create_dir(broker.proxy.place.config.join("passwd")).expect("it is made");
    let seen = broker.look();
    assert_eq!(seen.beside, [file("acl")].into());
    assert!(seen.files.is_empty() && seen.foreign.is_empty() && seen.shut.is_empty());
}
