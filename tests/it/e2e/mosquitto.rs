//! The stack `mosquitto`, as `compose/up` starts it from the very Compose file that people copy.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use super::{
    docker::{docker, field, is_so, logs, try_docker, wait},
    quickstart::{Copy, free_ports},
    stack::{SOON, in_volume, place},
};

const HOST: &str = "mqtt.example";
const TOPIC: &str = "readings/kitchen";

/// The stack, tried as `compose/up` does it.
fn up() -> Copy {
    let [http, https] = free_ports().map(|port| port.to_string());
    let settings = [
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
    ];
    Copy::up("mosquitto", &settings)
}

/// The words that run a client of a user in the broker's container, over TLS and verified against the CA's root, which
/// `compose/mosquitto/try` has put there.
fn client<'a>(broker: &'a str, program: &'a str, user: &'a str, password: &'a str) -> Vec<&'a str> {
    let mut words = vec!["exec", broker, program, "-h", HOST, "-p", "8883"];
    words.extend(["--cafile", "/tmp/root.pem", "-u", user, "-P", password]);
    words.extend(["-t", TOPIC, "-q", "1"]);
    words
}

/// A client that stays connected.
struct Watcher {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Watcher {
    fn of(broker: &str) -> Self {
        let mut words = client(broker, "mosquitto_sub", "watcher", "watcher-example");
        words.extend(["-i", "lasting", "-C", "2", "-W", "600"]);
        let mut process = Command::new("docker")
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// The next message; empty where it ended.
    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

#[test]
fn the_mosquitto_stack_keeps_its_clients_through_a_renewal_that_new_ones_see() {
    let _place = place();
    let copy = up();
    let (broker, quaymaster) = (
        copy.container("broker").unwrap(),
        copy.container("quaymaster").unwrap(),
    );
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(HOST), 1, "nginx and mosquitto are one order");
    let first = copy.serial_at("broker:8883", HOST).unwrap();
    let started = field(&broker, "{{.State.StartedAt}}");

    // `try` left a reading for whoever comes.
    let mut watcher = Watcher::of(&broker);
    assert_eq!(watcher.next(), "warm");
    let renew = ["exec", &quaymaster, "/quaymaster", "renew", HOST, "--force"];
    docker(&renew);
    let second = copy.wait_for_another_than(&first, "broker:8883", HOST);
    assert_eq!(
        copy.wait_for_another_than(&first, "proxy:443", HOST),
        second
    );
    let mut words = client(&broker, "mosquitto_pub", "sensor", "sensor-example");
    words.extend(["-m", "hot"]);
    docker(&words);
    assert_eq!(watcher.next(), "hot");
    assert!(watcher.process.wait().unwrap().success());
    let log = logs(&broker);
    assert_eq!(
        log.matches("as lasting ").count(),
        1,
        "it connected once:\n{log}"
    );
    assert_eq!(field(&broker, "{{.State.StartedAt}}"), started);
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(HOST), 2);

    // A folder that was emptied is filled again, and nothing is ordered for that.
    let certs = format!("{}_broker-certs", copy.0);
    in_volume(&certs, "rm -rf /at/* /at/.v* /at/.c*", "");
    docker(&["kill", "-s", "HUP", &quaymaster]);
    let look = ["exec", &broker, "cat", "/mosquitto/certs/fullchain.pem"];
    wait(SOON, "the certificate is there again", || {
        let seen = try_docker(&look)?;
        is_so(seen.contains("CERTIFICATE"), || seen.clone())
    });
    copy.wait_until_all_is_well();
    assert_eq!(copy.orders(HOST), 2);
    assert_eq!(copy.serial_at("broker:8883", HOST).unwrap(), second);
    let (is_kept, said) = copy.script(&["mosquitto/try"], &[]);
    assert!(is_kept, "{said}");
    a_broker_without_a_configuration_gets_one(&copy, &quaymaster);
}

/// A broker of the stack that has no configuration of its own, in the volume of the other one's certificates.
struct Bare<'a> {
    copy: &'a Copy,
    name: String,
}

const BARE: &str = "bare.example";
const CONF: &str = "/shared/conf/mosquitto.conf";

impl<'a> Bare<'a> {
    fn start(copy: &'a Copy) -> Self {
        let project = &copy.0;
        let name = format!("{project}-bare");
        // Labels of a copy begin with its own name.
        let labels = [
            format!("com.docker.compose.project={project}"),
            format!("{project}.kind=mosquitto"),
            format!("{project}.use={BARE}"),
            format!("{project}.files=/shared/certs"),
            format!("{project}.config=/shared/conf"),
        ];
        let (network, volume) = (
            format!("{project}_default"),
            format!("{project}_broker-certs:/shared"),
        );
        let mut words = vec!["run", "--detach", "--restart", "always", "--name", &name];
        words.extend(["--network", &network, "--volume", &volume]);
        words.extend(labels.iter().flat_map(|label| ["--label", label]));
        words.push("quaymaster-example-mosquitto-trixie");
        words.extend(["mosquitto", "-c", CONF]);
        docker(&words);
        Self { copy, name }
    }

    /// Runs words in it, as root.
    fn run(&self, words: &[&str]) -> Result<String, String> {
        try_docker(&[&["exec", "--user", "0", &self.name], words].concat())
    }

    /// Publishes as a user or as nobody.
    fn publish(&self, user: &[&str]) -> Result<String, String> {
        let words = ["mosquitto_pub", "-p", "1883", "-t", TOPIC, "-m", "warm"];
        self.run(&[&words[..], user].concat())
    }

    fn serial(&self, port: u16) -> Result<String, String> {
        let at = format!("{}:{port}", self.name);
        let serial = self.copy.serial_at(&at, BARE)?;
        is_so(!serial.is_empty(), || format!("{at} shows none")).map(|()| serial)
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        let _ = try_docker(&["rm", "--force", &self.name]);
    }
}

fn a_broker_without_a_configuration_gets_one(copy: &Copy, quaymaster: &str) {
    let bare = Bare::start(copy);
    wait(
        2 * SOON,
        "it has a configuration and the CA's certificate",
        || {
            let issuer = "openssl s_client -connect \"$1\" </dev/null 2>/dev/null | openssl x509 -noout -issuer";
            let (pebble, at) = (copy.container("pebble")?, format!("{}:8883", bare.name));
            let seen = try_docker(&["exec", &pebble, "sh", "-c", issuer, "sh", &at])?;
            is_so(seen.contains("Pebble"), || seen.clone())
        },
    );
    // Its websockets show what was there when it started.
    docker(&["restart", &bare.name]);
    let shown = wait(SOON, "both ports show the same certificate", || {
        let (plain, web) = (bare.serial(8883)?, bare.serial(8083)?);
        is_so(plain == web, || format!("{plain} and {web}")).map(|()| plain)
    });
    assert_eq!(copy.orders(BARE), 1);

    let refused = bare.publish(&[]).unwrap_err();
    assert!(refused.contains("not authorised"), "{refused}");
    let user = ["-u", "sensor", "-P", "secret"];
    assert!(bare.publish(&user).is_err());
    let users = "mosquitto_passwd -c -b /shared/conf/passwd sensor secret && chown 1883 /shared/conf/passwd";
    bare.run(&["sh", "-c", users]).unwrap();
    docker(&["kill", "-s", "HUP", quaymaster]);
    wait(SOON, "its user gets in", || bare.publish(&user));
    let refused = bare.publish(&[]).unwrap_err();
    assert!(refused.contains("not authorised"), "{refused}");
    copy.wait_until_all_is_well();

    let explain = || docker(&["exec", quaymaster, "/quaymaster", "explain", BARE]);
    assert!(
        explain().contains("is quaymaster's default"),
        "{}",
        explain()
    );
    bare.run(&["sh", "-c", &format!("echo 'max_connections 9' >>{CONF}")])
        .unwrap();
    let edited = bare.run(&["cat", CONF]).unwrap();
    assert!(
        explain().contains(&format!("{CONF} is yours")),
        "{}",
        explain()
    );
    // Were it quaymaster's, it would be written anew.
    bare.run(&["touch", "/shared/conf/acl"]).unwrap();
    let renew = ["exec", quaymaster, "/quaymaster", "renew", BARE, "--force"];
    docker(&renew);
    wait(SOON, "it shows another certificate", || {
        let seen = bare.serial(8883)?;
        is_so(seen != shown, || seen.clone())
    });
    assert_eq!(bare.run(&["cat", CONF]).unwrap(), edited);
}
