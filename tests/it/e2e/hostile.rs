//! Labels that can't be followed, by mistake or on purpose, beside one that can.

use super::{
    docker::docker,
    log,
    stack::{Setup, Stack},
};

/// Longer than anything that should stand in a log.
const LONGEST_LINE: usize = 1000;

/// A container, the label that can't be followed, and all its labels.
type Bad<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

#[test]
fn hostile_labels_beside_a_good_one() {
    let stack = Stack::new(&Setup::default());
    let good = stack.host("good");
    let long = format!("{}.example", "x".repeat(20_000));
    let (misspelt, eighty, broken) = (
        stack.host("misspelt"),
        stack.host("eighty"),
        stack.host("broken"),
    );
    let bad: &[Bad<'_>] = &[
        ("semicolon", "host", &[("host", "x;}server{")]),
        ("shell", "host", &[("host", "$(reboot).example")]),
        ("eighty", "port", &[("host", &eighty), ("port", "eighty")]),
        ("misspelt", "hots", &[("hots", &misspelt)]),
        (
            "broken",
            "port",
            &[("host", &broken), ("port", "80\n}\nserver {")],
        ),
        (
            "forged",
            "kind",
            &[("kind", "nginx\n{\"event\":\"proven\"}\u{1b}[2J")],
        ),
        ("long", "host", &[("host", &long)]),
    ];
    stack.proxy();
    bad.iter()
        .for_each(|(what, _, labels)| stack.app(what, labels));
    stack.app("good", &[("host", &good)]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&good);
    stack.wait_for_rest();

    let lines = stack.log();
    let status = docker(&["exec", &stack.named("quaymaster"), "/quaymaster", "status"]);
    for (what, label, _) in bad {
        let named = format!(
            "container {}, label {}",
            stack.named(what),
            stack.key(label)
        );
        let complaints = log::about(&lines, "complaint", &named);
        assert_eq!(complaints.len(), 1, "{named}: {complaints:?}");
        assert!(
            complaints[0].words.len() < LONGEST_LINE,
            "{named}: {} bytes",
            complaints[0].words.len()
        );
        assert!(
            !complaints[0].words.contains(char::is_control),
            "{:?}",
            complaints[0].words
        );
        assert_eq!(status.matches(&named).count(), 1, "{named}: {status}");
    }
    assert_eq!(log::count(&lines, "complaint"), bad.len());
    assert!(!status.contains('\u{1b}'), "{status:?}");
    assert_eq!(
        (
            log::count(&lines, "failed"),
            log::count(&lines, "unproven"),
            stack.orders()
        ),
        (0, 0, 1)
    );
    let mut files: Vec<_> = stack
        .files("edge")
        .into_keys()
        .filter(|path| path.ends_with(".conf"))
        .collect();
    files.retain(|path| !path.starts_with('.'));
    assert_eq!(
        files,
        [
            "quaymaster--base.conf".to_owned(),
            "quaymaster--gate.conf".to_owned(),
            "quaymaster--mark.conf".to_owned(),
            "quaymaster--unknown-https.conf".to_owned(),
            format!("quaymaster-{good}.conf")
        ]
    );

    // By hand, on a state of its own: the rest is done, and the exit code tells that not everything was.
    docker(&["rm", "-f", &stack.named("quaymaster")]);
    stack.volume("other");
    let once = stack.command("other", &[], &["once"]);
    assert_eq!(once.status.code(), Some(3), "{once:?}");
    assert_eq!(stack.orders(), 2);
    stack.wait_for_site(&good);
    bad.iter()
        .for_each(|(what, ..)| drop(docker(&["rm", "-f", &stack.named(what)])));
    let once = stack.command("other", &[], &["once"]);
    assert_eq!(
        (once.status.code(), stack.orders()),
        (Some(0), 2),
        "{once:?}"
    );
}
