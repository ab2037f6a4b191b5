//! One stack of containers for one test, gone with everything it made when the test ends, however it ends.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    process::{Child, Command, Output, Stdio, id},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    client::{self, Answer, Served, Visitor},
    docker::{docker, field, is_so, logs, run, try_docker, wait},
    log::{self, Line},
};

/// For anything that takes a second or two on a machine with nothing else to do.
pub const SOON: Duration = Duration::from_secs(120);

/// Number of signals that each new proxy gets once in addition: for its gate, for what passes through that, and to
/// refuse names that nobody has. Debian's own default site is in the way of one of the two files for the latter, which
/// costs a signal more.
pub const KNOBS: usize = 5;

/// Stacks at the same time, over all test processes: more would only wait for each other on two cores.
const AT_ONCE: usize = 3;

/// The label on everything of ours, so that it can be found again. Not under quaymaster's own prefix, which it reads.
pub const MARK: &str = "quaymaster-test-e2e";

pub const NGINX: &str = "quaymaster-example-nginx";
pub const PEBBLE: &str = "quaymaster-example-pebble";
pub const ECHO: &str = "quaymaster-example-app-echo";
pub const STATIC: &str = "quaymaster-example-app-static";

/// The built-in template of sites.
pub const SITE: &str = include_str!("../../../templates/nginx/site.conf");

/// Writes the user's template of sites into a volume, as an editor does.
pub fn write_site_template(volume: &str, text: &str) {
    let script =
        "mkdir -p /at/nginx && printf %s \"$1\" > /at/.new && mv /at/.new /at/nginx/site.conf";
    in_volume(volume, script, text);
}

/// Runs a script where a volume is mounted at `/at`, with one word.
pub fn in_volume(volume: &str, script: &str, word: &str) {
    let at = format!("{volume}:/at");
    docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        &at,
        NGINX,
        "sh",
        "-ec",
        script,
        "sh",
        word,
    ]);
}

/// The image under test.
pub fn quaymaster_image() -> String {
    std::env::var("QUAYMASTER_TEST_IMAGE").unwrap_or_else(|_| "quaymaster".to_owned())
}

/// The differences from the usual setup.
#[derive(Default)]
pub struct Setup {
    /// Labels begin with `quaymaster`, as everybody's do; then other stacks of this engine are seen, too.
    pub default_prefix: bool,
    /// The life of certificates.
    pub life: Option<Duration>,
    /// The network has IPv6, too.
    pub ipv6: bool,
}

/// A network, volumes, and the containers on them.
pub struct Stack {
    name: String,
    prefix: String,
    signals: Signals,
    _place: File,
}

impl Stack {
    /// Waits for a place, then makes network, volumes, CA and DNS.
    pub fn new(setup: &Setup) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let place = place();
        for image in [NGINX, PEBBLE, ECHO, STATIC, &quaymaster_image()] {
            let found = try_docker(&["image", "inspect", "--format", "{{.Id}}", image]);
            assert!(
                found.is_ok(),
                "there is no image {image}: run tests/run, or compose/images/build"
            );
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{MARK}-{}-{number}", id());
        let prefix = if setup.default_prefix {
            "quaymaster".to_owned()
        } else {
            format!("qm-{}-{number}", id())
        };
        let stack = Self {
            signals: Signals::of(&name),
            name,
            prefix,
            _place: place,
        };
        let mark = stack.mark();
        let subnet = format!("fd72:{:x}:{:x}:{number:x}::/64", id() >> 16, id() & 0xffff);
        let ipv6 = ["--ipv6", "--subnet", subnet.as_str()];
        let options = if setup.ipv6 { &ipv6[..] } else { &[] };
        let create = ["network", "create", "--label", &mark];
        docker(&[&create[..], options, &[&stack.name]].concat());
        ["state", "edge", "ca"]
            .iter()
            .for_each(|volume| stack.volume(volume));
        stack.authority(setup.life);
        stack
    }

    /// Makes a volume.
    pub fn volume(&self, what: &str) {
        docker(&[
            "volume",
            "create",
            "--label",
            &self.mark(),
            &self.named(what),
        ]);
    }

    fn mark(&self) -> String {
        format!("{MARK}={}", self.name)
    }

    /// The whole name of a container or volume.
    pub fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.name
    }

    /// A host name that no other test has.
    pub fn host(&self, word: &str) -> String {
        format!(
            "{word}-{}.example",
            self.name.trim_start_matches(MARK).trim_start_matches('-')
        )
    }

    /// A whole label.
    pub fn label(&self, key: &str, value: &str) -> String {
        format!("{}={value}", self.key(key))
    }

    /// A label's whole name.
    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// Pebble and the DNS in which every name is the proxy's. It sees state and edge, for tests that look into them.
    fn authority(&self, life: Option<Duration>) {
        let life = format!(
            "PEBBLE_CERTIFICATE_SECONDS={}",
            life.map_or(7_776_000, |life| life.as_secs())
        );
        let [ca, state, edge] = [
            ("ca", "/ca"),
            ("state", "/seen/state:ro"),
            ("edge", "/seen/edge:ro"),
        ]
        .map(|(volume, at)| format!("{}:{at}", self.named(volume)));
        let script = "entry challtestsrv & exec entry pebble";
        let options = [
            "-e",
            &life,
            "-e",
            "PEBBLE_DNS=127.0.0.1:8053",
            "-e",
            "PEBBLE_WFE_NONCEREJECT=0",
        ];
        let volumes = ["-v", &ca, "-v", &state, "-v", &edge, "--entrypoint", "sh"];
        self.run(
            "pebble",
            &[&options[..], &volumes[..]].concat(),
            PEBBLE,
            &["-c", script],
        );
        wait(SOON, "Pebble answers", || self.try_root());
    }

    fn try_root(&self) -> Result<String, String> {
        try_docker(&["exec", &self.named("pebble"), "pebble-root"])
    }

    /// Starts a container in this stack's network.
    pub fn run(&self, what: &str, options: &[&str], image: &str, command: &[&str]) {
        let (name, mark) = (self.named(what), self.mark());
        let ours = ["run", "-d", "--name", &name, "--label", &mark];
        let network = ["--network", &self.name, "--network-alias", what];
        docker(&[&ours[..], &network, options, &[image], command].concat());
    }

    /// Makes a container in this stack's network that does not run yet, by the engine's API.
    pub fn create(
        &self,
        what: &str,
        image: &str,
        command: &[&str],
        mut labels: BTreeMap<String, String>,
    ) {
        labels.insert(MARK.to_owned(), self.name.clone());
        let host = serde_json::json!({"NetworkMode": self.name});
        let body =
            serde_json::json!({"Image": image, "Cmd": command, "Labels": labels, "HostConfig": host}).to_string();
        let head = format!(
            "POST /containers/create?name={} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.named(what),
            body.len()
        );
        let (mut stream, mut answer) = (UnixStream::connect(socket()).unwrap(), String::new());
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .unwrap();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }

    /// Makes a further network.
    pub fn make_network(&self, name: &str) {
        docker(&["network", "create", "--label", &self.mark(), name]);
    }

    /// Starts a container with these options, and not in this stack's network.
    pub fn run_alone(&self, what: &str, options: &[&str], image: &str) {
        let (name, mark) = (self.named(what), self.mark());
        docker(
            &[
                &["run", "-d", "--name", &name, "--label", &mark][..],
                options,
                &[image],
            ]
            .concat(),
        );
    }

    /// nginx as Debian has it, with the shared volume.
    pub fn proxy(&self) {
        let edge = format!("{}:/etc/nginx/conf.d:ro", self.named("edge"));
        self.proxy_with(&["-v", &edge], &[]);
    }

    /// nginx without Debian's own default site: alone with what quaymaster writes, as the official image is.
    pub fn bare_proxy(&self) {
        let edge = format!("{}:/etc/nginx/conf.d:ro", self.named("edge"));
        let script = "rm /etc/nginx/sites-enabled/default; exec nginx -g 'daemon off;'";
        self.proxy_with(&["-v", &edge], &["sh", "-c", script]);
    }

    /// nginx with these volumes.
    pub fn proxy_with(&self, options: &[&str], command: &[&str]) {
        let label = self.label("kind", "nginx");
        let ours = [
            "--label",
            &label,
            "-p",
            "127.0.0.1::80",
            "-p",
            "127.0.0.1::443",
        ];
        self.run("proxy", &[&ours[..], options].concat(), NGINX, command);
    }

    /// An app that tells what it was asked, with these labels.
    pub fn app(&self, what: &str, labels: &[(&str, &str)]) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| self.label(key, value))
            .collect();
        let name = format!("APP_NAME={what}");
        let labels = labels.iter().flat_map(|label| ["--label", label.as_str()]);
        let options: Vec<_> = labels.chain(["-e", name.as_str()]).collect();
        self.run(what, &options, ECHO, &[]);
    }

    /// The daemon, with the rights that README promises are enough.
    pub fn quaymaster(&self, environment: &[&str]) {
        self.quaymaster_as("quaymaster", environment);
    }

    /// The daemon, with more options of `docker run`.
    pub fn quaymaster_with(&self, more: &[&str], environment: &[&str]) {
        let options = self.quaymaster_options("state", environment);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        self.run(
            "quaymaster",
            &[&options[..], more].concat(),
            &quaymaster_image(),
            &[],
        );
    }

    /// A second one beside it.
    pub fn quaymaster_as(&self, what: &str, environment: &[&str]) {
        let options = self.quaymaster_options("state", environment);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let health = ["--health-interval", "1s", "--health-start-period", "5s"];
        self.run(
            what,
            &[&options[..], &health].concat(),
            &quaymaster_image(),
            &[],
        );
    }

    /// Runs a command of it in a container that goes when it ends.
    pub fn command(&self, state: &str, environment: &[&str], words: &[&str]) -> Output {
        self.command_with(&[], state, environment, words)
    }

    /// The same, with more options of `docker run`.
    pub fn command_with(
        &self,
        more: &[&str],
        state: &str,
        environment: &[&str],
        words: &[&str],
    ) -> Output {
        let mark = self.mark();
        let (options, image) = (
            self.quaymaster_options(state, environment),
            quaymaster_image(),
        );
        let ours = ["run", "--rm", "--label", &mark, "--network", &self.name];
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        run(&[&ours[..], &options, more, &[&image], words].concat())
    }

    /// The output of the daemon's `status --format json`.
    pub fn status(&self) -> serde_json::Value {
        self.try_status().expect("the daemon tells how it is")
    }

    fn quaymaster_options(&self, state: &str, environment: &[&str]) -> Vec<String> {
        let socket = socket();
        let mut settings = vec![
            "QUAYMASTER_AGREE_TOS=true".to_owned(),
            "QUAYMASTER_CA=https://pebble:14000/dir".to_owned(),
            "QUAYMASTER_CA_ROOT=/ca/ca.pem".to_owned(),
            "QUAYMASTER_LOG_FORMAT=json".to_owned(),
        ];
        if self.prefix != "quaymaster" {
            settings.push(format!("QUAYMASTER_LABEL_PREFIX={}", self.prefix));
        }
        // The last one of a name counts.
        settings.extend(environment.iter().map(|setting| (*setting).to_owned()));
        let volumes = [
            format!("{socket}:/var/run/docker.sock"),
            format!("{}:/state", self.named(state)),
            format!("{}:/edge", self.named("edge")),
            format!("{}:/ca:ro", self.named("ca")),
        ];
        let rights = [
            "--read-only",
            "--cap-drop=ALL",
            "--cap-add=CHOWN",
            "--cap-add=DAC_OVERRIDE",
            "--cap-add=FOWNER",
        ];
        let mut options: Vec<String> = rights.iter().map(|right| (*right).to_owned()).collect();
        options.extend(["--security-opt".to_owned(), "no-new-privileges".to_owned()]);
        options.extend(
            settings
                .into_iter()
                .flat_map(|setting| ["-e".to_owned(), setting]),
        );
        options.extend(
            volumes
                .into_iter()
                .flat_map(|volume| ["-v".to_owned(), volume]),
        );
        options
    }

    /// Where a port of the proxy is published; another one each time that it starts.
    pub fn at(&self, port: u16) -> Result<SocketAddr, String> {
        let found = try_docker(&["port", &self.named("proxy"), &format!("{port}/tcp")])?;
        found
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .ok_or_else(|| format!("{port} is at {found:?}"))
    }

    /// A visitor who trusts this stack's CA alone.
    pub fn visitor(&self) -> Visitor {
        Visitor::trusting(&self.try_root().unwrap())
    }

    /// Asks the proxy over https.
    pub fn https(&self, host: &str) -> Result<Served, String> {
        self.visitor().https(self.at(443)?, host, "/")
    }

    /// Asks the proxy over plain HTTP.
    pub fn http(&self, host: &str, path: &str) -> Result<Answer, String> {
        client::http(self.at(80)?, host, path)
    }

    /// Waits until a name is served by its app with a certificate for it.
    #[track_caller]
    pub fn wait_for_site(&self, host: &str) -> Served {
        self.visitor().wait_for_site(self.at(443).unwrap(), host)
    }

    /// Waits until names lead to where the proxy is now: one that was started again may be somewhere else.
    #[track_caller]
    pub fn wait_for_dns(&self) {
        let address = field(
            &self.named("proxy"),
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        );
        wait(SOON, "the DNS follows the proxy", || {
            let told = logs(&self.named("pebble"));
            let last = told
                .lines()
                .rfind(|line| line.starts_with("every name is at "))
                .unwrap_or_default();
            is_so(last.split(' ').nth(4) == Some(address.trim()), || {
                format!("{last:?}, the proxy is at {address}")
            })
        });
    }

    /// The log of quaymaster.
    pub fn log(&self) -> Vec<Line> {
        log::lines(&logs(&self.named("quaymaster")))
    }

    /// Waits for an event whose words hold a piece of text.
    #[track_caller]
    pub fn wait_for_event(&self, event: &str, piece: &str) -> Line {
        log::wait_for(|| self.log(), event, piece)
    }

    /// Has quaymaster look at everything again, and waits until it has done all that came of it.
    #[track_caller]
    pub fn wait_for_rest(&self) {
        let quaymaster = self.named("quaymaster");
        let status = || self.try_status().ok_or_else(|| "no status".to_owned());
        // The first document may be that of a process before; what is asked of this one shows in the second.
        for _ in 0..2 {
            let before = wait(SOON, "quaymaster tells how it is", status);
            docker(&["kill", "--signal", "HUP", &quaymaster]);
            wait(SOON, "quaymaster has looked, and rests", || {
                let now = status()?;
                let has_looked = now["looks"] != before["looks"];
                is_so(has_looked && now["at_rest"] == true, || {
                    format!("{} and {}", now["looks"], now["under_way"])
                })
            });
        }
    }

    fn try_status(&self) -> Option<serde_json::Value> {
        let name = self.named("quaymaster");
        let words = ["exec", &name, "/quaymaster", "status", "--format", "json"];
        serde_json::from_str(&try_docker(&words).ok()?).ok()
    }

    /// Number of SIGHUPs to the proxy, as the engine counts them.
    pub fn hangups(&self) -> usize {
        self.signals.sent(&self.named("proxy"), "1")
    }

    /// Number of requests to the CA for an order.
    pub fn orders(&self) -> usize {
        let asked = "POST /order-plz -> calling handler()";
        logs(&self.named("pebble"))
            .lines()
            .filter(|line| line.contains(asked))
            .count()
    }

    /// Everything in `state` or `edge`: path to mode, `d`, `f` or `l` first.
    pub fn files(&self, volume: &str) -> BTreeMap<String, String> {
        let folder = format!("/seen/{volume}");
        let found = docker(&[
            "exec",
            &self.named("pebble"),
            "find",
            &folder,
            "-mindepth",
            "1",
            "-printf",
            "%y%m %P\n",
        ]);
        found
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(mode, path)| (path.into(), mode.into()))
            .collect()
    }

    /// The text of a file in `state` or `edge`.
    pub fn text(&self, path: &str) -> Result<String, String> {
        try_docker(&[
            "exec",
            &self.named("pebble"),
            "cat",
            &format!("/seen/{path}"),
        ])
    }

    /// The exit code of a container that has ended.
    pub fn exit_code(&self, what: &str) -> Result<i32, String> {
        let state = field(&self.named(what), "{{.State.Status}} {{.State.ExitCode}}");
        let ended = state
            .strip_prefix("exited ")
            .and_then(|code| code.parse().ok());
        ended.ok_or(state)
    }

    fn dump(&self) {
        for what in ["quaymaster", "second", "proxy"] {
            let text = logs(&self.named(what));
            let tail: Vec<_> = text.lines().rev().take(80).collect();
            eprintln!("--- {}", self.named(what));
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dump();
        }
        let filter = format!("label={}", self.mark());
        let remove = |list: &[&str], remove: &[&str]| {
            let found =
                try_docker(&[list, &["-q", "--filter", &filter]].concat()).unwrap_or_default();
            let found: Vec<_> = found.split_whitespace().collect();
            if !found.is_empty() {
                let _ = run(&[remove, &found].concat());
            }
        };
        remove(&["ps", "-a"], &["rm", "-f", "-v"]);
        remove(&["volume", "ls"], &["volume", "rm", "-f"]);
        remove(&["network", "ls"], &["network", "rm"]);
    }
}

/// The socket of this machine's engine.
fn socket() -> String {
    let told = std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|at| at.strip_prefix("unix://").map(str::to_owned));
    told.unwrap_or_else(|| "/var/run/docker.sock".to_owned())
}

/// One of the places for stacks; it is free again when the file is dropped, also when this process is killed.
pub fn place() -> File {
    let folder = std::env::temp_dir();
    wait(
        Duration::from_secs(3600),
        "a place for another stack is free",
        || {
            let free = (0..AT_ONCE).find_map(|number| {
                let file = File::options()
                    .create(true)
                    .append(true)
                    .open(folder.join(format!("{MARK}-{number}.lock")));
                file.ok().filter(|file| file.try_lock().is_ok())
            });
            free.ok_or_else(|| format!("{AT_ONCE} stacks are there"))
        },
    )
}

/// Signals that containers got, as the engine tells them while they happen: it remembers only its last 256 events.
struct Signals {
    listener: Child,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Signals {
    fn of(stack: &str) -> Self {
        let label = format!("label={MARK}={stack}");
        let mut listener = Command::new("docker")
            .args(["events", "--filter", "event=kill", "--filter", &label])
            .args([
                "--format",
                "{{.Actor.Attributes.name}} {{.Actor.Attributes.signal}}",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let (lines, shared) = (
            BufReader::new(listener.stdout.take().unwrap()).lines(),
            Arc::clone(&seen),
        );
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some((name, signal)) = line.split_once(' ') else {
                    continue;
                };
                shared
                    .lock()
                    .unwrap()
                    .push((name.to_owned(), signal.to_owned()));
            }
        });
        Self { listener, seen }
    }

    fn sent(&self, container: &str, signal: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|(name, number)| name == container && number == signal)
            .count()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}
