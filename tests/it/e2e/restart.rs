//! Ends and new beginnings of quaymaster itself.

use super::{
    docker::{docker, is_so, try_docker, wait},
    log,
    stack::{SOON, Setup, Stack},
    visits::Visits,
};

#[test]
fn a_restart_orders_nothing() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    let serial = stack.wait_for_site(&shop).serial;
    stack.wait_for_rest();
    let before = (stack.orders(), stack.hangups());
    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&shop]);
    let name = stack.named("quaymaster");
    let seen = || log::count(&stack.log(), "engine-seen");

    // Looks at everything again, and finds it as it should be.
    let looks = seen();
    docker(&["kill", "-s", "HUP", &name]);
    wait(SOON, "it looks again", || {
        is_so(seen() == looks + 1, || format!("{} looks", seen()))
    });

    stop(&name);
    assert_eq!(stack.exit_code("quaymaster"), Ok(0));
    assert_eq!(log::count(&stack.log(), "ended"), 1);
    start_and_rest(&stack, &name);

    docker(&["kill", "-s", "KILL", &name]);
    wait(SOON, "it has ended", || stack.exit_code("quaymaster"));
    start_and_rest(&stack, &name);

    // A new container has another name and id, but the same state.
    docker(&["rm", "-f", &name]);
    stack.quaymaster(&[]);
    stack.wait_for_event("engine-seen", "");
    stack.wait_for_rest();

    assert_eq!((stack.orders(), stack.hangups()), before);
    let seen = visits.end();
    assert!(
        seen.iter().all(|visit| visit
            .outcome
            .as_ref()
            .is_ok_and(|(seen, _)| *seen == serial)),
        "{seen:?}"
    );
}

/// Ends it by SIGTERM. The engine's SIGKILL, which would be another exit code, comes much later.
fn stop(name: &str) {
    docker(&["stop", "--time", "60", name]);
}

fn start_and_rest(stack: &Stack, name: &str) {
    let starts = log::count(&stack.log(), "engine-seen");
    docker(&["start", name]);
    wait(SOON, "it works again", || {
        let seen = log::count(&stack.log(), "engine-seen");
        is_so(seen > starts, || format!("{seen} looks"))
    });
    stack.wait_for_rest();
}

#[test]
fn a_second_quaymaster_stands_by_and_takes_over() {
    let stack = Stack::new(&Setup::default());
    let (shop, late) = (stack.host("shop"), stack.host("late"));
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_rest();
    let before = stack.hangups();

    stack.quaymaster_as("second", &[]);
    let second = || log::lines(&super::docker::logs(&stack.named("second")));
    wait(SOON, "the second stands by", || {
        is_so(log::count(&second(), "standing-by") == 1, || {
            format!("{:?}", second().last())
        })
    });
    assert_eq!(log::count(&second(), "started"), 0);

    docker(&["kill", "-s", "KILL", &stack.named("quaymaster")]);
    wait(SOON, "the second has taken over", || {
        is_so(log::count(&second(), "engine-seen") > 0, || {
            format!("{:?}", second().last())
        })
    });
    // Nothing is done twice, and what is new is done by the second.
    stack.app("late", &[("host", &late)]);
    stack.wait_for_site(&late);
    wait(SOON, "the second has seen it served", || {
        let lines = second();
        is_so(
            log::count(&lines, "proven") == log::count(&lines, "signalled"),
            || format!("{:?}", lines.last()),
        )
    });
    assert_eq!((stack.orders(), stack.hangups()), (2, before + 2));
    assert_eq!(log::count(&second(), "standing-by"), 1);

    stop(&stack.named("second"));
    assert_eq!(stack.exit_code("second"), Ok(0));
    assert!(try_docker(&["start", &stack.named("quaymaster")]).is_ok());
    stack.wait_for_rest();
    assert_eq!((stack.orders(), stack.hangups()), (2, before + 2));
}
