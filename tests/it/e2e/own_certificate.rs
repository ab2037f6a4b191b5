//! The stack `own-certificate`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    quickstart::{Copy, free_ports},
    stack::place,
};

/// Each name that the stack's `try` asks for, and the copy that it makes.
const TRIED: usize = 9;

#[test]
fn the_own_certificate_stack_serves_each_name_by_the_certificate_that_fits_it() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    let settings = [
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
    ];
    let copy = Copy::up("own-certificate", &settings);
    // `up` has tried it once. What was copied over then stays.
    let (is_as_promised, said) = copy.script(&["own-certificate/try"], &settings);
    assert!(is_as_promised, "{said}");
    let ok = said.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(ok.count(), TRIED, "{said}");
    for why in [
        "team.corp.example, from Pebble",
        "it is that of corp.example, the nearest name above that has one",
        "answers it with 404 under corp",
        "it was put there by hand; quaymaster does not renew it",
    ] {
        assert!(said.contains(why), "{why}: {said}");
    }
    // The user's own kept the CA from being asked.
    for (name, orders) in [
        ("corp.example", 0),
        ("bundle.corp.example", 0),
        ("none.corp.example", 0),
        ("ann.team.corp.example", 0),
        ("team.corp.example", 1),
        ("copied.corp.example", 1),
    ] {
        assert_eq!(copy.orders(name), orders, "{name}");
    }
}
