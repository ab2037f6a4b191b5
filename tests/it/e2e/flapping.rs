//! Containers that come and go again and again.

use std::time::{Duration, Instant};

use super::{
    docker::{docker, field, is_so, run, wait},
    stack::{ECHO, SOON, Setup, Stack, in_volume},
    visits::Visits,
};

/// Number of restarts that it has to make: in the half minute that the engine needs for it, two signals for each end
/// and each failed check would be more than are allowed.
const RESTARTS: u32 = 8;

/// Number of signals that the proxy may get because of two containers that never stay for 5 s, in so long. For each
/// container: one when it is there, one when it is healthy, one for each end and return until the third end, and two
/// more for each pause that may be over.
fn allowed(length: Duration) -> usize {
    let ends = [5, 15, 35, 75, 155, 315, 615];
    let over = ends
        .iter()
        .filter(|end| Duration::from_secs(**end) <= length);
    2 * (2 + 5 + 2 * over.count())
}

/// The status of the one container of a site that comes and goes; null while it takes traffic.
fn waits(stack: &Stack, host: &str, what: &str) -> serde_json::Value {
    let status = stack.status();
    let mut sites = status["sites"].as_array().unwrap().iter();
    let site = sites.find(|site| site["host"] == host);
    site.map_or(serde_json::Value::Null, |site| {
        site["waits"][stack.named(what)].clone()
    })
}

/// The output of a command of quaymaster, whatever its exit code.
fn prints(stack: &Stack, words: &[&str]) -> String {
    let name = stack.named("quaymaster");
    let output = run(&[&["exec", &name, "/quaymaster"], words].concat());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_crash_loop_and_a_flapping_health_check_cost_few_reloads_and_are_told_with_their_number() {
    let stack = Stack::new(&Setup::default());
    let [shop, crash, flap] = ["shop", "crash", "flap"].map(|word| stack.host(word));
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.volume("mend");
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_rest();
    let (before, began) = (stack.hangups(), Instant::now());
    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&shop]);

    let plain = stack.label("tls", "off");
    let [of_crash, of_flap] = [&crash, &flap].map(|host| stack.label("host", host));
    let mend = format!("{}:/mend", stack.named("mend"));
    let always = ["--restart", "always", "-v", &mend];
    let labels = ["--label", &plain, "--label", &of_crash];
    let script = "test -e /mend/ed || { sleep 1; exit 1; }; exec python3 -u /app.py";
    stack.run(
        "crash",
        &[always, labels].concat(),
        ECHO,
        &["sh", "-c", script],
    );
    let check = "test $(( $(date +%s) / 2 % 2 )) = 0";
    let health = ["--health-cmd", check, "--health-interval", "1s"];
    let labels = [
        "--health-retries",
        "1",
        "--label",
        &plain,
        "--label",
        &of_flap,
    ];
    stack.run("flap", &[&health[..], &labels].concat(), ECHO, &[]);

    wait(SOON, "it has restarted often", || {
        let restarts = field(&stack.named("crash"), "{{.RestartCount}}");
        is_so(restarts.parse::<u32>().unwrap() >= RESTARTS, || restarts)
    });
    let (hangups, length) = (stack.hangups() - before, began.elapsed());
    assert!(
        hangups <= allowed(length),
        "{hangups} reloads in {length:?}"
    );
    wait(SOON, "both are told", || {
        let told = [waits(&stack, &crash, "crash"), waits(&stack, &flap, "flap")];
        is_so(told.iter().all(|told| told.is_object()), || {
            format!("{told:?}")
        })
    });

    let logs = format!("`docker logs {}` says why", stack.named("crash"));
    wait(SOON, "status and explain tell it", || {
        let told = [
            prints(&stack, &["status"]),
            prints(&stack, &["explain", &crash]),
        ];
        let is_told = |text: &String| {
            text.contains("comes and goes: it was restarted ") && text.contains(&logs)
        };
        is_so(told.iter().all(is_told), || told.concat())
    });

    // Mended, and started by hand.
    in_volume(&stack.named("mend"), "touch /at/ed", "");
    docker(&["restart", "-t", "1", &stack.named("crash")]);
    wait(SOON, "what was mended is served", || {
        let answer = stack.http(&crash, "/")?;
        is_so(answer.status == 200, || format!("{answer:?}"))
    });
    let seen = visits.end();
    assert!(
        seen.iter().all(|visit| visit.outcome.is_ok()),
        "the other site is served all the time: {seen:?}"
    );
}
