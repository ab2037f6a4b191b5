//! Tests of the gate that keeps requests from containers that have others' addresses after a start.

use super::*;

/// The site of the shop, as a proxy that was deployed to and rests has it.
fn site(containers: impl IntoIterator<Item = Bearer>, observed: &Observed) -> String {
    let desired = desired(containers);
    let mut seen = fresh(&desired);
    seen.held.clone_from(&observed.held);
    // What lies there has another text than anything that is rendered now.
    let installed = Rc::make_mut(seen.installed.values_mut().next().expect("the proxy"));
    let known = observed.installed.values().next().expect("the proxy");
    *installed = Installed::clone(known);
    installed
        .files
        .values_mut()
        .for_each(|file| file.digest = Digest::of("another"));
    let plan = planned(&desired, &seen, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let file = site_file(&Host::parse("shop.example").expect("a host"));
    deploy.write[&file].clone()
}

fn rested(containers: impl IntoIterator<Item = Bearer>) -> (Desired, Observed) {
    let desired = desired(containers);
    let observed = settled(&desired, fresh(&desired), START);
    (desired, observed)
}

fn on_the_usual_network(mut container: Bearer) -> Bearer {
    container
        .endpoints
        .iter_mut()
        .for_each(|endpoint| endpoint.network = "bridge".to_owned());
    container
}

const OPEN: &str = "/dev/shm/quaymaster-open-";

#[test]
fn sites_go_through_the_gate_once_it_was_seen_to_open_and_only_then() {
    let (_, mut observed) = rested([proxy(), shop()]);
    let gated = site([proxy(), shop()], &observed);
    for line in [
        "resolver 127.0.0.11 valid=1s ipv6=off;",
        "set $quaymaster_to_0 \"id4:8080\";",
        "set $quaymaster_to_0 quaymaster_shop.example;",
        "proxy_pass http://$quaymaster_to_0;",
        OPEN,
    ] {
        assert!(gated.contains(line), "{line}: {gated}");
    }
    // Where the engine has no DNS for the proxy, nothing goes by id.
    let usual = [on_the_usual_network(proxy()), on_the_usual_network(shop())];
    let closed = site(usual, &observed);
    for line in [
        "set $quaymaster_to_0 \"\";",
        "if ($quaymaster_to_0 = \"\") {",
        OPEN,
    ] {
        assert!(closed.contains(line), "{line}: {closed}");
    }
    assert!(!closed.contains("resolver"), "{closed}");
    // Not opened yet; refused.
    let before = observed.clone();
    installed(&mut observed).opened_for = None;
    assert!(!site([proxy(), shop()], &observed).contains(OPEN));
    observed = before;
    let gate = FileName::parse("quaymaster--gate.conf").expect("a name");
    installed(&mut observed).files.remove(&gate);
    assert!(!site([proxy(), shop()], &observed).contains(OPEN));
}

#[test]
fn where_no_gate_can_be_had_paths_with_one_container_go_by_its_id() {
    let shared = || Bearer {
        has_own_shm: false,
        ..proxy()
    };
    let (_, observed) = rested([shared(), shop()]);
    assert!(
        !told(
            &desired([shared(), shop()]),
            &fresh(&desired([shared(), shop()])),
            START
        )
        .iter()
        .any(|step| step.contains("gate"))
    );
    let by_id = site([shared(), shop()], &observed);
    assert!(by_id.contains("set $quaymaster_to_0 id4:8080;"), "{by_id}");
    assert!(by_id.contains("proxy_pass http://$quaymaster_to_0;") && !by_id.contains(OPEN));
    let second = container("shop2", 5).label("host", "shop.example");
    let by_address = site([shared(), shop(), second], &observed);
    assert!(
        by_address.contains("proxy_pass http://quaymaster_shop.example;"),
        "{by_address}"
    );
}

#[test]
fn the_gate_is_opened_after_each_start_once_every_address_is_right() {
    let (_, observed) = rested([proxy(), shop()]);
    let mut started = proxy();
    started.started_at = Some(START + HOUR);
    let open = "open-gate proxy".to_owned();
    let right = desired([started.clone(), shop()]);
    assert_eq!(told(&right, &observed, START), ["prove proxy", &open]);
    // The site's container has another address since: the file that says so comes first.
    let moved = container("shop", 9).label("host", "shop.example");
    let moved = desired([started.clone(), moved]);
    let steps = told(&moved, &observed, START);
    assert!(
        steps[0].starts_with("write quaymaster-shop") && steps.last() == Some(&open),
        "{steps:?}"
    );
    // Of who is missed after a gap nothing is known: as long as that is so, nothing is opened.
    let mut missed = observed.clone();
    missed.are_any_missed = true;
    assert_eq!(told(&right, &missed, START), ["prove proxy"]);
    let seen = foresee(&missed, &planned(&right, &missed, START), START);
    assert_eq!(told(&right, &seen, START), [""; 0]);
    let found = Observed {
        are_any_missed: false,
        ..seen
    };
    assert_eq!(told(&right, &found, START), ["prove proxy", &open]);
    let plan = planned(&right, &found, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (&deploy.why, &deploy.tell),
        (&BTreeSet::from([Why::GateClosed]), &Tell::Started)
    );
    let opened = foresee(&found, &plan, START);
    assert_eq!(told(&right, &opened, START), [""; 0]);
}

#[test]
fn a_file_that_is_held_back_and_leads_elsewhere_is_what_keeps_the_gate_closed() {
    let (_, mut observed) = rested([proxy(), shop()]);
    let mut started = proxy();
    started.started_at = Some(START + HOUR);
    let moved = || container("shop", 9).label("host", "shop.example");
    let with_moved = desired([started, moved()]);
    let file = site_file(&Host::parse("shop.example").expect("a host"));
    let plan = planned(&with_moved, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        deploy.shut_if_late,
        BTreeSet::from([FileName::parse("shop.example").expect("a name")])
    );
    // It is refused, and so is what would take it away.
    let tried = deploy.after.trying.clone();
    let known = installed(&mut observed);
    quarantine::refused(&mut known.trial, &tried, "no", START);
    let plan = planned(&with_moved, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.remove, BTreeSet::from([file]));
    let tried = deploy.after.trying.clone();
    let shut = BTreeSet::from([FileName::parse("shop.example").expect("a name")]);
    let proxy = ContainerName::parse("proxy").expect("a name");
    assert_eq!(plan.shut, BTreeMap::from([(proxy.clone(), shut.clone())]));
    let known = installed(&mut observed);
    quarantine::refused(&mut known.trial, &tried, "no", START);
    known.shut = shut;
    assert_eq!(told(&with_moved, &observed, START), ["prove proxy"]);
    let seen = foresee(&observed, &planned(&with_moved, &observed, START), START);
    let plan = planned(&with_moved, &seen, START);
    assert_eq!((plan.actions, plan.shut), (Vec::new(), BTreeMap::new()));
    let complaint = plan
        .complaints
        .iter()
        .find(|it| it.problem.contains("get 503"));
    assert!(
        complaint.is_some_and(|it| it.problem.contains("shop.example")),
        "{:?}",
        plan.complaints
    );

    // Once it leads to its own again, it is open again.
    let back = desired([super::proxy(), shop()]);
    let opened = settled(&back, seen, START);
    assert_eq!(
        planned(&back, &opened, START).shut,
        BTreeMap::from([(proxy, BTreeSet::new())])
    );
}

#[test]
fn a_site_that_leads_partly_elsewhere_is_shut_where_a_reload_has_failed() {
    let second = || container("shop2", 5).label("host", "shop.example");
    let (_, mut observed) = rested([proxy(), shop(), second()]);
    let alone = desired([proxy(), shop()]);
    let plan = planned(&alone, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (&plan.shut, deploy.shut_if_late.len()),
        (&BTreeMap::new(), 0),
        "nginx asks the other one"
    );
    let attempt = Attempt {
        last: START,
        ..deploy.attempt.clone()
    };
    observed.attempts.insert(plan.actions[0].subject(), attempt);
    let plan = planned(&alone, &observed, START);
    assert_eq!(
        plan.shut.values().map(BTreeSet::len).collect::<Vec<_>>(),
        [1]
    );

    // Where something else has failed, the next deployment begins in the same turn, and has to open it again.
    let attempts = observed.attempts.values_mut();
    attempts.for_each(|attempt| attempt.asked = Digest::of("something else"));
    let plan = planned(&alone, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        [&deploy.after.shut],
        *plan.shut.values().collect::<Vec<_>>()
    );
    let seen = foresee(&observed, &plan, START);
    let opened = planned(&alone, &seen, START).shut;
    assert_eq!(opened.into_values().collect::<Vec<_>>(), [BTreeSet::new()]);
}
