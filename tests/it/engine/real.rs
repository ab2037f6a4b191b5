use std::{
    process::{Command, Output, id},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::LocalBoxStream};
use quaymaster::{
    adapters::engine::DockerEngine,
    desire::Dialects,
    observe::{Bearer, BearerState, EngineEvent, EventKind, Health, MountKind, RestartPolicy, Way},
    ports::{Engine, EngineError},
    values::{ContainerId, Signal},
};

/// A shell and `sleep` of this machine with what they are linked to; some 3 MB, kept for the next run.
const IMAGE: &str = "quaymaster-test-engine:1";
/// For anything that the engine does within a second or two.
const SOON: Duration = Duration::from_secs(20);

pub fn docker(words: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("docker").args(words).output().unwrap();
    assert!(
        status.success(),
        "docker {words:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

pub fn image() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        if docker(&["images", "-q", IMAGE]).is_empty() {
            let script = format!(
                "set -e; set -- /bin/sh /bin/sleep; \
                 libs=$(ldd \"$@\" | grep -o '/[^ ]*' | grep -v : | sort -u); \
                 tar -chf - \"$@\" $libs | docker import - {IMAGE}"
            );
            let made = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert!(
                made.status.success(),
                "{}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
    });
    IMAGE
}

pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "quaymaster-test-{what}-{}-{}",
        id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Something of the engine's that goes when the test ends, however it ends.
pub struct Made {
    pub name: String,
    pub id: String,
    remove: &'static [&'static str],
}

impl Made {
    fn container(options: &[&str], command: &[&str]) -> Self {
        let name = unique("engine");
        let words = [
            &["create", "--name", &name, "--stop-timeout", "0"],
            options,
            &[image()],
            command,
        ]
        .concat();
        // Removed by id: one test changes the name.
        Self {
            id: docker(&words),
            name,
            remove: &["rm", "-f", "-v"],
        }
    }

    pub fn running(options: &[&str], command: &[&str]) -> Self {
        let made = Self::container(options, command);
        docker(&["start", &made.id]);
        made
    }

    /// An image of its own with these labels besides.
    pub fn image(labels: &[&str]) -> Self {
        let name = unique("image");
        let changes: Vec<_> = labels
            .iter()
            .map(|label| format!("LABEL {label}"))
            .collect();
        let from = Self::container(&[], &["true"]);
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let words: Vec<_> = ["commit"]
            .into_iter()
            .chain(changes)
            .chain([from.name.as_str(), name.as_str()])
            .collect();
        Self {
            id: docker(&words),
            name,
            remove: &["rmi"],
        }
    }

    /// A container of this image that was not started.
    pub fn container_of(image: &str, name: &str, options: &[&str]) -> Self {
        let words = [&["create", "--name", name], options, &[image, "true"]].concat();
        Self {
            id: docker(&words),
            name: name.to_owned(),
            remove: &["rm", "-f", "-v"],
        }
    }

    fn network() -> Self {
        let name = unique("engine");
        Self {
            id: docker(&["network", "create", &name]),
            name,
            remove: &["network", "rm"],
        }
    }

    pub fn volume() -> Self {
        let name = unique("engine");
        Self {
            id: docker(&["volume", "create", &name]),
            name,
            remove: &["volume", "rm"],
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(self.remove)
            .arg(&self.id)
            .output();
    }
}

/// Where this machine's engine is.
pub fn socket() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

pub fn engine() -> DockerEngine {
    DockerEngine::new(&socket(), None, |_| ()).unwrap()
}

struct Events(LocalBoxStream<'static, Result<EngineEvent, EngineError>>);

impl Events {
    /// Waits for an event of one container; those of others pass by.
    async fn expect(&mut self, action: EventKind, container: &str) -> EngineEvent {
        let wait = async {
            loop {
                let event = self
                    .0
                    .next()
                    .await
                    .expect("the stream goes on")
                    .expect("the stream is sound");
                if event.container.as_str() == container && event.action == action {
                    return event;
                }
            }
        };
        tokio::time::timeout(SOON, wait)
            .await
            .unwrap_or_else(|_| panic!("no {action:?}"))
    }
}

async fn inspect(engine: &DockerEngine, word: &str) -> Bearer {
    engine.inspect(word).await.unwrap().expect("it is there")
}

#[tokio::test]
async fn a_containers_life_is_seen() {
    let (engine, network) = (engine(), Made::network());
    let mut events = Events(engine.events().await.unwrap());
    let made = Made::container(&["--label", "q.host=a.example"], &["sleep", "300"]);
    let id = made.id.as_str();
    assert_eq!(
        inspect(&engine, id).await.state,
        BearerState::Other("created".into())
    );
    assert_eq!(inspect(&engine, id).await.started_at, None);

    docker(&["start", id]);
    let joined = events.expect(EventKind::Network, id).await;
    assert!(joined.labels.is_empty());
    let started = events.expect(EventKind::Changed, id).await;
    assert_eq!(
        started.labels.get("q.host").map(String::as_str),
        Some("a.example")
    );
    let running = inspect(&engine, id).await;
    assert_eq!(
        (
            running.state.clone(),
            running.endpoint("bridge").unwrap().address.is_some()
        ),
        (BearerState::Running, true)
    );

    docker(&["pause", id]);
    events.expect(EventKind::Changed, id).await;
    assert_eq!(inspect(&engine, id).await.state, BearerState::Paused);
    docker(&["unpause", id]);
    events.expect(EventKind::Changed, id).await;

    let renamed = unique("renamed");
    docker(&["rename", id, &renamed]);
    events.expect(EventKind::Changed, id).await;
    assert_eq!(inspect(&engine, id).await.name.as_str(), renamed);
    assert_eq!(engine.inspect(&made.name).await.unwrap(), None);

    docker(&["network", "connect", &network.name, id]);
    events.expect(EventKind::Network, id).await;
    assert_eq!(
        inspect(&engine, id)
            .await
            .endpoint(&network.name)
            .unwrap()
            .network_id,
        network.id
    );
    docker(&["network", "disconnect", &network.name, id]);
    events.expect(EventKind::Network, id).await;
    assert!(inspect(&engine, id).await.endpoint(&network.name).is_none());

    docker(&["stop", id]);
    events.expect(EventKind::Changed, id).await;
    let stopped = inspect(&engine, id).await;
    assert_eq!(
        (
            stopped.state.clone(),
            stopped.endpoint("bridge").unwrap().address
        ),
        (BearerState::Other("exited".into()), None)
    );
    docker(&["rm", id]);
    events.expect(EventKind::Gone, id).await;
    assert_eq!(engine.inspect(id).await.unwrap(), None);
}

#[tokio::test]
async fn one_that_uses_another_s_network_has_its_address() {
    let prefix = unique("prefix");
    let owner = Made::running(&[], &["sleep", "300"]);
    let (network, label) = (
        format!("container:{}", owner.name),
        format!("{prefix}.host=a.example"),
    );
    let user = Made::running(
        &["--network", &network, "--label", &label],
        &["sleep", "300"],
    );
    let engine = engine();
    let networks = inspect(&engine, &owner.name).await.endpoints;
    assert!(networks[0].address.is_some());
    let listed = engine
        .bearers(&Dialects::native(&prefix).interest())
        .await
        .unwrap()
        .remove(0);
    for found in [listed, inspect(&engine, &user.name).await] {
        assert_eq!(found.endpoints, networks);
        let joins = found.joins.unwrap();
        assert_eq!(joins.name.unwrap().as_str(), owner.name);
        assert_eq!(joins.id.as_str(), owner.id);
    }
}

#[tokio::test]
async fn only_containers_with_our_labels_are_listed_running_or_not() {
    let prefix = unique("prefix");
    let (ours, other) = (
        format!("{prefix}.host=a.example"),
        format!("{prefix}x.host=a.example"),
    );
    let running = Made::running(&["--label", &ours], &["sleep", "300"]);
    let created = Made::container(&["--label", &ours], &["sleep", "300"]);
    let _other = Made::container(&["--label", &other], &["sleep", "300"]);

    let found = engine()
        .bearers(&Dialects::native(&prefix).interest())
        .await
        .unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    let mut expected = [running.name.as_str(), created.name.as_str()];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(
        found
            .iter()
            .filter(|container| container.is_running())
            .count(),
        1
    );
    assert!(
        engine()
            .bearers(&Dialects::native(&unique("nobody")).interest())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn mounts_ports_and_health_are_read() {
    let (volume, folder) = (Made::volume(), tempfile::tempdir().unwrap());
    let (of_volume, of_folder) = (
        format!("{}:/v:ro", volume.name),
        format!("{}:/b", folder.path().display()),
    );
    let options = [
        "-v", &of_volume, "-v", &of_folder, "--tmpfs", "/t", "--expose", "8080", "--expose",
        "53/udp",
    ];
    let healthy = ["--health-cmd", "exit 0", "--health-interval", "1s"];
    let made = Made::running(&[&options[..], &healthy[..]].concat(), &["sleep", "300"]);
    let engine = engine();
    let mut container = inspect(&engine, &made.name).await;
    let kinds: Vec<_> = container
        .mounts
        .iter()
        .map(|mount| (mount.destination.to_str().unwrap(), mount.writable))
        .collect();
    assert_eq!(kinds, [("/b", true), ("/t", true), ("/v", false)]);
    assert!(
        matches!(&container.mounts[0].kind, MountKind::Bind { source } if source == folder.path())
    );
    assert_eq!(container.mounts[1].kind, MountKind::Private);
    assert!(
        matches!(&container.mounts[2].kind, MountKind::Volume { name, .. } if *name == volume.name)
    );
    assert_eq!(container.exposed, [8080].into());

    let mut events = Events(engine.events().await.unwrap());
    while container.health != Some(Health::Healthy) {
        assert_eq!(container.health, Some(Health::Starting));
        events.expect(EventKind::Changed, &made.id).await;
        container = inspect(&engine, &made.name).await;
    }
    assert!(container.takes_traffic());
}

#[tokio::test]
async fn a_hup_arrives() {
    let engine = engine();
    // Its process says when the trap is set: before, the signal would be lost.
    let script = "trap 'exit 7' HUP; echo set; while :; do sleep 0.05; done";
    let made = Made::running(&[], &["sh", "-c", script]);
    let id = ContainerId::parse(made.id.clone()).unwrap();
    tokio::time::timeout(SOON, async {
        while docker(&["logs", &made.id]) != "set" {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the shell runs");

    let mut events = Events(engine.events().await.unwrap());
    engine.kill(&id, Signal::HUP, Way::Engine).await.unwrap();
    while inspect(&engine, &made.id).await.is_running() {
        events.expect(EventKind::Changed, &made.id).await;
    }
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.ExitCode}}", &made.id]),
        "7"
    );

    let error = engine
        .kill(&id, Signal::HUP, Way::Engine)
        .await
        .expect_err("it does not run any more");
    let EngineError::Refused {
        status: 409,
        message,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(message.contains("is not running"), "{message}");
    let nobody = ContainerId::parse("0".repeat(64)).unwrap();
    let error = engine
        .kill(&nobody, Signal::HUP, Way::Engine)
        .await
        .expect_err("it never was");
    assert!(
        matches!(error, EngineError::Refused { status: 404, .. }),
        "{error:?}"
    );
}

/// Its process writes a line for each HUP that it gets, after one that says that it listens.
const LISTENS: &str = "trap 'echo HUP' HUP; echo set; while :; do sleep 0.05; done";

/// Waits until that is what a container has written.
async fn written(id: &str, lines: &str) {
    let wait = async {
        while docker(&["logs", id]) != lines {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(SOON, wait).await;
    assert!(waited.is_ok(), "{:?}, not {lines:?}", docker(&["logs", id]));
}

/// Ends a container's first process as the system does when memory is short.
fn kill_first_process(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_signal_straight_to_the_process_leaves_the_restart_policy_alone() {
    let engine = engine();
    let options = ["--restart", "unless-stopped"];
    let made = Made::running(&options, &["sh", "-c", LISTENS]);
    let id = ContainerId::parse(made.id.clone()).unwrap();
    written(&made.id, "set").await;
    let seen = inspect(&engine, &made.id).await;
    assert_eq!(
        (seen.restart_policy, &seen.stop_signal, seen.way),
        (RestartPolicy::UnlessStopped, &None, Some(Way::Direct))
    );
    let way = engine.kill(&id, Signal::HUP, Way::Direct).await.unwrap();
    assert_eq!(way, Way::Direct);
    written(&made.id, "set\nHUP").await;

    let mut events = Events(engine.events().await.unwrap());
    kill_first_process(seen.pid.expect("it runs"));
    let mut again = inspect(&engine, &made.id).await;
    while !(again.is_running() && again.started_at != seen.started_at) {
        events.expect(EventKind::Changed, &made.id).await;
        again = inspect(&engine, &made.id).await;
    }
    assert_eq!(again.way, Some(Way::Direct), "the new process is another");
    assert_ne!(again.pid, seen.pid);
}

#[tokio::test]
async fn a_process_that_is_not_proven_to_be_the_containers_is_signalled_by_the_engine() {
    let engine = engine();
    // It has no PID namespace of its own: its number could be anybody's.
    let options = [
        "--pid",
        "host",
        "--restart",
        "always",
        "--stop-signal",
        "QUIT",
    ];
    let made = Made::running(&options, &["sh", "-c", LISTENS]);
    let id = ContainerId::parse(made.id.clone()).unwrap();
    written(&made.id, "set").await;
    let seen = inspect(&engine, &made.id).await;
    assert_eq!(
        (seen.restart_policy, seen.stop_signal.as_deref(), seen.way),
        (RestartPolicy::Always, Some("QUIT"), Some(Way::Engine))
    );
    assert!(seen.has_host_pids);
    let way = engine.kill(&id, Signal::HUP, Way::Direct).await.unwrap();
    assert_eq!(way, Way::Engine);
    written(&made.id, "set\nHUP").await;

    // With this policy and this stop signal the engine's way costs nothing.
    let mut events = Events(engine.events().await.unwrap());
    kill_first_process(seen.pid.expect("it runs"));
    let mut again = inspect(&engine, &made.id).await;
    while !(again.is_running() && again.started_at != seen.started_at) {
        events.expect(EventKind::Changed, &made.id).await;
        again = inspect(&engine, &made.id).await;
    }
}

/// The reason for a complaint: an engine that behaves in another way one day needs none.
#[tokio::test]
async fn the_engines_way_ends_a_restart_policy_without_a_stop_signal() {
    let engine = engine();
    let made = Made::running(&["--restart", "always"], &["sh", "-c", LISTENS]);
    let id = ContainerId::parse(made.id.clone()).unwrap();
    written(&made.id, "set").await;
    engine.kill(&id, Signal::HUP, Way::Engine).await.unwrap();
    written(&made.id, "set\nHUP").await;
    let mut events = Events(engine.events().await.unwrap());
    let pid = inspect(&engine, &made.id).await.pid;
    kill_first_process(pid.expect("it runs"));
    while inspect(&engine, &made.id).await.state != BearerState::Other("exited".into()) {
        events.expect(EventKind::Changed, &made.id).await;
    }
}

#[tokio::test]
async fn an_engine_that_is_there_answers() {
    engine().ping().await.unwrap();
    assert_eq!(engine().inspect(&unique("nobody")).await.unwrap(), None);
}

#[tokio::test]
async fn words_are_run_by_the_user_of_the_container_with_no_more_rights_than_its_own() {
    let made = Made::running(
        &["--user", "33:33", "--cap-drop", "CHOWN"],
        &["sleep", "300"],
    );
    let id = ContainerId::parse(made.id.clone()).unwrap();
    let script =
        "while read -r key value rest; do case $key in Uid:|CapBnd:) echo $value;; esac; done";
    let of = async |process: &str| {
        let script = format!("{script} < /proc/{process}/status");
        let words = ["sh", "-c", &script].map(str::to_owned);
        engine().exec(&id, &words).await.unwrap().output
    };
    let own = of("self").await;
    assert!(
        own.starts_with("33\n") && own.lines().count() == 2,
        "{own:?}"
    );
    assert_eq!(own, of("1").await);
}

#[tokio::test]
async fn words_are_run_as_they_are_and_tell_how_they_ended() {
    let (engine, made) = (engine(), Made::running(&[], &["sleep", "300"]));
    let id = ContainerId::parse(made.id.clone()).unwrap();
    let run = async |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        engine.exec(&id, &words).await
    };
    for (script, argument, code, output) in [
        (
            "echo \"$0\"; echo wrong >&2; exit 3",
            "a  $HOME b",
            3,
            &["a  $HOME b", "wrong"][..],
        ),
        ("exit 0", "", 0, &[]),
    ] {
        let ran = run(&["sh", "-c", script, argument]).await.unwrap();
        // Which of both streams comes first is the engine's choice.
        let mut lines: Vec<_> = ran.output.lines().collect();
        lines.sort_unstable();
        assert_eq!((ran.code, lines.as_slice()), (code, output), "{script}");
    }
    // More than is kept, and more than a pipe holds: it must come to its end all the same.
    let much = run(&[
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; exit 5",
    ])
    .await;
    let much = much.unwrap();
    assert_eq!((much.code, much.output.len()), (5, 64 << 10));

    // Which of both depends on the engine's age.
    match run(&["/nowhere"]).await {
        Ok(ran) => assert!(matches!(ran.code, 126 | 127), "{ran:?}"),
        Err(EngineError::Refused { message, .. }) => {
            assert!(message.contains("/nowhere"), "{message}")
        }
        Err(error) => panic!("{error:?}"),
    }
    let nobody = ContainerId::parse("0".repeat(64)).unwrap();
    for error in [
        engine
            .exec(&nobody, &["true".to_owned()])
            .await
            .expect_err("it never was"),
        engine.restart(&nobody).await.expect_err("it never was"),
    ] {
        assert!(
            matches!(error, EngineError::Refused { status: 404, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_restart_is_a_new_start() {
    let (engine, made) = (engine(), Made::running(&["--init"], &["sleep", "300"]));
    let before = inspect(&engine, &made.id).await;
    engine
        .restart(&ContainerId::parse(made.id.clone()).unwrap())
        .await
        .unwrap();
    let after = inspect(&engine, &made.id).await;
    assert!(
        after.is_running() && after.started_at > before.started_at,
        "{before:?} {after:?}"
    );
}
