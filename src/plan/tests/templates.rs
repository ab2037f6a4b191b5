//! New templates are tried with everything at once, and held back as one where it is they that are refused.

use super::{refusals::Refusing, *};

/// The user's own template of sites, which says this.
fn saying(words: &str, earlier: Option<&str>) -> Templates {
    let with = |words: &str| {
        let text = format!("# {words} {{{{ host }}}}\n");
        Templates::with(&[("nginx/site.conf".to_owned(), Ok(text))].into())
    };
    with(words).after(earlier.map(with).into_iter().chain([Templates::with(&BTreeMap::new())]))
}

fn apps(count: u8) -> impl Iterator<Item = Container> {
    (10..10 + count)
        .map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")).label("tls", "off"))
}

fn settle(proxy: &mut Refusing, desired: &Desired, observed: Observed, templates: &Templates) -> Observed {
    proxy.settle_with(templates, desired, observed, START)
}

/// What stands in the first line of each site's file, as `Refusing` saw it written.
fn served<'a>(proxy: &'a Refusing, observed: &Observed) -> BTreeMap<String, &'a str> {
    let files = observed.installed.values().flat_map(|it| &it.files);
    let sites = files.filter(|(name, _)| !name.as_str().starts_with("quaymaster--"));
    sites.map(|(name, file)| (name.to_string(), proxy.word_of(file.digest))).collect()
}

fn complaints(desired: &Desired, observed: &Observed, templates: &Templates) -> Vec<String> {
    plan(desired, observed, templates, &rules(), START).complaints.iter().map(ToString::to_string).collect()
}

#[test]
fn new_templates_that_are_taken_are_in_use_after_one_signal() {
    let desired = desired(apps(8).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let worked = proxy.worked;
    let observed = settle(&mut proxy, &desired, observed, &saying("two", Some("one")));
    assert_eq!(proxy.worked - worked, 1);
    assert!(served(&proxy, &observed).values().all(|word| *word == "two"), "{:?}", served(&proxy, &observed));
}

#[test]
fn new_templates_that_are_refused_are_held_back_as_one_and_those_before_serve_new_sites() {
    let before = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &before, fresh(&before), &saying("one", None));
    proxy.refuses_text("bad");
    let bad = saying("bad", Some("one"));
    let observed = settle(&mut proxy, &before, observed, &bad);
    assert_eq!(proxy.refused, 4, "all at once, then three alone");
    assert!(served(&proxy, &observed).values().all(|word| *word == "one"));
    let told = complaints(&before, &observed, &bad);
    let expected = "container proxy, label quaymaster.kind=\"nginx\": proxy refuses what is made with templates of yours \
                    (nginx/site.conf): no; mend them; they are tried again when they change, and until then those before \
                    them stay in use";
    assert_eq!(told, [expected]);

    let more = desired(apps(33).chain([self::proxy()]));
    let observed = settle(&mut proxy, &more, observed, &bad);
    assert_eq!(proxy.refused, 4, "they are not tried again");
    assert_eq!(served(&proxy, &observed).get("quaymaster-app42.example.conf"), Some(&"one"));

    // Mended, they are tried again.
    let mended = saying("three", Some("one"));
    let observed = settle(&mut proxy, &more, observed, &mended);
    assert!(served(&proxy, &observed).values().all(|word| *word == "three"));
    assert!(complaints(&more, &observed, &mended).is_empty());
}

#[test]
fn the_first_templates_are_held_back_as_one_too() {
    let desired = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    proxy.refuses_text("bad");
    let bad = saying("bad", None);
    let observed = settle(&mut proxy, &desired, fresh(&desired), &bad);
    assert_eq!(proxy.refused, 4);
    assert!(served(&proxy, &observed).is_empty());
    let told = complaints(&desired, &observed, &bad);
    assert!(told.len() == 1 && told[0].ends_with("no site is new"), "{told:?}");
    let observed = settle(&mut proxy, &desired, observed, &saying("good", None));
    assert_eq!(served(&proxy, &observed).len(), 32);
}

#[test]
fn one_site_that_is_refused_with_new_templates_is_held_back_alone() {
    let desired = desired(apps(32).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    proxy.refuses_text("two app20.example");
    let observed = settle(&mut proxy, &desired, observed, &saying("two", Some("one")));
    let served = served(&proxy, &observed);
    assert_eq!(served.len(), 32, "the one keeps its older file");
    assert_eq!(served.values().filter(|word| **word == "two").count(), 31);
    assert!(proxy.refused <= 8, "{}", proxy.refused);
}

#[test]
fn labels_are_followed_first_and_by_the_templates_that_are_known() {
    let before = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &before, fresh(&before), &saying("one", None));
    let more = desired(apps(5).chain([self::proxy()]));
    let new = saying("two", Some("one"));
    let turn = plan(&more, &observed, &new, &rules(), START);
    let [Action::Deploy(deploy)] = turn.actions.as_slice() else { panic!("{turn:?}") };
    let site = site_file(&Host::parse("app14.example").expect("a name"));
    assert!(deploy.write[&site].contains("# one app14.example"), "{:?}", deploy.write);
    assert_eq!(deploy.templates, None);
}

#[test]
fn a_try_that_a_crash_cut_off_goes_on() {
    let desired = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let mut observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let new = saying("two", Some("one"));
    let turn = |observed: &Observed| {
        let turn = plan(&desired, observed, &new, &rules(), START);
        let [Action::Deploy(deploy)] = turn.actions.as_slice() else { panic!("{turn:?}") };
        deploy.clone()
    };
    let cut_off = turn(&observed);
    observed.installed.insert(cut_off.consumer.name.clone(), Rc::new(cut_off.after));
    let again = turn(&observed);
    assert!(again.write.is_empty(), "{:?}", again.write.keys());
    assert!(again.templates.is_some() && again.after.open);
    let observed = foresee(&observed, &plan(&desired, &observed, &new, &rules(), START), START);
    assert!(plan(&desired, &observed, &new, &rules(), START).actions.is_empty());
}

#[test]
fn templates_that_change_nothing_are_known_to_be_good_without_a_signal() {
    let desired = desired(apps(4).chain([proxy()]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let text = "# one {{ host }}\n{# A comment. #}\n".to_owned();
    let same = Templates::with(&[("nginx/site.conf".to_owned(), Ok(text))].into()).after([saying("one", None)]);
    let turn = plan(&desired, &observed, &same, &rules(), START);
    let steps: Vec<_> = turn.actions.iter().flat_map(steps).map(|words| words.join(" ")).collect();
    assert_eq!(steps, ["prove proxy"]);
    let observed = settle(&mut proxy, &desired, observed, &same);
    assert!(plan(&desired, &observed, &same, &rules(), START).actions.is_empty());
}

#[test]
fn where_nothing_can_be_seen_new_templates_are_used_at_once() {
    let desired = desired(apps(2).chain([proxy().label("reload", "none")]));
    let mut proxy = Refusing::new("nobody");
    let observed = settle(&mut proxy, &desired, fresh(&desired), &saying("one", None));
    let turn = plan(&desired, &observed, &saying("two", Some("one")), &rules(), START);
    let [Action::Deploy(deploy)] = turn.actions.as_slice() else { panic!("{turn:?}") };
    assert!(deploy.write.values().any(|text| text.contains("# two ")));
    assert_eq!(deploy.templates, None);
}
