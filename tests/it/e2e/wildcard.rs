//! The stack `wildcard`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    quickstart::{Copy, free_ports},
    stack::place,
};

#[test]
fn a_wildcard_its_apex_and_a_delegated_name_are_proven_by_records_that_are_gone_afterwards() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    let settings = [
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
    ];
    let copy = Copy::up("wildcard", &settings);
    let (is_as_promised, said) = copy.script(&["wildcard/try"], &settings);
    assert!(is_as_promised, "{said}");
    let ok = said.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(ok.count(), 6, "{said}");
}
