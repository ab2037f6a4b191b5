//! Bearers on other engines: who serves them, whose their names are, and how keys get there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use super::{tests::*, *};
use crate::{
    fixtures::volume,
    observe::Bearer,
    values::{EngineName, Grants},
};

/// The bearer on the engine blue, at 10.0.0.9, on a network of that one.
fn on_blue(mut bearer: Bearer) -> Bearer {
    for endpoint in &mut bearer.endpoints {
        endpoint.network_id = format!("blue-{}", endpoint.network_id);
    }
    let blue = EngineName::parse("blue").expect("a name");
    bearer.on(&blue, Some([10, 0, 0, 9].into()))
}

/// A shop whose port 8080 is published there.
fn shop(published: &[&str]) -> Bearer {
    let at = published
        .iter()
        .map(|text| text.parse().expect("an address"));
    let at: BTreeSet<SocketAddr> = at.collect();
    let mut shop = container("shop", 4).label("host", "shop.example");
    shop.bound = BTreeMap::from([(8080, at)]);
    shop
}

/// Where the proxies lead the shop, by their names.
fn led(desired: &Desired) -> Vec<(String, Vec<String>)> {
    let host = Host::parse("shop.example").expect("a host");
    let proxies = desired.consumers.values();
    proxies
        .filter_map(|proxy| {
            let site = proxy.sites.get(&host)?;
            let at = upstreams(site).into_iter().map(|at| at.to_string());
            Some((proxy.name.to_string(), at.collect()))
        })
        .collect()
}

fn led_to(at: &str) -> Vec<(String, Vec<String>)> {
    vec![("proxy".to_owned(), vec![at.to_owned()])]
}

#[test]
fn what_is_published_elsewhere_is_served_by_a_proxy_here() {
    for (published, expected) in [
        (&["0.0.0.0:9000"][..], "10.0.0.9:9000"),
        (&["[::]:9000", "0.0.0.0:9001"], "10.0.0.9:9001"),
        (&["10.0.0.77:9000"], "10.0.0.77:9000"),
        (&["127.0.0.1:9000", "0.0.0.0:9002"], "10.0.0.9:9002"),
    ] {
        let desired = desired([proxy(), on_blue(shop(published))]);
        assert_eq!(complaints(&desired), [""; 0]);
        assert_eq!(led(&desired), led_to(expected), "{published:?}");
        // It stays so over a start of the proxy, when no address of a network does.
        let site = desired
            .consumers
            .values()
            .next()
            .and_then(|it| it.sites.values().next());
        let SiteContent::Routes(routes) = &site.expect("a site").content else {
            panic!("it is served");
        };
        assert_eq!(routes[0].1.by_id.as_deref(), Some(expected));
    }
}

#[test]
fn what_nobody_reaches_from_here_is_told_with_the_line_to_write() {
    for published in [&[][..], &["127.0.0.1:9000"], &["0.0.0.0:0"]] {
        let desired = desired([proxy(), on_blue(shop(published))]);
        assert_eq!(led(&desired), [], "{published:?}");
        let told = complaints(&desired);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("it is on the engine blue"), "{told:?}");
        assert!(told[0].contains(r#"`ports: ["8080:8080"]`"#), "{told:?}");
    }
}

#[test]
fn an_address_of_a_container_elsewhere_is_never_taken_for_one_of_here() {
    // The same address, and a network of the same name, on both engines.
    let mut here = proxy();
    let mut on_host = proxy();
    on_host.endpoints[0].network = "host".to_owned();
    for proxy in [&mut here, &mut on_host] {
        let desired = desired([proxy.clone(), on_blue(shop(&["0.0.0.0:9000"]))]);
        assert_eq!(led(&desired), led_to("10.0.0.9:9000"));
        let mut named = shop(&["0.0.0.0:9000"]).label("network", "web");
        named.exposed = [8080].into();
        let desired = desire(&snapshot([proxy.clone(), on_blue(named)]), &rules());
        assert_eq!(led(&desired), led_to("10.0.0.9:9000"));
    }
}

#[test]
fn a_proxy_beside_a_container_serves_it_and_none_here() {
    let desired = desired([proxy(), on_blue(proxy()), on_blue(shop(&["0.0.0.0:9000"]))]);
    assert_eq!(led(&desired), []);
    // What is to be done about that proxy is said about it, once.
    let told = complaints(&desired);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("container proxy@blue"), "{told:?}");
}

#[test]
fn projects_of_one_name_on_two_engines_are_two() {
    let here = shop(&[]).project_is("shop");
    let there = on_blue(shop(&["0.0.0.0:9000"]).project_is("shop"));
    let desired = desired([proxy().project_is("edge"), here, there]);
    assert_eq!(led(&desired), led_to("10.0.0.4:8080"));
    let told = complaints(&desired);
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = "shop.example belongs to shop of another project";
    assert!(told[0].contains(expected), "{told:?}");
}

#[test]
fn keys_leave_this_machine_by_label_and_grant_alone() {
    /// A broker of the project mail, with no volume.
    fn mail() -> Bearer {
        let mounts = Vec::new();
        Bearer { mounts, ..broker() }.project_is("mail")
    }
    let plain = || on_blue(mail());
    let copied = || on_blue(mail().label("copy", "true"));
    let told = |bearer: Bearer, grants: Option<&str>| {
        let rules = LabelRules {
            grants: grants.map(|text| Grants::parse(text).expect("a table")),
            answers_itself: true,
            ..rules()
        };
        let desired = desire(&snapshot([bearer]), &rules);
        let consumer = desired.consumers.values().next().cloned();
        (consumer, complaints(&desired).join("\n"))
    };
    let (none, words) = told(plain(), None);
    assert!(none.is_none(), "{words}");
    assert!(words.contains("it is on the engine blue"), "{words}");
    assert!(words.contains(r#"`"mail@blue" = "keys"`"#), "{words}");
    let granted = r#""mail@blue" = "mqtt.example keys copy""#;
    let (none, words) = told(plain(), Some(granted));
    assert!(none.is_none(), "{words}");
    assert!(words.contains("quaymaster.copy=true"), "{words}");
    // A project of that name here has no part in it.
    let (none, _) = told(copied(), Some(r#"mail = "mqtt.example keys copy""#));
    assert!(none.is_none());
    let read_only = volume("state", "/mosquitto/certs", false);
    let read_only = on_blue(mail().label("copy", "true").mount(read_only));
    let (none, words) = told(read_only, Some(granted));
    assert!(none.is_none(), "{words}");
    assert!(words.contains("remove `:ro`"), "{words}");
    let (broker, words) = told(copied(), Some(granted));
    assert_eq!(words, "");
    let broker = broker.expect("it is given files");
    let CertificateFolder::Delivered(delivery) = &broker.certificates else {
        panic!("it gets copies");
    };
    assert_eq!(
        delivery.to,
        Destination::Inside(Path::new("/mosquitto/certs").to_owned())
    );
}

#[test]
fn a_server_elsewhere_is_looked_at_where_its_port_is_published() {
    let mut bearer = broker().project_is("mail").label("copy", "true");
    bearer.mounts.clear();
    bearer.bound = BTreeMap::from([(8883, ["0.0.0.0:18883".parse().expect("an address")].into())]);
    let grants = Grants::parse(r#""mail@blue" = "mqtt.example keys copy""#).expect("a table");
    let rules = LabelRules {
        grants: Some(grants),
        ..rules()
    };
    let desired = desire(&snapshot([on_blue(bearer)]), &rules);
    let broker = desired.consumers.values().next().expect("it is one");
    let at = broker.probes.at.iter().map(|probe| probe.at.to_string());
    assert_eq!(at.collect::<Vec<_>>(), ["10.0.0.9:18883"]);
}

#[test]
fn servers_elsewhere_share_a_folder_with_each_other_and_never_with_one_here() {
    let bearer = |name: &str, number| {
        container(name, number)
            .label("kind", "mosquitto")
            .label("use", "mqtt.example")
            .label("copy", "true")
            .project_is("p")
            .mount(volume("state", "/mosquitto/certs", true))
    };
    let text = "p = \"mqtt.example keys copy\"\n\"p@blue\" = \"mqtt.example keys copy\"";
    let rules = LabelRules {
        grants: Some(Grants::parse(text).expect("a table")),
        ..rules()
    };
    let all = [
        bearer("one", 4),
        on_blue(bearer("two", 5)),
        on_blue(bearer("three", 6)),
    ];
    let desired = desire(&snapshot(all), &rules);
    let names = desired.consumers.keys().map(ContainerName::as_str);
    assert_eq!(names.collect::<Vec<_>>(), ["one", "two@blue"]);
    let told = complaints(&desired).join("\n");
    assert!(told.contains("three@blue"), "{told}");
    assert!(
        told.contains("container two@blue uses the same folder"),
        "{told}"
    );
}
