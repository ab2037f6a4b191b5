//! Containers that come and go in every order.

use super::{
    docker::{docker, is_so, pause, wait},
    log,
    stack::{SOON, Setup, Stack},
};

#[test]
fn a_proxy_that_comes_later_or_goes_and_returns() {
    let stack = Stack::new(&Setup::default());
    let (shop, more, away) = (stack.host("shop"), stack.host("more"), stack.host("away"));
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    // Nobody serves it yet, and without that no CA can look: so none is asked.
    stack.wait_for_event("complaint", &shop);
    assert_eq!(stack.orders(), 0);

    stack.proxy();
    stack.wait_for_site(&shop);
    stack.wait_for_event("complaint-over", &shop);
    stack.wait_for_rest();
    let before = stack.hangups();

    docker(&["stop", &stack.named("proxy")]);
    stack.app("more", &[("host", &more)]);
    stack.app("away", &[("host", &away)]);
    stack.wait_for_event("site-seen", &more);
    docker(&["rm", "-f", &stack.named("away")]);
    stack.wait_for_event("site-gone", &away);
    assert_eq!(
        (stack.orders(), stack.hangups()),
        (1, before),
        "one that does not run can't be told"
    );

    // Frozen meanwhile, because it is quicker than the DNS: the CA would look where the proxy was.
    pause(&stack.named("quaymaster"));
    docker(&["start", &stack.named("proxy")]);
    stack.wait_for_dns();
    docker(&["unpause", &stack.named("quaymaster")]);
    stack.wait_for_site(&more);
    assert_eq!(stack.orders(), 2);
    stack.wait_for_rest();

    // Another container in its place, with the same volume: what lies there is enough, and nothing is ordered.
    docker(&["rm", "-f", &stack.named("proxy")]);
    stack.proxy();
    stack.wait_for_site(&shop);
    stack.wait_for_site(&more);
    stack.wait_for_rest();
    assert_eq!(stack.orders(), 2);
    let lines = stack.log();
    assert_eq!(
        (log::count(&lines, "failed"), log::count(&lines, "unproven")),
        (0, 0)
    );
    assert_eq!(log::count(&lines, "signalled"), stack.hangups());
}

#[test]
fn a_missing_mount_names_the_compose_line() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    stack.proxy_with(&[], &[]);
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    let complaint = stack.wait_for_event("complaint", &stack.key("kind"));
    for piece in [
        stack.named("proxy").as_str(),
        "/etc/nginx/conf.d",
        "volumes:",
        ":ro",
        "edge:/edge",
    ] {
        assert!(
            complaint.words.contains(piece),
            "{piece}: {}",
            complaint.words
        );
    }
    assert_eq!((stack.orders(), stack.hangups()), (0, 0));
    assert!(stack.files("edge").is_empty());

    // The remedy is followed.
    docker(&["rm", "-f", &stack.named("proxy")]);
    stack.proxy();
    stack.wait_for_site(&shop);
    wait(SOON, "all complaints are over", || {
        let lines = stack.log();
        let (begun, over) = (
            log::count(&lines, "complaint"),
            log::count(&lines, "complaint-over"),
        );
        is_so(begun == over, || format!("{over} of {begun} are over"))
    });
}
