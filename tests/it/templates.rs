//! The user's folder of templates as it really is: replaced, written in place, removed and made anew under a real
//! watch; links, pipes and other things that lie in folders.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, stream::LocalBoxStream};
use quaymaster::{
    adapters::templates::TemplateFolder,
    ports::{DiskError, TemplateFiles},
    render::Templates,
    report::chain,
};

/// Time until a change should be reported; it takes some 100 ms.
const SOON: Duration = Duration::from_secs(5);

/// Time without any report where nothing has changed: several times what a change takes.
const QUIET: Duration = Duration::from_millis(500);

struct World {
    _above: tempfile::TempDir,
    folder: PathBuf,
    files: TemplateFolder,
}

impl World {
    /// A folder that does not exist yet.
    fn empty() -> Self {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("templates");
        Self {
            files: TemplateFolder::new(folder.clone()),
            folder,
            _above: above,
        }
    }

    fn new() -> Self {
        let world = Self::empty();
        fs::create_dir_all(world.folder.join("nginx")).unwrap();
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// As editors and most tools write: beside, then renamed.
    fn replace(&self, name: &str, text: &str) {
        let beside = self.folder.join(format!("{name}~"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.folder.join(name)).unwrap();
    }

    fn text(&self, name: &str) -> Option<String> {
        self.files.texts().unwrap()?.remove(name)?.ok()
    }

    /// The reason why the folder is refused.
    fn refusal(&self) -> String {
        chain(&self.files.texts().unwrap_err())
    }

    fn watched(&self) -> Changes {
        Changes(self.files.changes().unwrap())
    }
}

struct Changes(LocalBoxStream<'static, Result<(), DiskError>>);

impl Changes {
    /// Follows the changes, as the loop does, until it reads what is expected; only then it is known that a change told
    /// of it.
    async fn until(&mut self, world: &World, name: &str, expected: Option<&str>) {
        let seen = async {
            loop {
                self.0.next().await.unwrap().unwrap();
                if world.text(name).as_deref() == expected {
                    return;
                }
            }
        };
        tokio::time::timeout(SOON, seen)
            .await
            .unwrap_or_else(|_| panic!("nothing told of {name}: {expected:?}"));
    }

    /// Waits until what was done before has been told; how often it was.
    async fn settle(&mut self) -> usize {
        let mut told = 0;
        while tokio::time::timeout(QUIET, self.0.next()).await.is_ok() {
            told += 1;
            assert!(told < 10, "it never rests");
        }
        told
    }

    async fn are_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.0.next()).await.is_err()
    }
}

const SITE: &str = "nginx/site.conf";

#[tokio::test]
async fn every_way_to_write_a_template_is_told() {
    let world = World::new();
    let mut changes = world.watched();
    world.write(SITE, "made");
    changes.until(&world, SITE, Some("made")).await;
    world.write(SITE, "in place");
    changes.until(&world, SITE, Some("in place")).await;
    world.replace(SITE, "replaced");
    changes.until(&world, SITE, Some("replaced")).await;
    world.replace(SITE, "replaced again");
    changes.until(&world, SITE, Some("replaced again")).await;
    world.write("command-plan.txt", "in the folder itself");
    changes
        .until(&world, "command-plan.txt", Some("in the folder itself"))
        .await;
    fs::remove_file(world.folder.join(SITE)).unwrap();
    changes.until(&world, SITE, None).await;
}

#[tokio::test]
async fn a_folder_may_be_made_late_removed_and_made_anew() {
    let world = World::empty();
    assert_eq!(world.files.texts().unwrap(), None);
    let mut changes = world.watched();
    for round in ["first", "second", "third"] {
        fs::create_dir_all(world.folder.join("nginx")).unwrap();
        changes.settle().await;
        world.write(SITE, round);
        changes.until(&world, SITE, Some(round)).await;
        fs::remove_dir_all(&world.folder).unwrap();
        changes.until(&world, SITE, None).await;
    }
    let other = world.folder.with_file_name("other");
    fs::create_dir_all(other.join("nginx")).unwrap();
    fs::write(other.join(SITE), "moved there").unwrap();
    fs::rename(&other, &world.folder).unwrap();
    changes.until(&world, SITE, Some("moved there")).await;
    // The folder that was watched is another one now, under the same name.
    fs::rename(&world.folder, &other).unwrap();
    fs::create_dir_all(world.folder.join("nginx")).unwrap();
    changes.until(&world, SITE, None).await;
    world.write(SITE, "in the new one");
    changes.until(&world, SITE, Some("in the new one")).await;
}

#[tokio::test]
async fn a_folder_whose_parents_are_made_late_is_watched_too() {
    let world = World::empty();
    let deep = world.folder.join("a/b");
    let files = TemplateFolder::new(deep.clone());
    let mut changes = files.changes().unwrap();
    for folder in [world.folder.clone(), world.folder.join("a"), deep.clone()] {
        fs::create_dir(folder).unwrap();
        assert!(
            tokio::time::timeout(SOON, changes.next())
                .await
                .unwrap()
                .unwrap()
                .is_ok()
        );
    }
    fs::write(deep.join("x.conf"), "x").unwrap();
    assert!(
        tokio::time::timeout(SOON, changes.next())
            .await
            .unwrap()
            .unwrap()
            .is_ok()
    );
    assert!(files.texts().unwrap().unwrap().contains_key("x.conf"));
}

#[tokio::test]
async fn reading_and_what_happens_beside_the_folder_wake_nobody() {
    let world = World::new();
    world.write(SITE, "text");
    let mut changes = world.watched();
    for n in 0..20 {
        assert_eq!(world.text(SITE).as_deref(), Some("text"));
        fs::write(world.folder.with_file_name("neighbour"), format!("{n}")).unwrap();
    }
    assert!(changes.are_quiet().await);
}

#[tokio::test]
async fn a_burst_is_told_few_times() {
    let world = World::new();
    let mut changes = world.watched();
    for n in 0..100 {
        world.replace(SITE, &format!("{n}"));
    }
    changes.until(&world, SITE, Some("99")).await;
    let more = changes.settle().await;
    assert!(more <= 1, "told {more} times more");
}

#[tokio::test]
async fn a_volume_of_links_that_is_switched_as_a_whole_is_told() {
    // As Kubernetes mounts files: site.conf -> ..data/site.conf, ..data -> ..1.
    let world = World::empty();
    for version in ["..1", "..2"] {
        fs::create_dir_all(world.folder.join(version)).unwrap();
        world.write(&format!("{version}/command-plan.txt"), version);
    }
    symlink("..1", world.folder.join("..data")).unwrap();
    symlink(
        "..data/command-plan.txt",
        world.folder.join("command-plan.txt"),
    )
    .unwrap();
    assert_eq!(world.text("command-plan.txt").as_deref(), Some("..1"));
    let mut changes = world.watched();
    symlink("..2", world.folder.join("..new")).unwrap();
    fs::rename(world.folder.join("..new"), world.folder.join("..data")).unwrap();
    changes.until(&world, "command-plan.txt", Some("..2")).await;
}

#[tokio::test]
async fn a_broken_template_is_told_and_then_mended() {
    let world = World::new();
    let faults = |world: &World| -> Vec<String> {
        Templates::with(&world.files.texts().unwrap().unwrap())
            .faults()
            .map(ToString::to_string)
            .collect()
    };
    let mut changes = world.watched();
    let broken = "server {\n    server_name {{ host | qoute }};\n}\n";
    world.replace(SITE, broken);
    changes.until(&world, SITE, Some(broken)).await;
    assert_eq!(
        faults(&world),
        ["template nginx/site.conf, line 2: unknown filter: filter qoute is unknown"]
    );
    let mended = broken.replace("qoute", "quote");
    world.replace(SITE, &mended);
    changes.until(&world, SITE, Some(&mended)).await;
    assert_eq!(faults(&world), [""; 0]);
}

#[test]
fn what_is_no_template_is_not_read() {
    let world = World::new();
    for name in [
        ".hidden",
        "nginx/.site.conf.swp",
        "nginx/site.conf~",
        "#site.conf#",
        "a b.conf",
        "nginx/\u{e4}.conf",
    ] {
        world.write(name, "x");
    }
    fs::create_dir_all(world.folder.join("nginx/deeper")).unwrap();
    world.write("nginx/deeper/x.conf", "x");
    world.write("nginx/part.conf", "part");
    let texts = world.files.texts().unwrap().unwrap();
    assert_eq!(
        texts.into_iter().collect::<Vec<_>>(),
        [("nginx/part.conf".to_owned(), Ok("part".to_owned()))]
    );
}

#[test]
fn links_that_lead_out_are_refused_with_the_whole_folder() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("site.conf"), "secret").unwrap();
    let up = format!(
        "../../{}/site.conf",
        outside.path().file_name().unwrap().to_string_lossy()
    );
    for (link, target) in [
        ("command-plan.txt", outside.path().join("site.conf")),
        ("nginx/part.conf", PathBuf::from("../../../../etc/hostname")),
        (
            "nginx/part.conf",
            PathBuf::from(&up).join("..").join("site.conf"),
        ),
        ("part.conf", PathBuf::from(up)),
        ("inner", outside.path().to_owned()),
        ("nowhere", PathBuf::from("/no/such/file")),
        ("round", PathBuf::from("round")),
    ] {
        let world = World::new();
        world.write(SITE, "good");
        symlink(&target, world.folder.join(link)).unwrap();
        let refusal = world.refusal();
        assert!(
            refusal.contains(&world.folder.join(link).display().to_string()),
            "{link}: {refusal}"
        );
        if Path::new(&target).is_dir() {
            assert!(
                refusal.ends_with(
                    "this link leads out of the folder of templates; put the file there"
                ),
                "{refusal}"
            );
        }
    }
}

#[test]
fn what_can_not_be_read_is_told_and_the_others_are_read() {
    let world = World::new();
    world.write("good.conf", "good");
    world.write("large.conf", &"x".repeat(64 * 1024 + 1));
    world.write("largest.conf", &"x".repeat(64 * 1024));
    fs::write(world.folder.join("binary.conf"), [0xff, 0xfe]).unwrap();
    nix::unistd::mkfifo(
        &world.folder.join("pipe.conf"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    let texts = world.files.texts().unwrap().unwrap();
    let problem = |name: &str| texts[name].clone().unwrap_err();
    assert_eq!(problem("large.conf"), "it is larger than 65536 bytes");
    assert_eq!(problem("binary.conf"), "it is not UTF-8");
    assert_eq!(problem("pipe.conf"), "it is neither a file nor a folder");
    assert_eq!(texts["good.conf"].as_deref(), Ok("good"));
    assert!(texts["largest.conf"].is_ok());
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let world = World::new();
    for n in 0..=200 {
        world.write(&format!("{n}.conf"), "x");
    }
    assert!(
        world
            .refusal()
            .contains("it holds 201 files; at most 200 are read"),
        "{}",
        world.refusal()
    );
    let file = TemplateFolder::new(world.folder.join("1.conf"));
    assert!(chain(&file.texts().unwrap_err()).contains("1.conf"));
}
