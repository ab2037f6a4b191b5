//! A site whose own file is held back: what becomes of the older file.

use super::{refusals::Refusing, *};

/// A site whose newer file is refused, while the one before it is served.
struct HeldBack {
    proxy: Refusing,
    observed: Observed,
}

fn held_back() -> HeldBack {
    let before = desired([proxy(), shop(), other()]);
    let observed = settled(&before, fresh(&before), START);
    let mut proxy = Refusing::new("shop.example");
    proxy.tolerates(&observed);
    let observed = proxy.settle(
        &desired([self::proxy(), refused(4), other()]),
        observed,
        START,
    );
    assert_eq!(refused_files(&observed), ["quaymaster-shop.example.conf"]);
    HeldBack { proxy, observed }
}

/// The shop with a label that the proxy takes badly.
fn refused(number: u8) -> Bearer {
    container("shop", number)
        .label("host", "shop.example")
        .label("body-size", "1m")
}

fn other() -> Bearer {
    container("other", 5).label("host", "other.example")
}

/// Without removals.
fn refused_files(observed: &Observed) -> Vec<String> {
    let refused = observed
        .installed
        .values()
        .flat_map(|it| it.trial.refused.keys());
    refused
        .filter(|part| part.removal().is_none())
        .map(ToString::to_string)
        .collect()
}

fn is_there(observed: &Observed) -> bool {
    let file = site_file(&Host::parse("shop.example").expect("a name"));
    observed
        .installed
        .values()
        .any(|it| it.files.contains_key(&file))
}

#[test]
fn the_older_file_stays_as_long_as_it_leads_to_nobody_else() {
    let HeldBack {
        mut proxy,
        observed,
    } = held_back();
    assert!(is_there(&observed));
    let told = &planned(
        &desired([self::proxy(), refused(4), other()]),
        &observed,
        START,
    )
    .complaints;
    assert!(
        told.first()
            .expect("it is told")
            .remedy
            .contains("until then the previous file stays")
    );
    // Its address goes to another, and with it, at once, the file.
    let swapped = desired([self::proxy(), refused(6), other()]);
    assert_eq!(
        told_by(&swapped, &observed),
        [
            "remove quaymaster-shop.example.conf --from /edge",
            "signal proxy HUP",
            "prove proxy"
        ]
    );
    let plan = planned(&swapped, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.why, BTreeSet::from([Why::LeadsElsewhere]));
    assert!(
        deploy.proof.serials.is_empty(),
        "what went is not looked for"
    );
    let worked = proxy.worked;
    let observed = proxy.settle(&swapped, observed, START);
    assert!(!is_there(&observed));
    assert_eq!(refused_files(&observed), ["quaymaster-shop.example.conf"]);
    assert_eq!(
        proxy.worked - worked,
        2,
        "it goes, and its new file is tried once"
    );
    let told = &planned(&swapped, &observed, START).complaints;
    assert!(
        told.first()
            .expect("it is told")
            .remedy
            .contains("until then the name is not served")
    );
}

#[test]
fn the_older_file_gets_the_renewed_certificate() {
    let HeldBack {
        mut proxy,
        observed,
    } = held_back();
    let desired = desired([self::proxy(), refused(4), other()]);
    let due = START + 61 * 24 * HOUR;
    let observed = proxy.settle(&desired, observed, due);
    let given = &observed
        .installed
        .values()
        .next()
        .expect("the proxy")
        .certificates;
    assert_eq!(given.len(), 2);
    assert!(
        given
            .iter()
            .all(|(name, digest)| observed.held[name].digest == *digest),
        "{given:?}"
    );
    assert!(is_there(&observed));
}

fn mine(number: u8) -> Bearer {
    container("mine", number).label("host", "mine.example")
}

#[test]
fn what_a_template_fails_for_is_held_back_alone() {
    let before = desired([proxy(), mine(4), other()]);
    let observed = settled(&before, fresh(&before), START);
    let text = "# mine\n{% if host == 'mine.example' %}{{ nosuch }}{% endif %}\n";
    let failing = Templates::with(&[("nginx/site.conf".to_owned(), Ok(text.to_owned()))].into());
    assert_eq!(failing.faults().count(), 0, "samples have another host");
    let planned =
        |desired: &Desired, observed: &Observed| plan(desired, observed, &failing, &rules(), START);
    let plan = planned(&before, &observed);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let written: Vec<_> = deploy.write.keys().map(FileName::as_str).collect();
    assert_eq!(
        written,
        ["quaymaster--mark.conf", "quaymaster-other.example.conf"]
    );
    assert!(
        deploy.forget.is_empty(),
        "the older file names its certificate"
    );
    let told: Vec<_> = plan.complaints.iter().map(ToString::to_string).collect();
    let expected = "container mine, label quaymaster.host=\"mine.example\": template nginx/site.conf, line 2: ";
    assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    assert!(
        told[0].ends_with("until then the previous file stays"),
        "{told:?}"
    );

    let observed = foresee(&observed, &plan, START);
    assert!(planned(&before, &observed).actions.is_empty());
    let moved = desired([proxy(), mine(6), other()]);
    let plan = planned(&moved, &observed);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        deploy
            .remove
            .iter()
            .map(FileName::as_str)
            .collect::<Vec<_>>(),
        ["quaymaster-mine.example.conf"]
    );
    let observed = foresee(&observed, &plan, START);
    assert!(planned(&moved, &observed).actions.is_empty());
    assert!(
        planned(&moved, &observed)
            .complaints
            .iter()
            .all(|it| it.remedy.ends_with("the name is not served"))
    );
}

#[test]
fn one_that_is_refused_too_holds_up_nobody() {
    let HeldBack {
        mut proxy,
        mut observed,
    } = held_back();
    // The proxy's own configuration refers to it, say.
    proxy.refuse_all(true);
    let swapped = desired([self::proxy(), refused(6), other()]);
    observed = proxy.turn(&swapped, observed, START);
    let held_back = installed(&mut observed).trial.refused.keys();
    assert_eq!(held_back.filter(|part| part.removal().is_some()).count(), 1);
    proxy.refuse_all(false);
    let third = container("third", 7).label("host", "third.example");
    let steps = told_by(
        &desired([self::proxy(), refused(6), other(), third]),
        &observed,
    );
    assert!(
        !steps.iter().any(|step| step.starts_with("remove")),
        "{steps:?}"
    );
    assert!(
        steps.contains(&"write quaymaster-third.example.conf --into /edge".to_owned()),
        "{steps:?}"
    );
}

#[test]
fn what_was_refused_in_an_earlier_form_comes_after_the_rest() {
    let HeldBack {
        mut proxy,
        observed,
    } = held_back();
    let changed = container("shop", 4)
        .label("host", "shop.example")
        .label("body-size", "2m");
    let third = container("third", 7).label("host", "third.example");
    let world = desired([self::proxy(), changed, other(), third]);
    let steps = told_by(&world, &observed);
    assert!(
        steps.contains(&"write quaymaster-third.example.conf --into /edge".to_owned()),
        "{steps:?}"
    );
    assert!(
        !steps.contains(&"write quaymaster-shop.example.conf --into /edge".to_owned()),
        "{steps:?}"
    );
    let refused = proxy.refused;
    let observed = proxy.settle(&world, observed, START);
    assert_eq!(
        (proxy.refused - refused, is_there(&observed)),
        (1, true),
        "it is tried once, alone"
    );
}

#[test]
fn what_is_in_no_doubt_does_not_wait_for_what_is() {
    let apps = || {
        (10..42).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")))
    };
    let before = desired(apps().chain([proxy()]));
    let mut proxy = Refusing::new("app30.example");
    let mut observed = fresh(&before);
    while installed(&mut observed).trial.doubted.is_empty() {
        observed = proxy.turn(&before, observed, START);
    }
    let with_shop = desired(apps().chain([self::proxy(), shop()]));
    let next = told_by(&with_shop, &observed);
    assert_eq!(next[0], "write quaymaster-shop.example.conf --into /edge");
    let observed = proxy.settle(&with_shop, observed, START);
    assert_eq!(refused_files(&observed), ["quaymaster-app30.example.conf"]);
}

#[test]
fn a_refusal_that_is_over_takes_no_working_file_away() {
    let two = |further: bool, label: bool| {
        let with = |shop: Bearer| {
            if label {
                shop.label("body-size", "1m")
            } else {
                shop
            }
        };
        let second = further.then(|| container("shop2", 6).label("host", "shop.example"));
        desired([proxy(), with(shop())].into_iter().chain(second.map(with)))
    };
    let observed = settled(&two(true, false), fresh(&two(true, false)), START);
    let mut proxy = Refusing::new("shop.example");
    proxy.tolerates(&observed);
    let observed = proxy.settle(&two(true, true), observed, START);
    assert_eq!(refused_files(&observed), ["quaymaster-shop.example.conf"]);
    // The label is taken back, and the file that is there is right again.
    let observed = proxy.settle(&two(true, false), observed, START);
    assert_eq!(refused_files(&observed), [""; 0]);
    assert_eq!(
        told_by(&two(false, false), &observed)[0],
        "write quaymaster-shop.example.conf --into /edge"
    );
}

#[test]
fn a_container_that_is_there_and_takes_no_traffic_is_the_site_s_own() {
    let HeldBack {
        mut proxy,
        observed,
    } = held_back();
    let with = |health| {
        let mut shop = refused(4);
        shop.health = Some(health);
        desired([self::proxy(), shop, other()])
    };
    let observed = proxy.settle(&with(Health::Unhealthy), observed, START);
    assert!(is_there(&observed));
    let observed = proxy.settle(&with(Health::Healthy), observed, START);
    assert!(is_there(&observed));
}

#[test]
fn a_certificate_is_renewed_for_others_though_one_of_its_sites_went() {
    let joint = |container: Bearer| container.label("certificate", "joint");
    let world = |shop: Bearer| desired([proxy(), joint(shop), joint(other())]);
    let observed = settled(&world(shop()), fresh(&world(shop())), START);
    let mut proxy = Refusing::new("shop.example");
    proxy.tolerates(&observed);
    let moved = world(refused(6));
    let observed = proxy.settle(&moved, observed, START);
    assert!(!is_there(&observed));
    let due = START + 61 * 24 * HOUR;
    let ordered = told(&moved, &observed, due);
    assert!(
        ordered
            .iter()
            .any(|step| step.contains(" --certificate joint ")),
        "{ordered:?}"
    );
}

#[test]
fn what_an_older_file_shows_is_not_asked_for() {
    let joint = |container: Bearer| container.label("certificate", "joint");
    let plain = desired([proxy(), shop().label("tls", "off"), joint(other())]);
    let observed = settled(&plain, fresh(&plain), START);
    let mut proxy = Refusing::new("shop.example");
    proxy.tolerates(&observed);
    let wanted = desired([self::proxy(), joint(shop()), joint(other())]);
    let due = START + 61 * 24 * HOUR;
    let mut observed = proxy.settle(&wanted, observed, START);
    for _ in 0..5 {
        for action in planned(&wanted, &observed, due).actions {
            if let Action::Deploy(deploy) = &action {
                let host = Host::parse("shop.example").expect("a name");
                let is_tried = deploy
                    .after
                    .trying
                    .contains_key(&PartName::File(site_file(&host)));
                assert!(
                    is_tried || !deploy.proof.serials.contains_key(&host),
                    "{:?}",
                    deploy.after.trial
                );
            }
            observed = proxy.carry_out(observed, action, due);
        }
    }
}

fn told_by(desired: &Desired, observed: &Observed) -> Vec<String> {
    told(desired, observed, START)
}
