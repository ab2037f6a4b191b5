//! The stack `metrics`, as `compose/up` starts it from the very Compose file that people copy.

use super::{
    quickstart::{Copy, free_ports},
    stack::place,
};

#[test]
fn an_alert_fires_while_the_ca_is_gone_and_ends_when_it_is_back() {
    let _place = place();
    let [http, https] = free_ports().map(|port| port.to_string());
    let [page, prometheus] = free_ports().map(|port| port.to_string());
    let [alerts, _] = free_ports().map(|port| port.to_string());
    let settings = [
        ("QUAYMASTER_EXAMPLE_HTTP_PORT", http.as_str()),
        ("QUAYMASTER_EXAMPLE_HTTPS_PORT", https.as_str()),
        ("QUAYMASTER_EXAMPLE_PAGE_PORT", page.as_str()),
        ("QUAYMASTER_EXAMPLE_PROMETHEUS_PORT", prometheus.as_str()),
        ("QUAYMASTER_EXAMPLE_ALERTS_PORT", alerts.as_str()),
    ];
    let copy = Copy::up("metrics", &settings);
    let (is_as_promised, said) = copy.script(&["metrics/try"], &settings);
    assert!(is_as_promised, "{said}");
    let ok = said.lines().filter(|line| line.starts_with("ok "));
    assert_eq!(ok.count(), 12, "{said}");
}
