//! Two hundred containers whose labels can't be followed, beside ten that can.

use std::{collections::BTreeSet, thread};

use crate::support::crowd::{NUMBER, Odd, crowd};

use super::{
    docker::docker,
    log,
    stack::{ECHO, Setup, Stack},
};

/// Number of them that are made at the same time.
const AT_ONCE: usize = 8;

#[test]
fn two_hundred_hostile_containers_harm_none_of_ten_good_ones_and_each_is_named() {
    let stack = Stack::new(&Setup::default());
    let good: Vec<_> = (0..10).map(|n| stack.host(&format!("good{n}"))).collect();
    stack.proxy();
    for (n, host) in good.iter().enumerate() {
        stack.app(&format!("good{n}"), &[("host", host)]);
    }
    let prefix = stack.key("");
    // What is made after the good ones is younger, and so takes no name from them.
    let odd = crowd(prefix.trim_end_matches('.'), &good[3], |name| {
        stack.host(name)
    });
    thread::scope(|scope| {
        for part in odd.chunks(NUMBER.div_ceil(AT_ONCE)) {
            scope.spawn(|| part.iter().for_each(|odd| create(&stack, odd)));
        }
    });
    stack.quaymaster(&[]);
    for (n, host) in good.iter().enumerate() {
        let served = stack.wait_for_site(host);
        assert!(
            served.answer.body.contains(&format!("good{n}")),
            "{}",
            served.answer.body
        );
    }
    stack.wait_for_rest();

    let status = stack.status();
    let complaints = status["complaints"].as_array().unwrap().iter();
    let named: BTreeSet<_> = complaints
        .map(|complaint| complaint["container"].as_str().unwrap().to_owned())
        .collect();
    let all: BTreeSet<_> = odd.iter().map(|odd| stack.named(&odd.name)).collect();
    let silent: Vec<_> = odd
        .iter()
        .filter(|odd| !named.contains(&stack.named(&odd.name)))
        .collect();
    let silent: Vec<_> = silent
        .iter()
        .map(|odd| format!("{}: {:.300?}", odd.name, odd.labels))
        .collect();
    assert!(silent.is_empty(), "nothing is said about {silent:#?}");
    assert_eq!(named, all, "nobody else is complained about");

    // Events of all kinds of them, megabytes of labels among them, take nobody else's away.
    odd.iter().take(20).for_each(|odd| {
        drop(docker(&[
            "rename",
            &stack.named(&odd.name),
            &stack.named(&format!("{}x", odd.name)),
        ]))
    });
    let late = stack.host("late");
    stack.app("late", &[("host", &late)]);
    stack.wait_for_site(&late);
    let lines = stack.log();
    assert_eq!(
        (
            log::count(&lines, "engine-lost"),
            log::count(&lines, "unproven")
        ),
        (0, 0)
    );
    for host in &good {
        assert_eq!(stack.https(host).unwrap().answer.status, 200, "{host}");
    }
}

/// Makes one, and lets it run where that matters.
fn create(stack: &Stack, odd: &Odd) {
    // Not by the docker command, which takes no label of megabytes.
    let labels = odd
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    stack.create(&odd.name, ECHO, &["sleep", "600"], labels.collect());
    if odd.must_run {
        docker(&["start", &stack.named(&odd.name)]);
    }
}
