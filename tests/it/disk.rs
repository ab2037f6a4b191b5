//! The program as it is on disks that fail, and what the system sees of its keys.
#![expect(clippy::disallowed_methods, reason = "tests start the program")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use quaymaster::{
    adapters::{clock::SystemClock, disk::Folders},
    observe::{CertificateVersion, SharedPath},
    ports::{
        CertificatePlace, CertificateStore, Change, Clock, ConsumerFolders, ConsumerPlace, Spot,
    },
    values::{CertificateName, ContainerName, Layout},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    fake_engine::{Fake, Reply, local},
    pebble::{Behaviour, Pebble},
};

use crate::support::program::binary;

/// For anything that is done at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

/// An engine with a proxy and a shop, a CA, and what the CA is shown of the proxy's folder.
pub struct World {
    fake: Fake,
    pub pebble: Pebble,
    folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with_user("").await
    }

    /// With a proxy that runs as this user.
    async fn with_user(user: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["conf.d", "state", "certificates"] {
            fs::create_dir(folder.path().join(inner)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pebble = Pebble::start(listener.local_addr().unwrap().port(), Behaviour::default());
        tokio::task::spawn_local(serve(listener, folder.path().join("conf.d/challenge")));
        let root = folder.path().join("ca-root.pem");
        fs::write(root, pebble.root()).unwrap();
        let config = folder.path().join("conf.d");
        Self {
            fake: Fake::start(move |line| answer(line, &config, user)),
            pebble,
            folder,
        }
    }

    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// The words that start the program.
    pub fn words(&self, command: &str) -> Vec<String> {
        let words = [
            binary(),
            command,
            "--agree-tos",
            "--log-format=json",
            &format!("--ca={}", self.pebble.directory()),
            &format!("--ca-root={}", self.path("ca-root.pem").display()),
            &format!("--engine={}", self.fake.socket.display()),
            &format!("--state={}", self.path("state").display()),
            &format!("--certificates={}", self.path("certificates").display()),
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Starts this with all rights open to everybody, so that a mode is what the program asked for.
    fn start(&self, words: &[String]) -> Program {
        let log = self.path("log");
        let child = Command::new("sh")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-c", "umask 000; exec \"$@\"", "sh"])
            .args(words)
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Program { child, log }
    }

    fn is_served_by_config(&self) -> bool {
        let site = fs::read_to_string(self.path("conf.d/quaymaster-shop.example.conf"))
            .unwrap_or_default();
        site.contains("ssl_certificate")
    }
}

/// Serves the port 80 of every name, as the CA sees it.
pub async fn serve(listener: TcpListener, webroot: PathBuf) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 2048];
        let length = stream.read(&mut head).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/');
        let (status, body) =
            fs::read_to_string(webroot.join(path)).map_or((404, String::new()), |body| (200, body));
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn answer(line: &str, config: &Path, user: &str) -> Reply {
    let container = |id: &str, label: &str, value: &str, mounts: Value| {
        json!({
            "Id": id, "Name": format!("/{id}"), "Created": "2026-11-22T18:46:08Z",
            "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-22T18:46:08Z"},
            "Config": {"Labels": {label: value}, "ExposedPorts": {"8080/tcp": {}}},
            "NetworkSettings": {"Networks": {"web": {"NetworkID": "n1", "IPAddress": ""}}},
            "Mounts": mounts,
        })
    };
    let mount =
        json!([{"Type": "bind", "Source": config, "Destination": "/etc/nginx/conf.d", "RW": true}]);
    let mut proxy = container("proxy", "quaymaster.kind", "nginx", mount);
    proxy["Config"]["User"] = json!(user);
    let shop = container("shop", "quaymaster.host", "shop.example", json!([]));
    match line.split(['?', ' ']).nth(1).unwrap() {
        "/_ping" => Reply::new(200, "OK"),
        "/events" => Reply::stream(&[]).then_hangs(),
        "/containers/json" => {
            let listed = [&proxy, &shop]
                .map(|it| json!({"Id": it["Id"], "Labels": it["Config"]["Labels"], "State": {}}));
            Reply::new(200, json!(listed).to_string())
        }
        "/containers/proxy/json" => Reply::new(200, proxy.to_string()),
        "/containers/shop/json" => Reply::new(200, shop.to_string()),
        _ if line.starts_with("POST") => Reply::new(204, ""),
        _ => Reply::new(404, r#"{"message": "No such container"}"#),
    }
}

struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// The events in its log, each as its name and its words.
    fn told(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(&self.log).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        lines
            .map(|line| (word(&line, "event"), word(&line, "message")))
            .collect()
    }

    fn has_told(&self, event: &str, words: &str) -> bool {
        self.told()
            .iter()
            .any(|(name, message)| name == event && message.contains(words))
    }

    async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let log = fs::read_to_string(&self.log).unwrap();
            assert!(
                began.elapsed() < SOON,
                "{what}: not within {SOON:?}; it told {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                began.elapsed() < SOON,
                "it goes on and on: {:#?}",
                self.told()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below a folder, links not followed.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files_below(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// A call as strace prints it: `name(arguments) = result`.
fn calls(trace: &str) -> Vec<(&str, &str)> {
    trace
        .lines()
        .filter(|line| !line.contains(" = -1 "))
        .filter_map(|line| line.split_once('('))
        .collect()
}

/// The subject of a call: the text that strace shows between `<` and `>` behind the first descriptor, and the names in
/// it.
fn subject(name: &str, arguments: &str) -> String {
    if name.ends_with("at") {
        return named(arguments).first().cloned().unwrap_or_default();
    }
    let quoted = || arguments.split('"').nth_back(1);
    let descriptor = arguments
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| arguments.split(['<', '>']).nth(1));
    descriptor
        .flatten()
        .or_else(quoted)
        .unwrap_or_default()
        .to_owned()
}

/// The paths that a call names, each in the folder whose descriptor is before it.
fn named(arguments: &str) -> Vec<String> {
    let (mut folder, mut named) = (PathBuf::new(), Vec::new());
    for argument in arguments.split(", ") {
        if let Some(name) = argument.split('"').nth(1) {
            named.push(folder.join(name).display().to_string());
        } else if let Some(path) = argument.split(['<', '>']).nth(1) {
            folder = path.into();
        }
    }
    named
}

/// The mode in octal that a call sets or creates with: its last number that begins with a zero.
fn mode(arguments: &str) -> u32 {
    let call = arguments
        .rsplit_once(" = ")
        .map_or(arguments, |(call, _)| call);
    let words = call.trim_end_matches([')', ' ']).rsplit(", ");
    let octal = |word: &str| {
        word.starts_with('0')
            .then(|| u32::from_str_radix(word, 8).ok())
            .flatten()
    };
    words
        .filter_map(octal)
        .next()
        .unwrap_or_else(|| panic!("no mode in {arguments}"))
}

#[tokio::test]
async fn no_key_is_readable_by_others_at_any_instant() {
    local(async {
        let world = World::new().await;
        let trace = world.path("trace");
        let calls_seen = "openat,open,creat,mkdir,mkdirat,chmod,fchmod,fchmodat,rename,renameat,renameat2,link,linkat,\
                          symlink,symlinkat,write,pwrite64,writev,copy_file_range,sendfile";
        let mut words = ["strace", "-ff", "-y", "-s", "8192", "-o"].map(str::to_owned).to_vec();
        words.extend([trace.display().to_string(), format!("-etrace={calls_seen}")]);
        words.extend(world.words("once"));
        let mut program = world.start(&words);
        assert_eq!(program.ended().await, Some(0), "{:#?}", program.told());
        assert!(world.is_served_by_config());

        // One file a thread, so that no call is cut in two by another.
        let traces: Vec<_> = fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let traces = traces.iter().filter(|path| path.to_string_lossy().contains("/trace."));
        let text: String = traces.map(|path| fs::read_to_string(path).unwrap()).collect();
        let calls = calls(&text);
        let is_write = |name: &str| name.contains("write");
        let mut keys: BTreeSet<String> = calls
            .iter()
            .filter(|(name, arguments)| is_write(name) && arguments.contains("PRIVATE KEY-----"))
            .map(|(name, arguments)| subject(name, arguments))
            .filter(|path| path.starts_with('/'))
            .collect();
        let written = keys.clone();
        for what in ["account.json", "key.pem", "copies", "archive", "conf.d/certificates"] {
            assert!(written.iter().any(|path| path.contains(what)), "{what}: the trace shows only {written:?}");
        }
        // What a key's file is called later is a key's file, too.
        for (_, arguments) in calls.iter().filter(|(name, _)| name.starts_with("rename")) {
            let names = named(arguments);
            let moved = keys.iter().filter_map(|key| Some(names[1].clone() + key.strip_prefix(&*names[0])?));
            keys.extend(moved.collect::<Vec<_>>());
        }
        let mut created = BTreeSet::new();
        for (name, arguments) in &calls {
            let path = subject(name, arguments);
            if !keys.contains(&path) {
                continue;
            }
            if *name == "openat" && arguments.contains("O_CREAT") {
                assert!(arguments.contains("O_EXCL") && mode(arguments) == 0o600, "{name}({arguments}");
                created.insert(path);
            } else if name.contains("chmod") {
                assert_eq!(mode(arguments) & 0o077, 0, "{name}({arguments}");
            } else {
                assert!(!["open", "creat", "link", "linkat"].contains(name), "{name}({arguments}");
            }
        }
        assert_eq!(created, written, "each was made by a call that was looked at");
        let left: Vec<_> =
            ["state", "certificates", "conf.d"].iter().flat_map(|inner| files_below(&world.path(inner))).collect();
        let left: Vec<_> =
            left.iter().filter(|path| fs::read_to_string(path).unwrap().contains("PRIVATE KEY-----")).collect();
        assert!(left.len() >= 4, "{left:?}");
        for path in left {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    })
    .await;
}

/// Starts watching with state and certificates on small disks of their own, mounted where nobody else sees them.
fn watch_on_small_disks(world: &World) -> Program {
    let mount = |inner| {
        format!(
            "mount -t tmpfs -o size=256k tmpfs {} && ",
            world.path(inner).display()
        )
    };
    let script = mount("state") + &mount("certificates") + "exec \"$@\"";
    let mut words = ["unshare", "--mount", "sh", "-c", &script, "sh"]
        .map(str::to_owned)
        .to_vec();
    words.extend(world.words("watch"));
    world.start(&words)
}

/// One of the small disks, as the program sees it.
fn disk_of(program: &Program, world: &World, inner: &str) -> PathBuf {
    let seen = world.path(inner);
    Path::new("/proc")
        .join(program.child.id().to_string())
        .join("root")
        .join(seen.strip_prefix("/").unwrap())
}

/// Makes the disk of certificates read-only, or writable again. That of state has files open.
fn remount(program: &Program, world: &World, how: &str) {
    let id = program.child.id().to_string();
    let mut command = Command::new("nsenter");
    command.args([
        "--mount",
        "--target",
        &id,
        "mount",
        "-o",
        &format!("remount,{how}"),
    ]);
    assert!(
        command
            .arg(world.path("certificates"))
            .status()
            .unwrap()
            .success()
    );
}

/// Leaves not a byte.
fn fill(disk: &Path) {
    let mut filler = File::create(disk.join("filler")).unwrap();
    let error = std::io::copy(&mut std::io::repeat(b'x'), &mut filler).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn a_full_or_read_only_disk_is_told_and_what_is_live_stays_until_there_is_room_again() {
    local(async {
        let world = World::new().await;
        let program = watch_on_small_disks(&world);
        program
            .until("it is served", || world.is_served_by_config())
            .await;
        let disks = ["state", "certificates"].map(|inner| disk_of(&program, &world, inner));
        let live = disks[1].join("live/shop.example");
        let whole = fs::read(live.join("fullchain.pem")).unwrap();
        program
            .until("it rests", || {
                program.told().iter().any(|(event, _)| event == "unproven")
            })
            .await;

        // What is damaged while nothing can be written stays held, is told, and is mended when there is room.
        for (what, words) in [("full", "No space left"), ("ro", "Read-only file system")] {
            let from = program.told().len();
            fs::write(live.join("privkey.pem"), "-----BEGIN").unwrap();
            if what == "ro" {
                remount(&program, &world, "ro");
            } else {
                disks.iter().for_each(|disk| fill(disk));
            }
            program.signal("-HUP");
            let since = || program.told().split_off(from);
            program
                .until(what, || {
                    since()
                        .iter()
                        .any(|(event, told)| event == "disk-fault" && told.contains(words))
                })
                .await;
            assert!(world.is_served_by_config(), "{what}");
            assert!(
                !since().iter().any(|(event, _)| event == "step"),
                "{what}: {:#?}",
                since()
            );
            if what == "ro" {
                remount(&program, &world, "rw");
            } else {
                disks
                    .iter()
                    .for_each(|disk| fs::remove_file(disk.join("filler")).unwrap());
            }
            program.signal("-HUP");
            program
                .until("it is mended", || {
                    since().iter().any(|(event, _)| event == "mended")
                })
                .await;
            assert_eq!(
                fs::read(live.join("fullchain.pem")).unwrap(),
                whole,
                "{what}"
            );
            assert!(
                !since().iter().any(|(event, _)| event == "obtained"),
                "{what}"
            );
        }
        assert!(program.has_told("mended", "shop.example: repaired from its copy in state"));
    })
    .await;
}

#[tokio::test]
async fn damage_to_everything_in_state_is_told_and_ends_nothing() {
    local(async {
        let world = World::new().await;
        let state = world.path("state");
        assert_eq!(world.start(&world.words("once")).ended().await, Some(0));
        let live = world.path("certificates/live/shop.example");
        let served = fs::read(live.join("fullchain.pem")).unwrap();
        let accounts = files_below(&state.join("accounts"));
        fs::create_dir_all(state.join("attempts")).unwrap();
        fs::create_dir_all(state.join("orders/shop.example")).unwrap();
        for damage in ["", "{\"url\": nul", "\u{0}\u{1}"] {
            for file in [
                "mark",
                "alive",
                "status.json",
                "attempts/shop.example.json",
                "orders/shop.example/order.json",
            ] {
                fs::write(state.join(file), damage).unwrap();
            }
            accounts
                .iter()
                .for_each(|path| fs::write(path, damage).unwrap());
            fs::write(live.join("privkey.pem"), damage).unwrap();
            let mut program = world.start(&world.words("once"));
            // The attempt that is on record instead of the damaged one is trouble until it is forgotten.
            assert_eq!(
                program.ended().await,
                Some(3),
                "{damage:?}: {:#?}",
                program.told()
            );
            assert!(
                program.has_told("disk-fault", "attempts/shop.example.json"),
                "{:#?}",
                program.told()
            );
            assert!(program.has_told("disk-fault", "the next is in a minute"));
            assert!(
                program.has_told("mended", "live/shop.example")
                    || program.has_told("mended", "is refused")
            );
            assert_eq!(fs::read(live.join("fullchain.pem")).unwrap(), served);
            let status = fs::read_to_string(state.join("status.json")).unwrap();
            assert!(serde_json::from_str::<Value>(&status).is_ok(), "{status}");
        }
        // A certificate that is lost with its copy is obtained anew: with another account, the damaged one is kept.
        fs::remove_dir_all(state.join("copies")).unwrap();
        fs::remove_dir_all(state.join("attempts")).unwrap();
        fs::write(live.join("privkey.pem"), "").unwrap();
        let mut program = world.start(&world.words("once"));
        assert_eq!(program.ended().await, Some(0), "{:#?}", program.told());
        assert!(
            program.has_told("disk-fault", "orders/shop.example/order.json"),
            "{:#?}",
            program.told()
        );
        assert!(
            program.has_told("account-damaged", "registering a new one")
                && program.has_told("obtained", "shop.example")
        );
        assert!(
            files_below(&state.join("accounts"))
                .iter()
                .any(|path| path.ends_with("account.json.damaged"))
        );
        assert_ne!(fs::read(live.join("fullchain.pem")).unwrap(), served);
        let mut program = world.start(&world.words("once"));
        assert_eq!(
            program.ended().await,
            Some(0),
            "all is well again: {:#?}",
            program.told()
        );
        assert!(
            !program
                .told()
                .iter()
                .any(|(event, _)| event == "disk-fault" || event == "mended")
        );
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_dropped_in_is_served_within_seconds_and_ours_when_it_goes() {
    local(async {
        let world = World::new().await;
        let program = world.start(&world.words("watch"));
        let delivered = world.path("conf.d/certificates/shop.example/fullchain.pem");
        program
            .until("ours is delivered", || delivered.exists())
            .await;
        let ours = fs::read_to_string(&delivered).unwrap();
        let provided = world.path("certificates/provided/shop.example");
        let faults = || {
            let told = program.told();
            told.iter()
                .filter(|(event, _)| event == "disk-fault")
                .count()
        };
        for _ in 0..2 {
            let theirs = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
            fs::create_dir_all(&provided).unwrap();
            // Before the whole is there, it is nothing.
            let (before, began) = (faults(), Instant::now());
            fs::write(provided.join("fullchain.pem"), theirs.cert.pem()).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut key = fs::OpenOptions::new();
            key.write(true).create_new(true).mode(0o600);
            let mut key = key.open(provided.join("privkey.pem")).unwrap();
            key.write_all(theirs.signing_key.serialize_pem().as_bytes())
                .unwrap();
            // On a machine that stands still for that long, somebody really left half of it there.
            let is_half = began.elapsed() > Duration::from_millis(700);
            let seen = || fs::read_to_string(&delivered).unwrap();
            program
                .until("theirs is delivered", || seen() == theirs.cert.pem())
                .await;
            assert!(is_half || faults() == before, "{:#?}", program.told());
            fs::remove_dir_all(&provided).unwrap();
            program.until("ours is back", || seen() == ours).await;
        }
        assert_eq!(
            program
                .told()
                .iter()
                .filter(|(event, _)| event == "obtained")
                .count(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_copied_over_ours_is_served_within_seconds_each_time() {
    local(async {
        let world = World::new().await;
        let program = world.start(&world.words("watch"));
        let delivered = world.path("conf.d/certificates/shop.example/fullchain.pem");
        program
            .until("ours is delivered", || delivered.exists())
            .await;
        let live = world.path("certificates/live/shop.example");
        for version in 2..4 {
            let theirs = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
            // Through the link, into the version that is live now.
            fs::write(live.join("fullchain.pem"), theirs.cert.pem()).unwrap();
            fs::write(live.join("privkey.pem"), theirs.signing_key.serialize_pem()).unwrap();
            let seen = || fs::read_to_string(&delivered).unwrap();
            program
                .until("theirs is delivered", || seen() == theirs.cert.pem())
                .await;
            let linked = fs::read_link(&live).unwrap();
            assert_eq!(
                linked,
                Path::new("../archive/shop.example").join(version.to_string())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_imported_beside_a_daemon_is_delivered_within_seconds() {
    local(async {
        let world = World::new().await;
        let program = world.start(&world.words("watch"));
        let delivered = world.path("conf.d/certificates/shop.example/fullchain.pem");
        program
            .until("ours is delivered", || delivered.exists())
            .await;
        for words in [[].as_slice(), &["--replace"]] {
            let theirs = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
            let file = world.path("theirs.pem");
            fs::write(
                &file,
                theirs.signing_key.serialize_pem() + &theirs.cert.pem(),
            )
            .unwrap();
            let mut command = world.words("import");
            command.retain(|word| !word.starts_with("--agree") && !word.starts_with("--ca"));
            let output = Command::new(&command[0])
                .env_clear()
                .args(&command[1..])
                .args(words)
                .arg(&file)
                .output()
                .unwrap();
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(
                told.contains("  serves  shop.example\n")
                    && told.contains("the daemon takes it up"),
                "{told}"
            );
            let seen = || fs::read_to_string(&delivered).unwrap();
            program
                .until("theirs is delivered", || seen() == theirs.cert.pem())
                .await;
        }
        let told = program.told();
        assert!(
            !told.iter().any(|(event, _)| event == "disk-fault"),
            "{told:#?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_obtained_by_hand_beside_a_daemon_is_used_at_once_and_nothing_is_ordered_for_it() {
    local(async {
        let world = World::new().await;
        // The first CA of the list is gone: the daemon tries, and has no certificate meanwhile.
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = gone.local_addr().unwrap();
        let list = format!("--ca=https://{gone}/dir, {}", world.pebble.directory());
        let mut words = world.words("watch");
        words.retain(|word| !word.starts_with("--ca="));
        words.push(list);
        let program = world.start(&words);
        program
            .until("the CA is asked in vain", || {
                program.has_told("failed", "shop.example")
            })
            .await;
        // The CA's questions are answered by this thread meanwhile.
        let by_hand = async |words: &[&str]| {
            let mut command = world.words(words[0]);
            command.retain(|word| !word.starts_with("--agree"));
            let words = words[1..].iter().map(|&word| word.to_owned());
            command.extend(words.chain(["--format=json".to_owned()]));
            let run = move || {
                Command::new(&command[0])
                    .env_clear()
                    .args(&command[1..])
                    .output()
            };
            let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
            let log = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{log}");
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        by_hand(&["register", "--yes"]).await;
        let webroot = format!("--webroot={}", world.path("conf.d/challenge").display());
        let output = format!("--output={}", world.path("by-hand").display());
        let issue = ["issue", "shop.example", "other.example", &webroot, &output];
        let issued = by_hand(&issue).await;
        assert_eq!(
            issued["daemon"],
            json!({"outcome": "looked", "taken": ["shop.example"], "refused": {}}),
            "{:?}",
            program.told()
        );
        let delivered = world.path("conf.d/certificates/shop.example/fullchain.pem");
        let theirs = fs::read_to_string(world.path("by-hand/shop.example.chain.crt")).unwrap();
        program
            .until("it is delivered", || {
                fs::read_to_string(&delivered).is_ok_and(|text| text == theirs)
            })
            .await;
        assert!(program.has_told("taken-over", "shop.example"));
        assert_eq!(
            files_below(&world.path("state/handed-over")),
            [""; 0].map(PathBuf::from)
        );
        // It looks at everything once more, and has nothing to order.
        program.signal("-HUP");
        let orders = || {
            let requests = world.pebble.requests();
            requests
                .iter()
                .filter(|it| it.contains("order-plz"))
                .count()
        };
        // Nobody wants these names.
        let issued = by_hand(&["issue", "third.example", &webroot, &output]).await;
        assert_eq!(issued["daemon"], Value::Null);
        assert_eq!(orders(), 2);
        let told = program.told();
        assert!(
            !told.iter().any(|(event, _)| event == "disk-fault"),
            "{told:#?}"
        );
        // It has its CA's key type, and another one is refused with the reason.
        let issued = by_hand(&[&issue[..], &["--key-type=rsa-2048"]].concat()).await;
        let why = issued["daemon"]["refused"]["shop.example"].as_str();
        assert!(
            why.is_some_and(|why| why.contains("ask for another one")),
            "{issued}"
        );
    })
    .await;
}

/// What people drop in, made of a leaf, its issuer and its key: `fullchain.pem` and `privkey.pem`.
fn dropped_in(leaf: &str, issuer: &str, key: &str) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let chain = format!("{leaf}{issuer}");
    let der = [0x30, 0x82, 0x01, 0x0a, 0x02, 0xff].to_vec();
    let utf_16 = chain.encode_utf16().flat_map(u16::to_le_bytes);
    let other = KeyPair::generate().unwrap().serialize_pem();
    let of_chain = [
        ("plain", chain.clone()),
        ("bom", format!("\u{feff}{chain}")),
        ("crlf", chain.replace('\n', "\r\n")),
        ("cr", chain.replace('\n', "\r")),
        ("nonewline", format!("{}{issuer}", leaf.trim_end())),
        ("noend", chain.trim_end().to_owned()),
        ("text", format!("Bag Attributes\n  localKeyID: 01\n{chain}")),
        ("blank", format!("\n\n{leaf}\n\n{issuer}\n")),
        ("blank-first", chain.replace("E-----\nMII", "E-----\n\nMII")),
        ("blank-last", chain.replace("\n-----END", "\n\n-----END")),
        ("indented", chain.replace('\n', "\n  ")),
        ("behind", chain.replace("-----\n", "----- x\n")),
        ("spaces", chain.replace('\n', " \t\n")),
        ("one-line", leaf.replace('\n', "")),
        (
            "long-line",
            leaf.replacen("-----\n", "@", 1)
                .replacen("\n-----", "#", 1)
                .replace('\n', "")
                .replace('@', "-----\n")
                .replace('#', "\n-----")
                + "\n",
        ),
        (
            "old-label",
            chain.replace(" CERTIFICATE-", " X509 CERTIFICATE-"),
        ),
        (
            "trusted",
            chain.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-"),
        ),
        ("with-key", format!("{key}{chain}")),
        ("reversed", format!("{issuer}{leaf}")),
        ("issuer", issuer.to_owned()),
        ("empty", String::new()),
        ("cut-off", leaf[..leaf.len() / 2].to_owned()),
        (
            "end-lost",
            chain.replacen("-----END CERTIFICATE-----\n", "", 1),
        ),
        ("no-pem", "hello".to_owned()),
    ];
    let of_chain = of_chain.map(|(what, text)| (what, text.into_bytes(), key.as_bytes().to_vec()));
    let small = include_bytes!("../recorded/certificates/rsa-1024.pem").to_vec();
    let of_bytes = [
        ("der", der.clone(), key.as_bytes().to_vec()),
        ("utf-16", utf_16.collect(), key.as_bytes().to_vec()),
        ("small", small.clone(), small),
        ("other-key", chain.clone().into_bytes(), other.into_bytes()),
        ("key-der", chain.clone().into_bytes(), der),
        ("key-crlf", chain.clone().into_bytes(), key.replace('\n', "\r\n").into_bytes()),
        ("key-blank", chain.clone().into_bytes(), key.replace("\n-----END", "\n\n-----END").into_bytes()),
        ("key-misnamed", chain.clone().into_bytes(), key.replace(" PRIVATE KEY", " RSA PRIVATE KEY").into_bytes()),
        ("key-parameters", chain.into_bytes(), format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{key}").into_bytes()),
    ];
    of_chain.into_iter().chain(of_bytes).collect()
}

/// True if nginx loads these files.
fn nginx_loads(folder: &Path, scratch: &Path) -> bool {
    let config = scratch.join("nginx.conf");
    let files = folder.display();
    let text = format!(
        "pid {}/pid; error_log stderr; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:9 ssl; \
         ssl_certificate {files}/fullchain.pem; ssl_certificate_key {files}/privkey.pem; }} }}",
        scratch.display()
    );
    fs::write(&config, text).unwrap();
    let said = Command::new("nginx")
        .arg("-t")
        .arg("-c")
        .arg(config)
        .output()
        .unwrap();
    said.status.success()
}

#[test]
fn of_what_people_drop_in_nginx_takes_what_we_take_as_we_deliver_it_and_refuses_what_we_refuse() {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["own.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
    let root = tempfile::tempdir().unwrap();
    let [certificates, config] = ["certificates", "config"].map(|inner| root.path().join(inner));
    let cases = dropped_in(&leaf, &issuer.pem(), &key.serialize_pem());
    for (what, chain, key) in &cases {
        let folder = certificates.join("provided").join(what);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("fullchain.pem"), chain).unwrap();
        fs::write(folder.join("privkey.pem"), key).unwrap();
    }
    let folders = Folders::new(certificates.clone(), root.path().join("state"), |_| ());
    let found = folders.certificates(SystemClock.now()).unwrap();
    let deliver = found.provided.iter().map(|(name, held)| {
        let version = CertificateVersion {
            of: name.clone(),
            digest: held.digest,
        };
        (name.clone(), version)
    });
    let (deliver, delivered) = (deliver.collect(), config.join("certificates"));
    let (write, remove) = Default::default();
    let change = Change {
        write: &write,
        remove: &remove,
        deliver: &deliver,
    };
    let consumer = ContainerName::parse("proxy").unwrap();
    let shared = SharedPath::top(&config);
    let there = SharedPath::top(&delivered);
    let layout = Layout::parse("certbot").unwrap();
    let delivery = CertificatePlace {
        at: Spot::Folder(&there),
        layout: &layout,
        key_mode: 0o600,
        is_owner_of_folder: false,
    };
    let place = ConsumerPlace {
        consumer: &consumer,
        config: Some(&shared),
        default: None,
        certificates: Some(delivery),
        owner: None,
    };
    folders.stage(&place, &change).unwrap();
    folders
        .switch(&place, &change, &Default::default())
        .unwrap();
    for (what, ..) in &cases {
        let name = CertificateName::parse(*what).unwrap();
        let as_it_lies = nginx_loads(&certificates.join("provided").join(what), root.path());
        match found.provided.get(&name) {
            Some(held) => {
                assert_eq!(held.can_be_read_there(), as_it_lies, "{what}: {held:?}");
                assert!(nginx_loads(&delivered.join(what), root.path()), "{what}");
            }
            // It takes this one without its issuer, and says nothing; clients would.
            None if *what == "end-lost" => assert!(as_it_lies),
            None => assert!(!as_it_lies, "{what}: {:?}", found.faults),
        }
    }
    assert!(found.provided.len() > 15, "{found:?}");
}

#[tokio::test]
async fn keys_belong_to_the_user_that_their_server_runs_as() {
    local(async {
        let world = World::with_user("33:34").await;
        let program = world.start(&world.words("watch"));
        let folder = world.path("conf.d/certificates/shop.example");
        let key = folder.join("privkey.pem");
        program.until("it is delivered", || key.exists()).await;
        let owned = || {
            fs::metadata(&key)
                .map(|it| (it.uid(), it.gid(), it.mode() & 0o777))
                .ok()
        };
        assert_eq!(owned(), Some((33, 34, 0o600)));
        drop(program);
        // Whoever finds another's there gives it back, and changes nothing else.
        std::os::unix::fs::chown(&key, Some(0), Some(0)).unwrap();
        let program = world.start(&world.words("watch"));
        program
            .until("it is given", || owned() == Some((33, 34, 0o600)))
            .await;
    })
    .await;
}

#[tokio::test]
async fn where_keys_can_not_be_given_to_their_server_no_ca_is_asked() {
    local(async {
        let world = World::with_user("33").await;
        // Root without the one right that it takes.
        let mut words = ["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"]
            .map(str::to_owned)
            .to_vec();
        words.extend(world.words("watch"));
        let program = world.start(&words);
        let is_told =
            |(_, words): &(String, String)| words.contains("to user 33, the user of its server");
        program
            .until("it is told", || program.told().iter().any(is_told))
            .await;
        assert!(
            !world.path("state/accounts").exists(),
            "{:#?}",
            program.told()
        );
        assert!(!world.path("conf.d/quaymaster-shop.example.conf").exists());
    })
    .await;
}

#[tokio::test]
async fn a_user_of_its_own_is_enough_where_nothing_is_given_to_another() {
    const OWN: u32 = 65534;
    local(async {
        for user in ["", "65534"] {
            let world = World::with_user(user).await;
            for inner in ["", "conf.d", "state", "certificates"] {
                std::os::unix::fs::chown(world.path(inner), Some(OWN), Some(OWN)).unwrap();
            }
            let socket = &world.fake.socket;
            std::os::unix::fs::chown(socket.parent().unwrap(), Some(OWN), Some(OWN)).unwrap();
            std::os::unix::fs::chown(socket, Some(OWN), Some(OWN)).unwrap();
            let mut words = vec!["setpriv".to_owned(), "--clear-groups".to_owned()];
            words.extend(["--reuid", "--regid"].map(|option| format!("{option}={OWN}")));
            words.extend(world.words("watch"));
            let program = world.start(&words);
            let key = world.path("conf.d/certificates/shop.example/privkey.pem");
            program.until("it is delivered", || key.exists()).await;
            let found = fs::metadata(&key).unwrap();
            assert_eq!((found.uid(), found.mode() & 0o777), (OWN, 0o600), "{user}");
        }
    })
    .await;
}
