//! Folders of a consumer's that are swapped for links, between two steps and in the midst of them: nothing behind a link
//! is read, written, removed or changed in its mode or owner.

use std::{
    os::unix::fs::{MetadataExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::ports::ResponseFault;

/// Each folder, from the mount on.
const FOLDERS: [&str; 7] = [
    "conf.d",
    "conf.d/.quaymaster",
    "conf.d/certificates",
    "conf.d/certificates/.versions",
    "conf.d/certificates/.versions/shop.example",
    "conf.d/challenge",
    "conf.d/challenge/.well-known/acme-challenge",
];

/// The content of each file behind a link.
const SECRET: &str = "# Written by quaymaster.\nsecret";

/// All that is done in a consumer's folders, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stage,
    Switch,
    Look,
    TakeBack,
    Prove,
    Tidy,
    Publish,
    Withdraw,
}

/// The disk error of a responder that has no network.
fn of_disk(done: Result<(), ResponseFault>) -> Result<(), DiskError> {
    done.map_err(|fault| match fault {
        ResponseFault::Disk(error) => error,
        ResponseFault::Record(fault) => panic!("{fault}"),
    })
}

const STEPS: [Step; 8] = [
    Step::Stage,
    Step::Switch,
    Step::Look,
    Step::TakeBack,
    Step::Prove,
    Step::Tidy,
    Step::Publish,
    Step::Withdraw,
];

/// A change in them, with a mount whose container may write to it.
struct Swapped {
    proxy: Consumer,
    mount: PathBuf,
    /// Where links lead.
    elsewhere: PathBuf,
    /// Two certificates of one name, of which the second is live.
    digests: [Digest; 2],
    webroot: SharedPath,
}

impl Swapped {
    fn new() -> Self {
        let mut proxy = consumer();
        let mount = proxy.place.config.clone();
        let config = SharedPath::beneath(&mount, mount.join("conf.d"));
        proxy.shared = config.clone();
        proxy.certificates_there = config.join("certificates");
        let first = store(&proxy.place.folders, "shop.example").digest;
        let mut swapped = Self {
            elsewhere: proxy.place.state.join("elsewhere"),
            mount,
            digests: [first; 2],
            webroot: config.join("challenge"),
            proxy,
        };
        fs::create_dir_all(&swapped.elsewhere).expect("a folder");
        for step in STEPS {
            swapped.step(step).expect("it is done");
        }
        swapped.digests[1] = store(&swapped.proxy.place.folders, "shop.example").digest;
        swapped
    }

    fn step(&self, step: Step) -> Result<(), DiskError> {
        let (folders, place) = (&self.proxy.place.folders, self.proxy.folder());
        let new = format!("{OURS}{}", self.digests[1]);
        let write = BTreeMap::from([
            (file("quaymaster-a.conf"), new.clone()),
            (file("quaymaster-b.conf"), new),
        ]);
        let change = Change {
            write: &write,
            remove: &[file("quaymaster-gone.conf")].into(),
            deliver: &[(
                name("shop.example"),
                version("shop.example", self.digests[1]),
            )]
            .into(),
        };
        let proven = Installed {
            certificates: [(name("shop.example"), self.digests[1])].into(),
            progress: Progress::TakenBack,
            ..Installed::default()
        };
        match step {
            Step::Stage => folders.stage(&place, &change).map(drop),
            Step::Switch => folders.switch(&place, &change, &open()).map(drop),
            Step::Look => folders.installed(&place).map(drop),
            Step::TakeBack => folders.take_back(&place).map(drop),
            Step::Prove => {
                let tidy = [name("shop.example"), name("gone.example")].into();
                folders.keep_installed(&place, &proven, &tidy)
            }
            Step::Tidy => folders.tidy(&place).into_iter().try_for_each(Err),
            Step::Publish => of_disk(tests::published(
                &tests::webroot(&self.webroot),
                &tests::challenge("tok-EN_1"),
            )),
            Step::Withdraw => of_disk(tests::withdrawn(&tests::webroot(&self.webroot))),
        }
    }

    /// Puts a folder elsewhere, with a secret in each file, and a link to it in its place.
    fn swap(&self, folder: &str) -> PathBuf {
        let (from, to) = (self.mount.join(folder), self.elsewhere.join("theirs"));
        fs::rename(&from, &to).expect("it is moved");
        for path in walk(&to).keys().filter(|path| path.is_file()) {
            fs::write(path, SECRET).expect("it is written");
        }
        symlink(&to, &from).expect("a link");
        to
    }
}

/// Everything in a folder, through no link: what it is, when anything of it was last changed, and what is in it.
fn walk(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let meta = fs::symlink_metadata(&path).expect("it is there");
        let mut bytes = Vec::new();
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("a list");
            folders.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if meta.is_file() {
            bytes = fs::read(&path).expect("it is read");
        }
        found.insert(path, (meta.mode(), meta.ctime(), meta.ctime_nsec(), bytes));
    }
    found
}

fn holds_secret(folder: &Path) -> bool {
    let secret = SECRET.lines().last().expect("a line").as_bytes();
    let mut files = walk(folder).into_values();
    files.any(|(.., bytes)| bytes.windows(secret.len()).any(|part| part == secret))
}

#[test]
fn a_folder_of_a_consumer_that_is_swapped_for_a_link_between_any_two_steps_leads_nowhere_else() {
    for folder in FOLDERS {
        for done in 0..STEPS.len() {
            let swapped = Swapped::new();
            let case = format!("{folder}, before {:?}", STEPS[done]);
            for step in &STEPS[..done] {
                swapped.step(*step).expect("it is done");
            }
            let to = swapped.swap(folder);
            let before = walk(&to);
            for step in &STEPS[done..] {
                let _ = swapped.step(*step);
            }
            let told = STEPS.map(|step| swapped.step(step).map_err(|error| error.to_string()));
            assert_eq!(walk(&to), before, "{case}");
            assert!(!holds_secret(&swapped.mount), "{case}");
            let deployed = swapped.proxy.place.state.join("deployed");
            assert!(!holds_secret(&deployed), "{case}");
            let link = swapped.mount.join(folder);
            let is_told = |told: &Result<(), String>| {
                told.as_ref().is_err_and(|told| {
                    told.starts_with(&format!("{} ", link.display()))
                        && told.contains("it is a link where a folder is expected")
                })
            };
            assert!(told.iter().any(is_told), "{case}: {told:?}");
        }
    }
}

#[test]
fn a_folder_of_a_consumer_that_is_swapped_for_a_link_in_the_midst_of_a_step_leads_nowhere_else() {
    for folder in FOLDERS {
        let swapped = Swapped::new();
        let to = swapped.swap(folder);
        let (place, aside) = (swapped.mount.join(folder), swapped.elsewhere.join("link"));
        let before = walk(&to);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The link and a true folder take turns.
                while !is_over.load(Ordering::Relaxed) {
                    let _ = fs::rename(&place, &aside);
                    thread::yield_now();
                    let _ = fs::remove_dir_all(&place);
                    let _ = fs::rename(&aside, &place);
                    thread::yield_now();
                }
            });
            for _ in 0..200 {
                for step in STEPS {
                    let _ = swapped.step(step);
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(walk(&to), before, "{folder}");
        let deployed = swapped.proxy.place.state.join("deployed");
        assert!(!holds_secret(&deployed), "{folder}");
    }
}

#[test]
fn a_link_in_the_place_of_a_consumer_s_file_is_neither_read_nor_followed() {
    let swapped = Swapped::new();
    for step in [Step::Stage, Step::Switch, Step::Prove] {
        swapped.step(step).expect("it is done");
    }
    let secret = swapped.elsewhere.join("secret");
    fs::write(&secret, SECRET).expect("it is written");
    let [a, b] =
        ["a", "b"].map(|name| swapped.mount.join(format!("conf.d/quaymaster-{name}.conf")));
    fs::remove_file(&a).expect("it is removed");
    symlink(&secret, &a).expect("a link");
    let before = walk(&swapped.elsewhere);
    let installed = swapped.proxy.look();
    assert_eq!(installed.foreign, [file("quaymaster-a.conf")].into());
    assert_eq!(
        installed.files.keys().collect::<Vec<_>>(),
        [&file("quaymaster-b.conf")]
    );
    swapped.step(Step::Stage).expect("it is staged");
    let told = swapped.step(Step::Switch).expect_err("it is refused");
    assert!(
        told.to_string()
            .contains("it is a link where a file is expected"),
        "{told}"
    );
    assert!(a.is_symlink() && !b.is_symlink());
    assert_eq!(walk(&swapped.elsewhere), before);
    let deployed = swapped.proxy.place.state.join("deployed");
    assert!(!holds_secret(&deployed));
}
