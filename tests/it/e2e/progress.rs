//! The progress that a user sees who runs a command on a terminal.

use std::process::Output;

use super::stack::{Setup, Stack};

/// The character that begins a movement on a terminal, where no colours are wanted.
const ESCAPE: char = '\u{1b}';

/// The screen that a text leaves behind, and each line that was taken from it again.
fn screen(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut taken) = (vec![String::new()], Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((up, after)) = rest
            .strip_prefix("\u{1b}[")
            .and_then(|rest| rest.split_once("A\r\u{1b}[J"))
        {
            let left = lines.len() - 1 - up.parse::<usize>().unwrap();
            assert_eq!(
                lines.pop().as_deref(),
                Some(""),
                "it is erased from the beginning of a line"
            );
            taken.extend(lines.split_off(left));
            lines.push(String::new());
            rest = after;
            continue;
        }
        assert_ne!(first, ESCAPE, "{rest:?}");
        match first {
            '\n' => lines.push(String::new()),
            '\r' => {}
            _ => lines.last_mut().unwrap().push(first),
        }
        rest = &rest[first.len_utf8()..];
    }
    lines.pop();
    (lines, taken)
}

#[test]
fn a_terminal_shows_what_runs_until_it_is_over_and_keeps_whole_lines_of_the_log() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    let once = |options: &[&str], environment: &[&str]| {
        let environment = [environment, &["QUAYMASTER_LOG_FORMAT=text", "NO_COLOR=1"]].concat();
        let Output {
            status,
            stdout,
            stderr,
        } = stack.command_with(options, "state", &environment, &["once"]);
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert_eq!(status.code(), Some(0), "{text}");
        text
    };
    let is_of_the_log = |line: &&String| line.starts_with("20") && line.contains("  INFO ");

    let (left, taken) = screen(&once(&["-t"], &[]));
    assert!(
        left.len() > 10 && left.iter().all(|line| is_of_the_log(&line)),
        "{left:#?}"
    );
    let shown = |piece: &str| taken.iter().any(|line| line.contains(piece));
    // Lines are cut to the terminal, and how much of one is left depends on the length of the name.
    assert!(
        shown(&format!(" s  {shop}: obtain {shop} --challenge ")),
        "{taken:#?}"
    );
    for stage in [
        "the CA is asked",
        "the responses are published",
        "the CA validates",
        "the CA issues",
    ] {
        assert!(
            shown(&format!(" s  {shop}: {stage}")),
            "{stage}: {taken:#?}"
        );
    }
    assert!(
        shown(&format!(" s  {}: prove ", stack.named("proxy"))),
        "{taken:#?}"
    );
    assert!(!taken.iter().any(|line| is_of_the_log(&line)), "{taken:#?}");

    // Nothing of the kind where it would be in the way.
    let again = |options: &[&str], environment: &[&str]| {
        stack.app("more", &[("host", &stack.host("more")), ("tls", "off")]);
        let text = once(options, environment);
        super::docker::docker(&["rm", "-f", &stack.named("more")]);
        assert!(
            text.contains(&stack.host("more")) && !text.contains(ESCAPE),
            "{text}"
        );
    };
    again(&[], &[]);
    again(&["-t"], &["TERM=dumb"]);
}
