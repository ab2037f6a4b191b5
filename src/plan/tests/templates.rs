//! New templates are tried with everything at once, and held back as one where it is they that are refused.

use super::{refusals::Refusing, *};

/// The user's own template of sites, which says this.
fn saying(words: &str, earlier: Option<&str>) -> Templates {
    let with = |words: &str| {
        let text = format!("# {words} {{{{ host }}}}\n");
        Templates::with(&[("nginx/site.conf".to_owned(), Ok(text))].into())
    };
    with(words).after(
        earlier
            .map(with)
            .into_iter()
            .chain([Templates::with(&BTreeMap::new())]),
    )
}

fn apps(count: u8) -> impl Iterator<Item = Bearer> {
    (10..10 + count).map(|n| {
        container(&format!("app{n}"), n)
            .label("host", &format!("app{n}.example"))
            .label("tls", "off")
    })
}

fn settle(
    proxy: &mut Refusing,
    desired: &Desired,
    observed: Observed,
    templates: &Templates,
) -> Observed {
    proxy.settle_with(templates, desired, observed, START)
}

/// The first line of each site's file, as `Refusing` saw it written.
fn served<'a>(proxy: &'a Refusing, observed: &Observed) -> BTreeMap<String, &'a str> {
    let files = observed.installed.values().flat_map(|it| &it.files);
    let sites = files.filter(|(name, _)| !name.as_str().starts_with("quaymaster--"));
    sites
        .map(|(name, file)| (name.to_string(), proxy.word_of(file.digest)))
        .collect()
}

fn complaints(desired: &Desired, observed: &Observed, templates: &Templates) -> Vec<String> {
    plan(desired, observed, templates, &rules(), START)
        .complaints
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn new_templates_that_are_taken_are_in_use_after_one_signal() {
    let desired = desired(apps(8).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let worked = proxy.worked;
    let observed = settle(&mut proxy, &desired, observed, &saying("two", Some("one")));
    assert_eq!(proxy.worked - worked, 1);
    assert!(
        served(&proxy, &observed)
            .values()
            .all(|word| *word == "two"),
        "{:?}",
        served(&proxy, &observed)
    );
}

#[test]
fn new_templates_that_are_refused_are_held_back_as_one_and_those_before_serve_new_sites() {
    let before = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &before, fresh(&before), &saying("one", None));
    proxy.refuses_text("bad");
    let bad = saying("bad", Some("one"));
    let observed = settle(&mut proxy, &before, observed, &bad);
    assert_eq!(proxy.refused, 1, "all at once");
    assert!(
        served(&proxy, &observed)
            .values()
            .all(|word| *word == "one")
    );
    let told = complaints(&before, &observed, &bad);
    let expected = "container proxy, label quaymaster.kind=\"nginx\": proxy refuses what your templates make \
                    (nginx/site.conf): no; fix the templates; they are tried again when they change, and until then \
                    the previous templates stay in use";
    assert_eq!(told, [expected]);

    let more = desired(apps(33).chain([self::proxy()]));
    let observed = settle(&mut proxy, &more, observed, &bad);
    assert_eq!(proxy.refused, 1, "they are not tried again");
    assert_eq!(
        served(&proxy, &observed).get("quaymaster-app42.example.conf"),
        Some(&"one")
    );

    // Mended, they are tried again.
    let mended = saying("three", Some("one"));
    let observed = settle(&mut proxy, &more, observed, &mended);
    assert!(
        served(&proxy, &observed)
            .values()
            .all(|word| *word == "three")
    );
    assert!(complaints(&more, &observed, &mended).is_empty());
}

#[test]
fn the_first_templates_are_tried_by_halves_as_all_files_are() {
    let desired = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    proxy.refuses_text("bad");
    let bad = saying("bad", None);
    let observed = settle(&mut proxy, &desired, fresh(&desired), &bad);
    assert!(served(&proxy, &observed).is_empty());
    let told = complaints(&desired, &observed, &bad);
    let expected = "container proxy, label quaymaster.kind=\"nginx\": proxy refuses each site: no; it is made with \
                    your templates nginx/site.conf, which may be wrong; change these, the labels or the proxy's own \
                    configuration; until then the previous files stay, and no new site is served";
    assert_eq!(told, [expected]);
    let observed = settle(&mut proxy, &desired, observed, &saying("good", None));
    assert_eq!(served(&proxy, &observed).len(), 32);
}

#[test]
fn an_edition_that_is_refused_for_one_site_is_held_back_whole() {
    let desired = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    proxy.refuses_text("two app20.example");
    let observed = settle(&mut proxy, &desired, observed, &saying("two", Some("one")));
    let served = served(&proxy, &observed);
    assert_eq!(served.len(), 32);
    assert!(served.values().all(|word| *word == "one"), "{served:?}");
    assert_eq!(proxy.refused, 1);
}

#[test]
fn labels_are_followed_first_and_by_the_templates_that_are_known() {
    let before = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &before, fresh(&before), &saying("one", None));
    let more = desired(apps(5).chain([self::proxy()]));
    let new = saying("two", Some("one"));
    let turn = plan(&more, &observed, &new, &rules(), START);
    let [Action::Deploy(deploy)] = turn.actions.as_slice() else {
        panic!("{turn:?}")
    };
    let site = site_file(&Host::parse("app14.example").expect("a name"));
    assert!(
        deploy.write[&site].contains("# one app14.example"),
        "{:?}",
        deploy.write
    );
    assert_eq!(deploy.edition, None);
}

#[test]
fn a_try_that_a_crash_cut_off_goes_on() {
    let desired = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let mut observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let new = saying("two", Some("one"));
    let turn = |observed: &Observed| {
        let turn = plan(&desired, observed, &new, &rules(), START);
        let [Action::Deploy(deploy)] = turn.actions.as_slice() else {
            panic!("{turn:?}")
        };
        deploy.clone()
    };
    let cut_off = turn(&observed);
    observed
        .installed
        .insert(cut_off.consumer.name.clone(), Rc::new(cut_off.after));
    let again = turn(&observed);
    assert!(again.write.is_empty(), "{:?}", again.write.keys());
    assert!(again.edition.is_some() && again.after.open);
    let observed = foresee(
        &observed,
        &plan(&desired, &observed, &new, &rules(), START),
        START,
    );
    assert!(
        plan(&desired, &observed, &new, &rules(), START)
            .actions
            .is_empty()
    );
}

#[test]
fn templates_that_change_nothing_are_known_to_be_good_without_a_signal() {
    let desired = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let text = "# one {{ host }}\n{# A comment. #}\n".to_owned();
    let same = Templates::with(&[("nginx/site.conf".to_owned(), Ok(text))].into())
        .after([saying("one", None)]);
    let turn = plan(&desired, &observed, &same, &rules(), START);
    let steps: Vec<_> = turn
        .actions
        .iter()
        .flat_map(steps)
        .map(|words| words.join(" "))
        .collect();
    assert_eq!(steps, ["prove proxy"]);
    let observed = settle(&mut proxy, &desired, observed, &same);
    assert!(
        plan(&desired, &observed, &same, &rules(), START)
            .actions
            .is_empty()
    );
}

#[test]
fn where_nothing_can_be_seen_new_templates_are_used_at_once() {
    let desired = desired(apps(2).chain([proxy().label("reload", "none")]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let turn = plan(
        &desired,
        &observed,
        &saying("two", Some("one")),
        &rules(),
        START,
    );
    let [Action::Deploy(deploy)] = turn.actions.as_slice() else {
        panic!("{turn:?}")
    };
    assert!(deploy.write.values().any(|text| text.contains("# two ")));
    assert_eq!(deploy.edition, None);
}

/// A proxy that does not run has no address.
fn stopped(proxy: Bearer) -> Bearer {
    let mut stopped = proxy;
    stopped.state = BearerState::Other("exited".into());
    stopped
        .endpoints
        .iter_mut()
        .for_each(|endpoint| endpoint.address = None);
    stopped
}

#[test]
fn a_proxy_that_does_not_run_gets_only_what_it_was_seen_to_take() {
    let running = desired(apps(4).chain([proxy()]));
    let at_rest = desired(apps(4).chain([stopped(proxy())]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &running, fresh(&running), &saying("one", None));
    let untried = settle(
        &mut proxy,
        &at_rest,
        observed.clone(),
        &saying("two", Some("one")),
    );
    assert!(served(&proxy, &untried).values().all(|word| *word == "one"));
    proxy.refuses_text("bad");
    let bad = saying("bad", Some("one"));
    let observed = settle(&mut proxy, &running, observed, &bad);
    let observed = settle(&mut proxy, &at_rest, observed, &bad);
    assert!(
        served(&proxy, &observed)
            .values()
            .all(|word| *word == "one")
    );
}

#[test]
fn a_proxy_that_never_ran_gets_its_files_once() {
    let mut paused = proxy();
    paused.state = BearerState::Paused;
    for proxy in [stopped(proxy()), paused] {
        let desired = desired(apps(2).chain([proxy]));
        let mut proxy = Refusing::new("nobody");
        let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
        assert_eq!((served(&proxy, &observed).len(), proxy.worked), (2, 1));
    }
}

#[test]
fn one_site_that_is_refused_does_not_speak_against_templates_for_ever() {
    let alone = |app: Bearer| desired([proxy(), app]);
    let app = || apps(1).next().expect("one");
    let mut proxy = Refusing::new("app10.example");
    let observed = settle(
        &mut proxy,
        &alone(app()),
        fresh(&alone(app())),
        &saying("one", None),
    );
    assert_eq!((served(&proxy, &observed).len(), proxy.refused), (0, 2));
    assert_eq!(
        complaints(&alone(app()), &observed, &saying("one", None)).len(),
        1
    );
    // Another comes.
    let both = desired(apps(2).chain([self::proxy()]));
    let observed = settle(&mut proxy, &both, observed, &saying("one", None));
    assert_eq!(
        served(&proxy, &observed).keys().collect::<Vec<_>>(),
        ["quaymaster-app11.example.conf"]
    );

    // Or the one changes.
    let mut proxy = Refusing::new("nobody");
    proxy.refuses_text("one app10.example");
    let observed = settle(
        &mut proxy,
        &alone(app()),
        fresh(&alone(app())),
        &saying("one", None),
    );
    proxy.refuses_text("nothing any more");
    let observed = settle(
        &mut proxy,
        &alone(app().label("port", "9")),
        observed,
        &saying("one", None),
    );
    assert_eq!(served(&proxy, &observed).len(), 1);
}

#[test]
fn certificates_are_renewed_whatever_becomes_of_templates() {
    let desired = desired([proxy(), shop()]);
    let due = START + 61 * 24 * HOUR;
    // Refused, with none before that are known; the site's own file is as it should be.
    let base =
        Templates::with(&[("nginx/base.conf".to_owned(), Ok("# bad base\n".to_owned()))].into());
    let mut proxy = Refusing::new("nobody");
    proxy.refuses_text("bad base");
    let mut observed = proxy.settle(&desired, fresh(&desired), START);
    installed(&mut observed).templates.used = Some(Digest::of("not known any more"));
    let observed = proxy.settle_with(&base, &desired, observed, START);
    assert_eq!(complaints(&desired, &observed, &base).len(), 1);
    let observed = proxy.settle_with(&base, &desired, observed, due);
    let is_given = |observed: &Observed| {
        let given = &observed
            .installed
            .values()
            .next()
            .expect("the proxy")
            .certificates;
        given
            .iter()
            .all(|(name, digest)| observed.held[name].digest == *digest)
    };
    assert!(is_given(&observed));

    // A template that all sites stand on fails, for something that came.
    let text = "# mine\n{% for name in answers if name != 'mail.shop.example' %}{{ nosuch }}{% endfor %}\n".to_owned();
    let failing = Templates::with(&[("nginx/base.conf".to_owned(), Ok(text))].into());
    assert_eq!(
        failing.faults().count(),
        0,
        "samples answer for another name"
    );
    let observed = proxy.settle_with(&failing, &desired, fresh(&desired), START);
    let mut more = desired.clone();
    let consumer = more.consumers.values_mut().next().expect("the proxy");
    Rc::make_mut(consumer)
        .answers
        .insert(Host::parse("other.example").expect("a name"));
    let observed = proxy.settle_with(&failing, &more, observed, due);
    assert_eq!(complaints(&more, &observed, &failing).len(), 1);
    assert!(is_given(&observed));
}

#[test]
fn where_nothing_answers_new_templates_are_put_there_all_the_same() {
    let desired = desired(apps(2).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let mut observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    installed(&mut observed).progress = Progress::Unproven {
        reason: "it does not answer".to_owned(),
    };
    let turn = plan(
        &desired,
        &observed,
        &saying("two", Some("one")),
        &rules(),
        START,
    );
    let [Action::Deploy(deploy)] = turn.actions.as_slice() else {
        panic!("{turn:?}")
    };
    assert!(deploy.edition.is_some() && deploy.write.values().any(|text| text.contains("# two ")));
}

#[test]
fn what_a_cut_off_try_brought_does_not_count_as_taken_when_it_is_replaced() {
    let base = |words: &str| {
        let text = format!("# base {words}\n");
        Templates::with(&[("nginx/base.conf".to_owned(), Ok(text))].into())
    };
    let desired = desired(apps(2).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let mut observed = proxy.settle_with(&base("one"), &desired, fresh(&desired), START);
    let two = base("two").after([base("one")]);
    let turn = plan(&desired, &observed, &two, &rules(), START);
    let [Action::Deploy(cut_off)] = turn.actions.as_slice() else {
        panic!("{turn:?}")
    };
    proxy.open(&observed, cut_off);
    observed.installed.insert(
        cut_off.consumer.name.clone(),
        Rc::new(cut_off.after.clone()),
    );
    // Meanwhile the user has put the first ones back.
    let observed = proxy.settle_with(&base("one").after([base("two")]), &desired, observed, START);
    let used = observed
        .installed
        .values()
        .next()
        .expect("the proxy")
        .templates
        .used;
    assert_eq!(used, Some(base("one").version()));
}

#[test]
fn a_template_that_changes_no_site_is_in_use_after_one_signal() {
    for name in ["nginx/base.conf", "nginx/mark.conf"] {
        let text = crate::render::BUILT_IN
            .iter()
            .find(|row| row.name == name)
            .expect("it is there")
            .text;
        let mine = Templates::with(&[(name.to_owned(), Ok(format!("# mine\n{text}")))].into());
        let mine = mine.after([Templates::with(&BTreeMap::new())]);
        for count in [0, 2] {
            let desired = desired(apps(count).chain([proxy()]));
            let mut proxy = Refusing::new("nobody");
            let observed = settle(
                &mut proxy,
                &desired,
                fresh(&desired),
                &Templates::with(&BTreeMap::new()),
            );
            let worked = proxy.worked;
            settle(&mut proxy, &desired, observed, &mine);
            assert_eq!(proxy.worked - worked, 1, "{name}, {count} sites");
        }
    }
}

#[test]
fn refused_templates_do_not_come_to_a_stopped_proxy_with_further_sites() {
    let one = desired(apps(1).chain([proxy()]));
    let more = desired(apps(12).chain([stopped(proxy())]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &one, fresh(&one), &saying("one", None));
    proxy.refuses_text("bad");
    let bad = saying("bad", Some("one"));
    let observed = settle(&mut proxy, &one, observed, &bad);
    assert_eq!(proxy.refused, 1);
    let observed = settle(&mut proxy, &more, observed, &bad);
    let served = served(&proxy, &observed);
    assert_eq!(served.len(), 12);
    assert!(served.values().all(|word| *word == "one"), "{served:?}");
}

#[test]
fn what_is_held_back_is_told_also_when_a_site_that_was_refused_is_gone_or_sick() {
    let two = |health| {
        let mut all: Vec<_> = apps(2).chain([proxy()]).collect();
        all[0].health = Some(health);
        desired(all)
    };
    let mut proxy = Refusing::new("nobody");
    let well = two(Health::Healthy);
    let observed = settle(&mut proxy, &well, fresh(&well), &saying("one", None));
    proxy.refuses_text("bad");
    let bad = saying("bad", Some("one"));
    let observed = settle(&mut proxy, &well, observed, &bad);
    let refused = proxy.refused;
    let observed = settle(&mut proxy, &two(Health::Unhealthy), observed, &bad);
    assert_eq!(
        complaints(&two(Health::Unhealthy), &observed, &bad).len(),
        1
    );
    let alone = desired(apps(1).chain([self::proxy()]));
    let observed = settle(&mut proxy, &alone, observed, &bad);
    assert_eq!(complaints(&alone, &observed, &bad).len(), 1);
    assert_eq!(proxy.refused, refused, "nothing speaks for another try");
}

#[test]
fn what_else_is_refused_says_nothing_about_templates() {
    let none = desired([proxy()]);
    let mut proxy = Refusing::new("-unknown-http");
    let observed = settle(&mut proxy, &none, fresh(&none), &saying("one", None));
    proxy.refuses_text("one app10.example");
    let two = desired(apps(2).chain([self::proxy()]));
    let observed = settle(&mut proxy, &two, observed, &saying("one", None));
    assert_eq!(
        served(&proxy, &observed).keys().collect::<Vec<_>>(),
        ["quaymaster-app11.example.conf"]
    );
}
