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
}
