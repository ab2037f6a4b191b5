//! Proxies on networks with IPv6 listen on it once they were seen to take that.

use super::{refusals::Refusing, *};

const IPV6: &str = "quaymaster--ipv6.conf";

fn with_ipv6(mut container: Bearer) -> Bearer {
    for endpoint in &mut container.endpoints {
        endpoint.has_ipv6 = true;
    }
    container
}

/// With no address but an IPv6 one.
fn ipv6_alone(container: Bearer, number: u16) -> Bearer {
    let mut container = with_ipv6(container);
    for endpoint in &mut container.endpoints {
        endpoint.address = Some([0xfd00, 0, 0, 0, 0, 0, 0, number].into());
    }
    container
}

fn stopped(mut container: Bearer) -> Bearer {
    container.state = BearerState::Other("exited".to_owned());
    for endpoint in &mut container.endpoints {
        (endpoint.address, endpoint.has_ipv6) = (None, false);
    }
    container
}

fn deployed(plan: Plan) -> Deploy {
    let mut actions = plan.actions.into_iter();
    match (actions.next(), actions.next()) {
        (Some(Action::Deploy(deploy)), None) => *deploy,
        other => panic!("{other:?}"),
    }
}

/// Turns until a plan writes this file: what was seen before that, and the plan's deployment.
fn until_written(desired: &Desired, mut observed: Observed, file: &str) -> (Observed, Deploy) {
    for _ in 0..20 {
        let plan = planned(desired, &observed, START);
        let writes = |action: &Action| match action {
            Action::Deploy(deploy) => deploy.write.keys().any(|name| name.as_str() == file),
            _ => false,
        };
        if plan.actions.iter().any(writes) {
            return (observed, deployed(plan));
        }
        observed = foresee(&observed, &plan, START);
    }
    panic!("{file} is never written")
}

/// Of the files that a deployment writes, those that listen on IPv6, and those that do not.
fn by_family(deploy: &Deploy) -> [Vec<&str>; 2] {
    let names = |listens: bool| {
        let files = deploy.write.iter();
        let files = files.filter(|(_, text)| text.contains("listen [::]:") == listens);
        files.map(|(name, _)| name.as_str()).collect()
    };
    [names(true), names(false)]
}

fn has_ipv6_file(observed: &Observed) -> bool {
    let file = FileName::parse(IPV6).expect("a name");
    let mut all = observed.installed.values();
    all.any(|installed| installed.files.contains_key(&file))
}

#[test]
fn ipv6_is_tried_in_a_file_alone_before_anything_else_listens_on_it() {
    let desired = desired([with_ipv6(proxy()), shop()]);
    let (observed, first) = until_written(&desired, fresh(&desired), IPV6);
    let alone = [vec![IPV6], vec!["quaymaster--mark.conf"]];
    assert_eq!(by_family(&first), alone);
    assert!(
        first.is_optional,
        "whatever else is to be done comes before"
    );
    let tried = |observed: &Observed| {
        let plan = Plan {
            actions: vec![Action::Deploy(Box::new(first.clone()))],
            ..Plan::default()
        };
        foresee(observed, &plan, START)
    };
    // Cut off before it was seen to be taken: nothing else listens on IPv6.
    let mut cut_off = tried(&observed);
    let known = installed(&mut cut_off);
    (known.open, known.progress) = (true, Progress::SignalOwed);
    known.trying.clone_from(&first.after.trying);
    assert_eq!(
        told(&desired, &cut_off, START),
        ["signal proxy HUP", "prove proxy"]
    );
    // Seen to be taken: all others do at once.
    let taken = tried(&observed);
    let next = deployed(planned(&desired, &taken, START));
    let all = ["-base", "-mark", "shop.example"].map(|name| format!("quaymaster-{name}.conf"));
    assert_eq!(
        by_family(&next),
        [all.iter().map(String::as_str).collect(), vec![]]
    );
    let rested = settled(&desired, taken, START);
    let texts = |observed: &Observed| {
        let files = observed.installed.values().flat_map(|it| &it.files);
        files
            .map(|(file, installed)| (file.clone(), installed.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        texts(&settled(&desired, rested.clone(), START)),
        texts(&rested)
    );
}

#[test]
fn the_servers_for_names_that_no_site_has_listen_on_ipv6_too() {
    let desired = desired([with_ipv6(proxy()), shop()]);
    for file in ["http", "https"].map(|port| format!("quaymaster--unknown-{port}.conf")) {
        let (_, deploy) = until_written(&desired, fresh(&desired), &file);
        let text = &deploy.write[&FileName::parse(file.as_str()).expect("a name")];
        let is_default = |line: &str| line.contains("listen [::]:") && line.contains("default");
        assert!(text.lines().any(is_default), "{text}");
    }
}

#[test]
fn without_an_ipv6_address_nothing_listens_on_ipv6() {
    let on_the_host = || {
        let mut proxy = with_ipv6(proxy());
        for endpoint in &mut proxy.endpoints {
            (endpoint.network, endpoint.address) = ("host".to_owned(), None);
            endpoint.has_ipv6 = false;
        }
        proxy
    };
    for proxy in [proxy(), on_the_host()] {
        let desired = desired([proxy, with_ipv6(shop())]);
        let observed = settled(&desired, fresh(&desired), START);
        assert!(!has_ipv6_file(&observed));
    }
}

#[test]
fn a_proxy_that_does_not_run_keeps_its_files_for_ipv6() {
    let [runs, stops] =
        [with_ipv6(proxy()), stopped(with_ipv6(proxy()))].map(|proxy| desired([proxy, shop()]));
    let observed = settled(&runs, fresh(&runs), START);
    assert!(has_ipv6_file(&observed));
    assert_eq!(told(&stops, &observed, START), [""; 0]);
    // What comes meanwhile listens on both families, too.
    let blog = container("blog", 5).label("host", "blog.example");
    let more = desired([stopped(with_ipv6(proxy())), shop(), blog]);
    let [listening, not] = &by_family(&deployed(planned(&more, &observed, START)))
        .map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
    assert!(
        listening.contains(&"quaymaster-blog.example.conf".to_owned()),
        "{not:?}"
    );
    // One that never ran is given nothing that it could not start with.
    let never = settled(&stops, fresh(&stops), START);
    assert!(!has_ipv6_file(&never));
}

#[test]
fn a_proxy_that_loses_its_ipv6_address_listens_on_ipv4_alone() {
    let before = desired([with_ipv6(proxy()), shop()]);
    let observed = settled(&before, fresh(&before), START);
    let after = desired([proxy(), shop()]);
    let deploy = deployed(planned(&after, &observed, START));
    assert_eq!(
        deploy
            .remove
            .iter()
            .map(FileName::as_str)
            .collect::<Vec<_>>(),
        [IPV6]
    );
    assert!(by_family(&deploy)[0].is_empty(), "{:?}", deploy.write);
    assert!(deploy.write.len() >= 3, "{:?}", deploy.write);
}

#[test]
fn a_proxy_that_refuses_to_listen_on_ipv6_serves_over_ipv4_and_is_told_what_is_in_the_way() {
    let desired = desired([with_ipv6(proxy()), shop()]);
    let mut refusing = Refusing::new("-ipv6");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    assert_eq!(refusing.refused, 1);
    assert!(!has_ipv6_file(&observed));
    let files: usize = observed.installed.values().map(|it| it.files.len()).sum();
    assert_eq!(files, 6, "all others");
    let complaints = planned(&desired, &observed, START).complaints;
    let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    for words in [
        "container proxy, label quaymaster.kind=\"nginx\": proxy refuses quaymaster--ipv6.conf: no;",
        "take `ipv6only=off` out of",
        "start it again",
        "over IPv4 alone",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn ipv6_is_tried_again_once_a_proxy_that_refused_it_was_started_again() {
    let before = desired([with_ipv6(proxy()), shop()]);
    let mut refusing = Refusing::new("-ipv6");
    let observed = refusing.settle(&before, fresh(&before), START);
    let mut started = with_ipv6(proxy());
    started.started_at = Some(START + HOUR);
    let after = desired([started, shop()]);
    // It is still in the way, and then it is not.
    let later = START + 2 * HOUR;
    let still = refusing.settle(&after, observed.clone(), later);
    assert_eq!(refusing.refused, 2, "once more, and no more");
    assert!(!has_ipv6_file(&still));
    assert!(has_ipv6_file(&settled(&after, observed, later)));
}

#[test]
fn a_site_that_is_refused_is_not_tried_again_because_its_proxy_was_started() {
    let before = desired([proxy(), shop()]);
    let mut refusing = Refusing::new("shop.example");
    let observed = refusing.settle(&before, fresh(&before), START);
    let refused = refusing.refused;
    let mut started = proxy();
    started.started_at = Some(START + HOUR);
    refusing.settle(&desired([started, shop()]), observed, START + 2 * HOUR);
    assert_eq!(refusing.refused, refused);
}

#[test]
fn containers_with_nothing_but_an_ipv6_address_are_served_and_asked_for_by_it() {
    let desired = desired([ipv6_alone(proxy(), 3), ipv6_alone(shop(), 4)]);
    let consumer = desired.consumers.values().next().expect("the proxy");
    let reach = consumer.reach().expect("it is on our network");
    assert_eq!(reach.https.to_string(), "[fd00::3]:443");
    // Nothing could be seen of one that does not listen there.
    let first = deployed(planned(&desired, &fresh(&desired), START));
    assert!(by_family(&first)[1].is_empty(), "{:?}", first.write);
    let file = site_file(&Host::parse("shop.example").expect("a host"));
    let text = &first.write[&file];
    assert!(text.contains("    server [fd00::4]:8080;\n"), "{text}");
    assert!(text.starts_with(
        "# Written by quaymaster. Changes here are overwritten.\n# Leads to [fd00::4]:8080\n"
    ));
    // Once requests go by id, the engine's DNS is asked for IPv6 addresses, too.
    let observed = settled(&desired, fresh(&desired), START);
    let known = observed.installed.values().next().expect("the proxy");
    assert!(known.opened_for.is_some() && has_ipv6_file(&observed));
    let (_, last) = until_written(
        &desired,
        {
            let mut other = observed.clone();
            let file = file.clone();
            installed(&mut other).files.remove(&file);
            other
        },
        file.as_str(),
    );
    let text = &last.write[&file];
    assert!(text.contains("resolver 127.0.0.11 valid=1s;"), "{text}");
}
