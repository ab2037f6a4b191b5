//! Additions by a grant: the proxy's own tool looks at files before the proxy reloads, and the proxy reloads by a
//! command or a restart.

use super::{
    docker::{docker, field, is_so, logs, wait},
    log,
    stack::{ECHO, SOON, Setup, Stack},
};

/// The Compose project of all containers here.
const PROJECT: &str = "com.docker.compose.project=granted";

/// nginx with these labels besides its kind.
fn proxy(stack: &Stack, labels: &[(&str, &str)]) {
    let edge = format!("{}:/etc/nginx/conf.d:ro", stack.named("edge"));
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| stack.label(key, value))
        .collect();
    let labels = labels
        .iter()
        .map(String::as_str)
        .chain([PROJECT])
        .flat_map(|label| ["--label", label]);
    let options: Vec<_> = labels.chain(["-v", edge.as_str()]).collect();
    stack.proxy_with(&options, &[]);
}

/// An app with these labels.
fn app(stack: &Stack, what: &str, labels: &[(&str, &str)]) {
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| stack.label(key, value))
        .collect();
    let labels = labels
        .iter()
        .map(String::as_str)
        .chain([PROJECT])
        .flat_map(|label| ["--label", label]);
    let name = format!("APP_NAME={what}");
    let options: Vec<_> = labels.chain(["-e", name.as_str()]).collect();
    stack.run(what, &options, ECHO, &[]);
}

fn grants(rights: &str) -> String {
    format!("QUAYMASTER_GRANTS=granted = \"* {rights}\"")
}

/// A folder of templates in a volume that quaymaster mounts.
const TEMPLATES: &str = "QUAYMASTER_TEMPLATES=/ca/templates";

/// A template with which nginx refuses each site whose name begins with `bad`.
fn bad_template(stack: &Stack) {
    let text = "{% if host is startingwith(\"bad\") %}\n    no_such_directive on;\n{% endif %}\n";
    let script = format!(
        "mkdir -p /ca/templates/nginx && printf '%s' '{text}' > /ca/templates/nginx/client.conf"
    );
    docker(&["exec", &stack.named("pebble"), "sh", "-c", &script]);
}

/// Each signal was followed, and nginx was never told of what it refuses.
fn nothing_refused_was_told(stack: &Stack) {
    let (lines, said) = (stack.log(), logs(&stack.named("proxy")));
    assert_eq!(
        log::count(&lines, "signalled"),
        log::count(&lines, "proven")
    );
    assert!(!said.contains("[emerg]"), "{said}");
}

#[test]
fn what_nginx_would_refuse_is_found_before_it_is_told_and_told_in_its_words() {
    let stack = Stack::new(&Setup::default());
    let [good, bad, late] = ["good", "bad", "late"].map(|word| stack.host(word));
    bad_template(&stack);
    proxy(&stack, &[("check", "exec nginx -t")]);
    app(&stack, "good", &[("host", &good)]);
    stack.quaymaster(&[&grants("proxy exec"), TEMPLATES]);
    stack.wait_for_site(&good);
    stack.wait_for_rest();
    // Debian's own default site is in the way of one file of ours.
    assert_eq!(log::count(&stack.log(), "refused"), 1);
    nothing_refused_was_told(&stack);

    // Alone, it costs no signal; it is blamed without a search, in nginx' words.
    let hangups = stack.hangups();
    app(&stack, "bad", &[("host", &bad)]);
    let told = stack.wait_for_event("complaint", &bad);
    let words = format!(
        "unknown directive \"no_such_directive\" in /etc/nginx/conf.d/quaymaster-{bad}.conf:"
    );
    let pieces = [
        stack.named("bad"),
        "refuses".to_owned(),
        "conf: [emerg] ".to_owned(),
        words,
    ];
    assert!(
        pieces.iter().all(|piece| told.words.contains(piece)),
        "{}",
        told.words
    );
    stack.wait_for_rest();
    assert_eq!(stack.hangups(), hangups);
    assert_eq!(log::about(&stack.log(), "refused", &bad).len(), 1);

    // A proxy that the user broke accuses none of ours, and goes on.
    let script = "echo 'nonsense on;' > /etc/nginx/sites-enabled/own";
    docker(&["exec", &stack.named("proxy"), "sh", "-c", script]);
    app(&stack, "late", &[("host", &late)]);
    let failed = stack.wait_for_event("failed", "/etc/nginx/sites-enabled/own:1");
    assert!(
        failed.words.contains("its own configuration is broken"),
        "{}",
        failed.words
    );
    // While a proxy is being given files, what is said of its files is not known.
    wait(
        SOON,
        "the one site that is to blame is complained about",
        || {
            let complaints = stack.status()["complaints"].to_string();
            assert!(!complaints.contains(&late), "{complaints}");
            is_so(complaints.contains(&bad), || complaints)
        },
    );
    assert_eq!(
        (stack.hangups(), stack.https(&good).unwrap().answer.status),
        (hangups, 200)
    );
    // It is there again and again for a moment, with growing pauses.
    let file = format!("quaymaster-{late}.conf");
    wait(SOON, "what was there before is back", || {
        is_so(!stack.files("edge").contains_key(&file), || file.clone())
    });
    docker(&[
        "exec",
        &stack.named("proxy"),
        "rm",
        "/etc/nginx/sites-enabled/own",
    ]);
    stack.wait_for_site(&late);

    // Mended, it is served.
    docker(&[
        "exec",
        &stack.named("pebble"),
        "rm",
        "/ca/templates/nginx/client.conf",
    ]);
    wait(SOON, "the mended site is there", || {
        let seen = stack.http(&bad, "/")?.status;
        is_so(matches!(seen, 301 | 503), || format!("{seen}"))
    });
    stack.wait_for_rest();
    nothing_refused_was_told(&stack);
}

#[test]
fn a_proxy_that_is_mended_between_two_looks_accuses_none_of_ours() {
    let stack = Stack::new(&Setup::default());
    let [first, late] = ["first", "late"].map(|word| stack.host(word));
    proxy(&stack, &[("check", "exec sh /tmp/look")]);
    // It refuses as many looks as a file says, and names none of ours.
    let script = "cat >/tmp/look <<'E'\n\
        left=$(cat /tmp/left 2>/dev/null || echo 0)\n\
        [ $left = 0 ] && exec nginx -t\n\
        echo $((left - 1)) >/tmp/left; echo 'its own is broken' >&2; exit 1\nE\n";
    docker(&["exec", &stack.named("proxy"), "sh", "-c", script]);
    app(&stack, "first", &[("host", &first), ("tls", "off")]);
    stack.quaymaster(&[&grants("proxy exec")]);
    serves(&stack, &first);
    stack.wait_for_rest();

    // What is new and what was there before, and what is new once more: mended between that and the fourth look.
    let refused = log::count(&stack.log(), "refused");
    docker(&[
        "exec",
        &stack.named("proxy"),
        "sh",
        "-c",
        "echo 3 >/tmp/left",
    ]);
    app(&stack, "late", &[("host", &late), ("tls", "off")]);
    serves(&stack, &late);
    stack.wait_for_rest();
    let lines = stack.log();
    assert_eq!(log::count(&lines, "refused"), refused, "{lines:?}");
    let looks_left = docker(&["exec", &stack.named("proxy"), "cat", "/tmp/left"]);
    assert_eq!(looks_left.trim(), "0");
}

#[test]
fn without_a_grant_nothing_is_run_and_the_missing_line_is_told() {
    let stack = Stack::new(&Setup::default());
    let good = stack.host("good");
    proxy(
        &stack,
        &[
            ("check", "exec nginx -t"),
            ("reload", "exec nginx -s reload"),
        ],
    );
    app(&stack, "good", &[("host", &good), ("tls", "off")]);
    stack.quaymaster(&[]);
    for key in ["check", "reload"] {
        let told = stack.wait_for_event("complaint", &format!("{}=", stack.key(key)));
        let line = "the right exec needs a grant; write a table [grants] with the line `granted = \"exec\"`";
        assert!(told.words.contains(line), "{}", told.words);
    }
    serves(&stack, &good);
    stack.wait_for_rest();
    assert!(stack.hangups() > 0 && log::count(&stack.log(), "ran") == 0);
    assert!(log::about(&stack.log(), "step", " -- ").is_empty());
}

#[test]
fn a_proxy_is_told_by_words_that_are_run_in_it() {
    let stack = Stack::new(&Setup::default());
    let good = stack.host("good");
    proxy(&stack, &[("reload", "exec nginx -s reload")]);
    app(&stack, "good", &[("host", &good)]);
    stack.quaymaster(&[&grants("proxy exec")]);
    stack.wait_for_site(&good);
    stack.wait_for_rest();
    assert_eq!(
        (stack.hangups(), log::count(&stack.log(), "failed")),
        (0, 0)
    );
    assert!(log::count(&stack.log(), "ran") >= 2);
}

#[test]
fn a_proxy_is_told_by_a_restart() {
    let stack = Stack::new(&Setup::default());
    let good = stack.host("good");
    proxy(&stack, &[("reload", "restart"), ("check", "exec")]);
    let started = || field(&stack.named("proxy"), "{{.State.StartedAt}}");
    let before = started();
    app(&stack, "good", &[("host", &good), ("tls", "off")]);
    stack.quaymaster(&[&grants("proxy exec restart")]);
    serves(&stack, &good);
    stack.wait_for_rest();
    let lines = stack.log();
    assert_ne!(started(), before);
    assert_eq!((stack.hangups(), log::count(&lines, "failed")), (0, 0));
    assert_eq!(
        log::count(&lines, "restarted"),
        log::count(&lines, "proven")
    );
    assert!(!logs(&stack.named("proxy")).contains("[emerg]"));
}

/// Waits until the app answers over plain HTTP, wherever the proxy is now.
fn serves(stack: &Stack, host: &str) {
    wait(SOON, &format!("{host} is served"), || {
        let answer = stack.http(host, "/")?;
        // Debian's own site answers for names that nobody has, and with 200.
        let is_the_app = answer.status == 200 && answer.body.contains(" in container ");
        is_so(is_the_app, || format!("{answer:?}"))
    });
}
