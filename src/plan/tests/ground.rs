//! Sites wait for what they all stand on.

use super::{refusals::Refusing, *};

const BASE: &str = "quaymaster--base.conf";
const SHOP: &str = "quaymaster-shop.example.conf";
const OTHER: &str = "quaymaster-other.example.conf";

fn other() -> Bearer {
    container("other", 5).label("host", "other.example")
}

fn files(observed: &Observed) -> Vec<&str> {
    let all = observed.installed.values();
    all.flat_map(|it| it.files.keys().map(FileName::as_str))
        .collect()
}

fn is_refused(observed: &Observed, file: &str) -> bool {
    let part = PartName::File(FileName::parse(file).expect("a name"));
    let mut all = observed.installed.values();
    all.any(|it| it.trial.refused.contains_key(&part))
}

/// By which nothing of a proxy's own can be rendered that this template is for.
fn without(template: &str) -> Templates {
    let broken = "{{ nosuch }}".to_owned();
    Templates::with(&[(template.to_owned(), Ok(broken))].into())
}

#[test]
fn no_site_is_tried_while_what_all_stand_on_is_refused_and_no_older_form_is_there() {
    let desired = desired([proxy(), shop(), other()]);
    let mut refusing = Refusing::new("-base");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    assert!(is_refused(&observed, BASE));
    let files = files(&observed);
    assert!(
        [BASE, SHOP, OTHER].iter().all(|file| !files.contains(file)),
        "{files:?}"
    );
    assert!(!is_refused(&observed, SHOP), "nobody blames it");
}

#[test]
fn sites_go_on_where_an_older_form_of_what_they_stand_on_is_there() {
    let before = desired([proxy(), shop()]);
    let observed = settled(&before, fresh(&before), START);
    let mut refusing = Refusing::new("-base");
    refusing.tolerates(&observed);
    // The proxy answers challenges of a further name now, which that file says.
    let named = shop().label("names", "mail.example");
    let after = desired([proxy(), named, other()]);
    let observed = refusing.settle(&after, observed, START);
    assert!(is_refused(&observed, BASE));
    let files = files(&observed);
    assert!(
        [BASE, SHOP, OTHER].iter().all(|file| files.contains(file)),
        "{files:?}"
    );
}

#[test]
fn no_site_is_written_while_what_all_stand_on_can_not_be_rendered() {
    let desired = desired([proxy(), shop()]);
    let templates = without("nginx/base.conf");
    let first = plan(&desired, &fresh(&desired), &templates, &rules(), START);
    let written = first.actions.iter().any(|action| match action {
        Action::Deploy(deploy) => deploy.write.keys().any(|file| file.as_str() == SHOP),
        _ => false,
    });
    assert!(!written, "{:?}", first.actions);
    assert_eq!(first.complaints.len(), 1, "{:?}", first.complaints);
    // What comes last is no ground: sites do without.
    let templates = without("nginx/unknown-http.conf");
    let first = plan(&desired, &fresh(&desired), &templates, &rules(), START);
    let [Action::Deploy(deploy)] = first.actions.as_slice() else {
        panic!("{first:?}")
    };
    assert!(deploy.write.keys().any(|file| file.as_str() == SHOP));
}

#[test]
fn without_ground_an_older_file_that_leads_elsewhere_goes() {
    let before = desired([proxy(), shop(), other()]);
    let observed = settled(&before, fresh(&before), START);
    let moved = desired([
        proxy(),
        container("shop", 9).label("host", "shop.example"),
        other(),
    ]);
    let templates = without("nginx/base.conf");
    let next = plan(&moved, &observed, &templates, &rules(), START);
    let [Action::Deploy(deploy)] = next.actions.as_slice() else {
        panic!("{next:?}")
    };
    let removed: Vec<_> = deploy.remove.iter().map(FileName::as_str).collect();
    assert_eq!(removed, [SHOP]);
    let written: Vec<_> = deploy.write.keys().map(FileName::as_str).collect();
    assert_eq!(written, ["quaymaster--mark.conf"]);
}
