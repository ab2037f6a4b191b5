//! Tests of the meaning of labels, with containers made of words.

use std::{net::IpAddr, path::Path};

use super::*;
pub(crate) use crate::fixtures::{container, label_rules as rules, usual_issuance};
use crate::fixtures::{network, volume};
use crate::observe::{Bearer, BearerState, Endpoint, Health, Joined, Mount, Wait};
use crate::values::{ContainerId, Owner};

pub(super) fn public() -> LabelRules {
    LabelRules {
        issuers: CaTable::default()
            .of_setting("letsencrypt")
            .expect("a preset"),
        ..rules()
    }
}

impl Bearer {
    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels
            .insert(format!("quaymaster.{key}"), value.to_owned());
        self
    }

    pub(crate) fn project_is(mut self, project: &str) -> Self {
        self.labels
            .insert("com.docker.compose.project".into(), project.to_owned());
        self
    }

    pub(crate) fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }
}

pub(crate) fn own() -> Bearer {
    container("quaymaster", 2)
        .mount(volume("edge", "/edge", true))
        .mount(volume("state", "/state", true))
}

pub(crate) fn proxy() -> Bearer {
    container("proxy", 3)
        .label("kind", "nginx")
        .mount(volume("edge", "/etc/nginx/conf.d", false))
}

/// A broker whose folder of certificates is on a volume of ours.
pub(crate) fn broker() -> Bearer {
    container("mqtt", 5)
        .label("kind", "mosquitto")
        .label("use", "mqtt.example")
        .mount(volume("state", "/mosquitto/certs", false))
}

pub(crate) fn snapshot(containers: impl IntoIterator<Item = Bearer>) -> Snapshot {
    let bearers = containers
        .into_iter()
        .map(|c| (c.name.clone(), c.into()))
        .collect();
    Snapshot {
        bearers,
        own: Some(own()),
        ..Snapshot::default()
    }
}

pub(super) fn desired(containers: impl IntoIterator<Item = Bearer>) -> Desired {
    desire(&snapshot(containers), &rules())
}

pub(super) fn upstreams(site: &Site) -> BTreeSet<SocketAddr> {
    match &site.content {
        SiteContent::Routes(routes) => routes
            .iter()
            .flat_map(|(_, route)| route.upstreams.iter().copied())
            .collect(),
        SiteContent::Redirect(_) => BTreeSet::new(),
    }
}

pub(super) fn complaints(desired: &Desired) -> Vec<String> {
    desired
        .complaints
        .iter()
        .map(Complaint::to_string)
        .collect()
}

pub(super) fn hosts(desired: &Desired) -> Vec<&str> {
    desired
        .consumers
        .values()
        .flat_map(|consumer| consumer.sites.keys().map(Host::as_str))
        .collect()
}

#[test]
fn one_label_makes_a_site_and_a_certificate() {
    let desired = desired([
        proxy(),
        container("shop", 4).label("host", "Shop.example, www.shop.example"),
    ]);
    assert_eq!(complaints(&desired), Vec::<String>::new());
    assert_eq!(hosts(&desired), ["shop.example", "www.shop.example"]);
    let consumer = desired.consumers.values().next().expect("the proxy");
    let settings = consumer.proxy.as_ref().expect("it is one");
    assert_eq!(settings.config.ours, SharedPath::top("/edge"));
    assert_eq!(
        consumer.certificates.theirs(),
        Path::new("/etc/nginx/conf.d/certificates")
    );
    assert_eq!(
        settings.webroot.ours,
        SharedPath::beneath(Path::new("/edge"), "/edge/challenge")
    );
    assert_eq!(
        settings.webroot.theirs,
        Path::new("/etc/nginx/conf.d/challenge")
    );
    assert_eq!(
        consumer.reach().map(|reach| reach.http.ip()),
        Some(IpAddr::from([10, 0, 0, 3]))
    );
    let site = consumer.sites.values().next().expect("the site");
    assert_eq!(
        upstreams(site),
        BTreeSet::from(["10.0.0.4:8080".parse().expect("an address")])
    );
    let names: Vec<_> = desired
        .certificates
        .keys()
        .map(CertificateName::as_str)
        .collect();
    assert_eq!(names, ["shop.example", "www.shop.example"]);
}

#[test]
fn a_one_off_container_of_compose_asks_for_nothing() {
    let shop = || container("shop", 4).label("host", "shop.example");
    let run = |mut container: Bearer, word: &str| {
        let label = "com.docker.compose.oneoff".to_owned();
        container.labels.insert(label, word.to_owned());
        container
    };
    let beside = |word: &str| {
        let mut nginx_t = run(proxy(), word);
        nginx_t.name = ContainerName::parse("proxy_run_1").expect("a name");
        let shell = run(container("shop_run_1", 5), word).label("host", "shop.example");
        // What its service writes wrong is told of the service alone.
        [proxy(), shop(), nginx_t, shell.label("pth", "/")]
    };
    let alone = desired([proxy(), shop()]);
    for word in ["True", "true", "TRUE"] {
        assert_eq!(desired(beside(word)), alone, "{word}");
    }
    assert_ne!(
        desired(beside("False")),
        alone,
        "as Compose writes it on what `up` starts"
    );
    let without_shop = desired([proxy(), run(shop(), "True")]);
    assert!(hosts(&without_shop).is_empty() && without_shop.certificates.is_empty());
}

#[test]
fn what_the_proxy_mounts_is_used_where_it_mounts_it() {
    let own = own()
        .mount(volume("certs", "/certificates", true))
        .mount(volume("acme", "/challenge", true));
    let proxy = proxy()
        .mount(volume("certs", "/certs", false))
        .mount(volume("acme", "/var/www/acme", false));
    let snapshot = Snapshot {
        own: Some(own),
        ..snapshot([proxy])
    };
    let rules = LabelRules {
        certificates: "/certificates".into(),
        webroot: Some("/challenge".into()),
        ..rules()
    };
    let desired = desire(&snapshot, &rules);
    let consumer = desired.consumers.values().next().expect("the proxy");
    assert_eq!(
        consumer.certificates,
        CertificateFolder::Shared {
            theirs: "/certs/live".into()
        }
    );
    assert_eq!(
        consumer.proxy.as_ref().expect("it is one").webroot,
        Folder {
            ours: SharedPath::top("/challenge"),
            theirs: "/var/www/acme".into()
        }
    );
}

#[test]
fn the_port_is_found_or_asked_for() {
    let exposing = |ports: &[u16]| {
        let mut shop = container("shop", 4).label("host", "shop.example");
        shop.exposed = ports.iter().copied().collect();
        shop
    };
    for (shop, expected) in [
        (exposing(&[3000]), Ok(3000)),
        (exposing(&[443, 80]), Ok(80)),
        (exposing(&[3000]).label("port", "9000"), Ok(9000)),
        (
            exposing(&[3000, 4000]),
            Err("it exposes the ports 3000, 4000, none of them 80"),
        ),
        (exposing(&[]), Err("it exposes no TCP port")),
        (
            exposing(&[3000]).label("port", "eighty"),
            Err("it is not a port"),
        ),
        (
            exposing(&[3000]).label("port", "0"),
            Err("it is not a port"),
        ),
        (
            exposing(&[3000]).label("port", "+80"),
            Err("it is not a port"),
        ),
        (
            exposing(&[3000]).label("port", "80;443"),
            Err("it is not a port"),
        ),
        (
            exposing(&[3000]).label("port", "70000"),
            Err("it is not a port"),
        ),
    ] {
        let desired = desired([proxy(), shop]);
        let sites = &desired.consumers.values().next().expect("the proxy").sites;
        match expected {
            Ok(port) => {
                let upstream = sites
                    .values()
                    .flat_map(|site| upstreams(site))
                    .next()
                    .expect("an upstream");
                assert_eq!(upstream.port(), port);
            }
            Err(problem) => {
                assert!(sites.is_empty(), "{problem}");
                assert!(
                    complaints(&desired)[0].contains(problem),
                    "{:?}",
                    complaints(&desired)
                );
            }
        }
    }
}

#[test]
fn a_hostile_name_is_named_and_harms_nobody() {
    let shop = container("shop", 4).label(
        "host",
        "shop.example, x;}server{, $(reboot).example, ../../etc, 'a.b'",
    );
    let desired = desired([proxy(), shop]);
    assert_eq!(hosts(&desired), ["shop.example"]);
    assert_eq!(desired.complaints.len(), 4, "{:?}", complaints(&desired));
    assert!(complaints(&desired)[0].starts_with("container shop, label quaymaster.host="));
}

#[test]
fn a_label_that_does_not_exist_is_answered_with_the_nearest() {
    let desired = desired([
        proxy(),
        container("shop", 4)
            .label("hots", "shop.example")
            .label("zzzzzz", "1"),
    ]);
    let complaints = complaints(&desired);
    assert_eq!(
        complaints[0],
        "container shop, label quaymaster.hots=\"shop.example\": there is no such label; did you mean quaymaster.host?"
    );
    assert!(
        complaints[1].contains("known are quaymaster.host, quaymaster.port, "),
        "{complaints:?}"
    );
}

#[test]
fn an_unknown_kind_is_told() {
    let desired = desired([container("proxy", 3).label("kind", "apache")]);
    assert_eq!(
        complaints(&desired),
        [
            "container proxy, label quaymaster.kind=\"apache\": there is no such kind of server, only nginx, haproxy, mosquitto, \
         express-gateway, postfix, dovecot, prosody, certbot, generic; write a \
          row of the kinds table, such as nginx; until then it is not configured"
        ]
    );
}

#[test]
fn a_missing_mount_is_told_with_its_compose_line() {
    let bare = || {
        container("proxy", 3)
            .label("kind", "nginx")
            .project_is("stack")
    };
    for (proxy, expected) in [
        (
            bare(),
            r#"add `volumes: ["edge:/etc/nginx/conf.d:ro"]` to service proxy"#,
        ),
        (
            bare().mount(volume("stack_conf", "/etc/nginx/conf.d", true)),
            r#"add `volumes: ["conf:/conf"]` to service quaymaster"#,
        ),
    ] {
        let desired = desired([proxy]);
        assert!(desired.consumers.is_empty());
        assert!(
            complaints(&desired)[0].contains(expected),
            "{:?}",
            complaints(&desired)
        );
    }
    let read_only = container("quaymaster", 2).mount(volume("edge", "/edge", false));
    let snapshot = Snapshot {
        own: Some(read_only),
        ..snapshot([proxy()])
    };
    let desired = desire(&snapshot, &rules());
    assert!(
        complaints(&desired)[0].contains("remove `:ro` from the volume at /edge"),
        "{:?}",
        complaints(&desired)
    );
}

#[test]
fn files_of_passwords_are_looked_for_where_they_can_be_seen_from_here() {
    let own = own().mount(volume("secrets", "/secrets", false));
    let proxy = proxy()
        .mount(volume("secrets", "/run/secrets", false))
        .mount(volume("theirs", "/theirs", false));
    let looked_for = |own: Option<Bearer>, file: &str| {
        let shop = container("shop", 4).label("host", "shop.example");
        let snapshot = Snapshot {
            own,
            ..snapshot([proxy.clone(), shop.label("auth", file)])
        };
        let files = desire(&snapshot, &rules()).files;
        let asked = files.values().flatten();
        assert!(
            asked
                .clone()
                .all(|told| told.origin.bearer.as_str() == "shop"
                    && &*told.origin.label == "quaymaster.auth"
                    && &*told.origin.text == file),
            "{files:?}"
        );
        files.into_keys().collect::<Vec<_>>()
    };
    for (file, here) in [
        (
            "/run/secrets/a/htpasswd",
            Some(("/secrets", "/secrets/a/htpasswd")),
        ),
        (
            "/etc/nginx/conf.d/htpasswd",
            Some(("/edge", "/edge/htpasswd")),
        ),
        ("/theirs/htpasswd", None),
        ("/etc/nginx/htpasswd", None),
    ] {
        let here = here.map(|(mount, path)| SharedPath::beneath(Path::new(mount), path));
        assert_eq!(
            looked_for(Some(own.clone()), file),
            here.into_iter().collect::<Vec<_>>(),
            "{file}"
        );
    }
    let on_the_host = "/var/lib/docker/volumes/theirs/_data";
    assert_eq!(
        looked_for(None, "/theirs/htpasswd"),
        [SharedPath::beneath(
            Path::new(on_the_host),
            format!("{on_the_host}/htpasswd")
        )]
    );
}

#[test]
fn on_a_host_the_engine_s_own_folders_are_used() {
    let snapshot = Snapshot {
        own: None,
        ..snapshot([proxy()])
    };
    let desired = desire(&snapshot, &rules());
    let consumer = desired.consumers.values().next().expect("the proxy");
    assert_eq!(
        consumer.config().expect("it has one").ours,
        SharedPath::top("/var/lib/docker/volumes/edge/_data")
    );
    assert_eq!(
        consumer.reach().map(|reach| reach.http.ip()),
        Some(IpAddr::from([10, 0, 0, 3]))
    );
}

#[test]
fn what_ended_has_no_site_and_what_ails_has_no_traffic() {
    let shop = |change: fn(&mut Bearer)| {
        let mut shop = container("shop", 4).label("host", "shop.example");
        change(&mut shop);
        desired([proxy(), shop])
    };
    assert!(hosts(&shop(|c| c.state = BearerState::Other("exited".into()))).is_empty());
    let ailing: [fn(&mut Bearer); 3] = [
        |c| c.state = BearerState::Paused,
        |c| c.health = Some(Health::Starting),
        |c| c.health = Some(Health::Unhealthy),
    ];
    for change in ailing {
        let desired = shop(change);
        assert_eq!(hosts(&desired), ["shop.example"]);
        assert_eq!(desired.certificates.len(), 1);
        assert!(
            desired
                .consumers
                .values()
                .all(|c| c.sites.values().all(|site| upstreams(site).is_empty()))
        );
    }
}

fn on_host(mut container: Bearer) -> Bearer {
    let host = Endpoint {
        address: None,
        ..network("host", 0)
    };
    container.endpoints = [host].into();
    container
}

#[test]
fn the_host_s_network_is_served_where_that_can_work() {
    let shop = || container("shop", 4).label("host", "shop.example");
    for (proxy, shop, leads_to) in [
        (on_host(proxy()), on_host(shop()), "/: 127.0.0.1:8080"),
        (on_host(proxy()), shop(), "/: 10.0.0.4:8080"),
        (
            on_host(proxy()),
            shop().label("network", "web"),
            "/: 10.0.0.4:8080",
        ),
        (proxy(), shop(), "/: 10.0.0.4:8080"),
    ] {
        let desired = desired([proxy, shop]);
        assert!(desired.complaints.is_empty(), "{:?}", desired.complaints);
        assert_eq!(routes(&desired, "shop.example"), [leads_to]);
    }
    let told = complaints(&desired([proxy(), on_host(shop())]));
    assert!(
        told[0].contains("take `network_mode: host` from it"),
        "{told:?}"
    );
    // A network without any is the host's as little as anybody's.
    let mut alone = shop();
    alone.endpoints = [].into();
    let told = complaints(&desired([on_host(proxy()), alone]));
    assert!(told[0].contains("it is on none"), "{told:?}");
}

#[test]
fn one_that_uses_another_s_network_is_asked_there_or_told_whose_that_is() {
    let shop = |name: Option<&str>, change: fn(&mut Bearer)| {
        let mut shop = container("shop", 4).label("host", "shop.example");
        shop.joins = Some(Joined {
            id: ContainerId::parse("5").expect("an id"),
            name: name.map(|name| ContainerName::parse(name).expect("a name")),
        });
        change(&mut shop);
        desired([proxy(), shop])
    };
    let near = shop(Some("vpn"), |_| {});
    assert!(near.complaints.is_empty(), "{:?}", near.complaints);
    assert_eq!(routes(&near, "shop.example"), ["/: 10.0.0.4:8080"]);
    let far = shop(Some("vpn"), |shop| {
        shop.endpoints[0].network_id = "another".to_owned()
    });
    let remedy = "put vpn on a network of a proxy; it is on web";
    assert!(complaints(&far)[0].contains(remedy), "{:?}", far.complaints);
    let gone = shop(None, |shop| shop.endpoints = [].into());
    assert!(complaints(&gone)[0].contains("the container 5, which is not there any more"));
}

#[test]
fn those_who_wait_for_a_broken_proxy_are_one_complaint_about_it() {
    let shop =
        |name: &str, number| container(name, number).label("host", &format!("{name}.example"));
    let mut elsewhere = shop("elsewhere", 6);
    elsewhere.endpoints[0].network_id = "another".to_owned();
    let unmounted = Bearer {
        mounts: Vec::new(),
        ..proxy()
    };
    let mistyped = proxy().label("kind", "ngnix");
    for (proxy, problem) in [
        (unmounted, "is on no volume"),
        (mistyped, "there is no such kind"),
    ] {
        let desired = desired([proxy, shop("a", 4), shop("b", 5), elsewhere.clone()]);
        let told = complaints(&desired);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].contains("container elsewhere") && told[1].contains(problem),
            "{told:?}"
        );
        // Nothing is forgotten that they ask for.
        assert_eq!(desired.certificates.len(), 3);
    }
}

#[test]
fn one_whose_health_is_ignored_takes_traffic_as_long_as_it_runs() {
    for (state, health, takes) in [
        (BearerState::Running, Some(Health::Starting), true),
        (BearerState::Running, Some(Health::Unhealthy), true),
        (BearerState::Running, None, true),
        (BearerState::Paused, Some(Health::Healthy), false),
    ] {
        let mut ignored = container("setup", 4)
            .label("host", "shop.example")
            .label("health", "ignore");
        // Each container speaks for itself.
        let mut checked = container("second", 5).label("host", "shop.example");
        (ignored.state, ignored.health) = (state.clone(), health.clone());
        checked.health = Some(Health::Unhealthy);
        let desired = desired([proxy(), ignored, checked]);
        assert!(desired.complaints.is_empty(), "{:?}", desired.complaints);
        let expected = if takes { "/: 10.0.0.4:8080" } else { "/: " };
        assert_eq!(
            routes(&desired, "shop.example"),
            [expected],
            "{state:?} {health:?}"
        );
    }
}

#[test]
fn one_that_waits_is_there_without_traffic_whether_it_runs_or_not_and_whatever_health_is_for() {
    let wait = Wait {
        until: None,
        restarts: 7,
        returns: 7,
    };
    let running = container("shop", 4).label("host", "shop.example");
    let mut restarting = running.clone();
    restarting.state = BearerState::Other("restarting".to_owned());
    restarting.endpoints[0].address = None;
    let ignored = running.clone().label("health", "ignore");
    for mut waiting in [running, restarting, ignored] {
        waiting.waits = Some(wait);
        let alone = desired([proxy(), waiting.clone()]);
        assert_eq!(routes(&alone, "shop.example"), ["/: "]);
        assert_eq!(
            hosts(&alone),
            ["shop.example"],
            "its site is not taken away"
        );
        assert_eq!(alone.certificates.len(), 1, "a certificate does not wait");
        let other = container("other", 5).label("host", "shop.example");
        let both = desired([proxy(), waiting, other]);
        assert_eq!(routes(&both, "shop.example"), ["/: 10.0.0.5:8080"]);
    }
}

#[test]
fn containers_of_one_project_share_a_name_and_others_do_not_take_it() {
    let shop = |name, number, project| {
        container(name, number)
            .label("host", "shop.example")
            .project_is(project)
    };
    let desired = desired([
        proxy(),
        shop("one", 4, "a"),
        shop("thief", 6, "b"),
        shop("two", 5, "a"),
    ]);
    let site = desired
        .consumers
        .values()
        .flat_map(|c| c.sites.values())
        .next()
        .expect("the site");
    let names: Vec<_> = site.bearers().map(ContainerName::as_str).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(
        complaints(&desired)[0].contains("container thief"),
        "{:?}",
        complaints(&desired)
    );
    assert!(
        complaints(&desired)[0].contains("belongs to one"),
        "{:?}",
        complaints(&desired)
    );
}

#[test]
fn a_site_that_no_proxy_can_reach_is_told() {
    let mut far = container("far", 4).label("host", "far.example");
    far.endpoints
        .iter_mut()
        .for_each(|endpoint| endpoint.network_id = "net-2".into());
    let with_proxy = desired([proxy(), far.clone()]);
    assert!(
        complaints(&with_proxy)[0].contains("no proxy shares a network with it; there is proxy")
    );
    let without = desired([far]);
    assert!(complaints(&without)[0].contains("start a proxy with the label quaymaster.kind=nginx"));
}

/// Complaints about hosts for which nobody is asked.
pub(super) fn uncovered(desired: &Desired) -> Vec<String> {
    desired
        .uncovered
        .values()
        .flatten()
        .map(Complaint::to_string)
        .collect()
}

/// The routes of the one site of a host, as `path: upstreams`.
fn routes(desired: &Desired, host: &str) -> Vec<String> {
    let sites = desired
        .consumers
        .values()
        .flat_map(|consumer| &consumer.sites);
    let site = sites
        .filter(|(name, _)| name.as_str() == host)
        .map(|(_, site)| site)
        .next()
        .expect("it is served");
    match &site.content {
        SiteContent::Redirect(to) => vec![format!("-> {to}")],
        SiteContent::Routes(routes) => {
            let ports = |route: &Route| {
                route
                    .upstreams
                    .iter()
                    .map(SocketAddr::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            routes
                .iter()
                .map(|(path, route)| format!("{path}: {}", ports(route)))
                .collect()
        }
    }
}

#[test]
fn containers_share_a_host_by_path() {
    let shop = |name, number| container(name, number).label("host", "shop.example");
    let api = |name, number| {
        shop(name, number)
            .label("path", "/api")
            .label("port", "9000")
    };
    let desired = desired([proxy(), shop("front", 4), api("api1", 5), api("api2", 6)]);
    assert_eq!(complaints(&desired), Vec::<String>::new());
    assert_eq!(
        routes(&desired, "shop.example"),
        ["/: 10.0.0.4:8080", "/api: 10.0.0.5:9000 10.0.0.6:9000"]
    );
}

#[test]
fn none_may_be_a_way_round_the_password_of_another() {
    let guarded = container("guarded", 4)
        .label("host", "shop.example")
        .label("auth", "/etc/nginx/htpasswd");
    let open = container("open", 5).label("host", "shop.example");
    let desired = desired([proxy(), guarded, open]);
    assert_eq!(routes(&desired, "shop.example"), ["/: 10.0.0.4:8080"]);
    assert!(
        complaints(&desired)[0].contains("container open, label quaymaster.path"),
        "{:?}",
        complaints(&desired)
    );
    assert!(complaints(&desired)[0].contains("guarded serves shop.example at / with other labels"));
}

#[test]
fn a_site_without_its_password_is_not_served_at_all() {
    let shop = container("shop", 4)
        .label("host", "shop.example")
        .label("auth", "htpasswd");
    let desired = desired([proxy(), shop.label("site.admin.host", "admin.example")]);
    assert_eq!(hosts(&desired), ["admin.example"]);
    assert!(
        complaints(&desired)[0].contains("until then the site is not served"),
        "{:?}",
        complaints(&desired)
    );
}

#[test]
fn one_container_may_have_several_sites_that_inherit_nothing() {
    let shop = container("shop", 4)
        .label("host", "shop.example")
        .label("tls", "both");
    let shop = shop
        .label("site.admin.host", "admin.example")
        .label("site.admin.port", "9000");
    let desired = desired([
        proxy(),
        shop.label("site.Bad.host", "x.example")
            .label("site.a.kind", "nginx"),
    ]);
    assert_eq!(hosts(&desired), ["admin.example", "shop.example"]);
    assert_eq!(routes(&desired, "admin.example"), ["/: 10.0.0.4:9000"]);
    let tls: Vec<_> = desired
        .consumers
        .values()
        .flat_map(|c| c.sites.values().map(|site| site.tls))
        .collect();
    assert_eq!(tls, [Tls::Redirect, Tls::Both]);
    assert_eq!(desired.complaints.len(), 2, "{:?}", complaints(&desired));
}

#[test]
fn further_names_are_sent_to_the_first_as_written() {
    let shop = container("shop", 4)
        .label("host", "www.shop.example, a.example")
        .label("redirect", "shop.example");
    let desired = desired([proxy(), shop]);
    assert_eq!(routes(&desired, "shop.example"), ["-> www.shop.example"]);
    assert_eq!(desired.certificates.len(), 3);
}

#[test]
fn a_public_ca_is_not_asked_for_what_it_can_not_issue() {
    let shop = container("shop", 4).label("host", "shop.internal, shop.org");
    let desired = desire(&snapshot([proxy(), shop]), &public());
    assert_eq!(hosts(&desired), ["shop.internal", "shop.org"]);
    assert_eq!(
        desired
            .certificates
            .keys()
            .map(CertificateName::as_str)
            .collect::<Vec<_>>(),
        ["shop.org"]
    );
    assert!(uncovered(&desired)[0].contains("no public CA issues a certificate for shop.internal"));
}

#[test]
fn without_tls_there_is_no_certificate() {
    let desired = desired([
        proxy(),
        container("shop", 4)
            .label("host", "shop.example")
            .label("tls", "off"),
    ]);
    assert_eq!(hosts(&desired), ["shop.example"]);
    assert!(desired.certificates.is_empty());
}

#[test]
fn what_is_to_be_kept_off_plain_text_is_not_served_so_for_an_older_one() {
    for (older, younger, is_served) in [
        ("off", "only", false),
        ("both", "redirect", false),
        ("redirect", "both", true),
        ("only", "redirect", true),
    ] {
        let shop = |name: &str, number, tls: &str| {
            container(name, number)
                .label("host", "shop.example")
                .label("tls", tls)
        };
        let desired = desired([
            proxy(),
            shop("older", 4, older),
            shop("younger", 5, younger),
        ]);
        let site = desired
            .consumers
            .values()
            .next()
            .and_then(|proxy| proxy.sites.values().next())
            .expect("a site");
        let addresses: BTreeSet<_> = upstreams(site)
            .iter()
            .map(|at| at.ip().to_string())
            .collect();
        assert!(addresses.contains("10.0.0.4"), "{older} {younger}");
        assert_eq!(
            addresses.contains("10.0.0.5"),
            is_served,
            "{older} {younger}"
        );
        let told: Vec<_> = desired.complaints.iter().map(ToString::to_string).collect();
        let expected = format!("container younger, label quaymaster.tls=\"{younger}\": older ");
        assert!(
            told.len() == 1 && told[0].starts_with(&expected),
            "{told:?}"
        );
    }
}

#[test]
fn what_contradicts_an_older_container_is_told_and_the_older_one_goes_on() {
    let shop = |name, number| container(name, number).label("host", "shop.example");
    for (younger, problem) in [
        (
            shop("younger", 5).label("tls", "both").label("path", "/x"),
            "older says something else for shop.example",
        ),
        (
            container("younger", 5)
                .label("host", "b.example")
                .label("redirect", "shop.example"),
            "redirected by another",
        ),
    ] {
        let desired = desired([proxy(), shop("older", 4), younger]);
        assert!(routes(&desired, "shop.example").contains(&"/: 10.0.0.4:8080".to_owned()));
        assert!(
            complaints(&desired)[0].contains(problem),
            "{:?}",
            complaints(&desired)
        );
    }
}

#[test]
fn labels_that_contradict_each_other_are_told() {
    let shop = || container("shop", 4).label("host", "shop.example");
    for shop in [
        shop()
            .label("strip", "true")
            .label("upstream-path", "/v2")
            .label("path", "/api"),
        shop().label("scheme", "grpc").label("strip", "true"),
        shop().label("scheme", "grpc").label("tls", "off"),
        shop().label("hsts", "1y").label("tls", "off"),
        shop().label("auth-realm", "Staff"),
        container("shop", 4).label("redirect", "shop.example"),
    ] {
        let desired = desired([proxy(), shop]);
        assert!(hosts(&desired).is_empty());
        assert_eq!(desired.complaints.len(), 1, "{:?}", complaints(&desired));
    }
}

#[test]
fn a_proxy_and_a_network_can_be_named() {
    let second = |name: &str, folder: &str, number| {
        let mut proxy = proxy();
        proxy.name = ContainerName::parse(name).expect("a name");
        proxy.mounts = vec![volume(folder, "/etc/nginx/conf.d", false)];
        proxy
            .endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.address = Some(IpAddr::from([10, 0, 0, number])));
        proxy
    };
    let via = container("shop", 4)
        .label("host", "shop.example")
        .label("via", "inner");
    let desired = desired([
        second("edge", "edge", 10),
        second("inner", "state", 11),
        via.clone(),
    ]);
    let serving: Vec<_> = desired
        .consumers
        .values()
        .filter(|c| !c.sites.is_empty())
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(serving, ["inner"]);

    let mut two = container("two", 5)
        .label("host", "two.example")
        .project_is("stack");
    let back = |number| Endpoint {
        address: Some(IpAddr::from([10, 9, 0, number])),
        ..network("stack_back", 0)
    };
    two.endpoints = [back(5), two.endpoints[0].clone()].into();
    let mut proxy = proxy();
    proxy.endpoints = [back(3), proxy.endpoints[0].clone()].into();
    let by_network = |name| self::desired([proxy.clone(), two.clone().label("network", name)]);
    assert_eq!(
        routes(&by_network("back"), "two.example"),
        ["/: 10.9.0.5:8080"]
    );
    assert_eq!(
        routes(&by_network("web"), "two.example"),
        ["/: 10.0.0.5:8080"]
    );
    assert!(
        complaints(&by_network("nosuch"))[0]
            .contains("it is on no such network; it is on stack_back, web")
    );
    let nobody = self::desired([proxy.clone(), via]);
    assert!(
        complaints(&nobody)[0]
            .contains("no such proxy shares a network with it; name one of proxy")
    );
}

#[test]
fn keys_are_for_the_user_that_a_proxy_runs_as_and_one_without_a_number_is_asked_for_it() {
    let owner = |user, group| Some(Owner { user, group });
    for (user, label, expected) in [
        ("", None, Ok(None)),
        ("root", None, Ok(None)),
        ("0:0", None, Ok(None)),
        ("33", None, Ok(owner(33, None))),
        ("33:34", None, Ok(owner(33, Some(34)))),
        ("33:www-data", None, Ok(owner(33, None))),
        ("nginx", Some("101"), Ok(owner(101, None))),
        ("", Some("33:33"), Ok(owner(33, Some(33)))),
        ("nginx", Some("0"), Ok(None)),
        (
            "www-data",
            None,
            Err("container proxy, label quaymaster.kind=\"nginx\": it runs as user www-data"),
        ),
        (
            "",
            Some("nginx"),
            Err("container proxy, label quaymaster.owner=\"nginx\": it is not a user number"),
        ),
    ] {
        let mut proxy = proxy();
        proxy.user = user.to_owned();
        if let Some(label) = label {
            proxy = proxy.label("owner", label);
        }
        let name = proxy.name.clone();
        let desired = desire(&snapshot([proxy]), &rules());
        match expected {
            Ok(expected) => {
                assert_eq!(desired.consumers[&name].owner, expected, "{user} {label:?}");
                assert_eq!(complaints(&desired), [""; 0], "{user} {label:?}");
            }
            Err(told) => {
                assert!(desired.consumers.is_empty(), "{user}");
                assert!(
                    complaints(&desired)[0].starts_with(told),
                    "{:?}",
                    complaints(&desired)
                );
            }
        }
    }
    // Keys in our own folder are for our user: another one gets copies.
    for (user, is_shared) in [("", true), ("33", false)] {
        let mut proxy = proxy().mount(volume("state", "/state", false));
        proxy.user = user.to_owned();
        let name = proxy.name.clone();
        let desired = desire(&snapshot([proxy]), &rules());
        let folder = &desired.consumers[&name].certificates;
        assert_eq!(
            matches!(folder, CertificateFolder::Shared { .. }),
            is_shared,
            "{user}"
        );
    }
}

/// Another proxy on the same volume, which is younger.
fn second_proxy() -> Bearer {
    container("proxy2", 9)
        .label("kind", "nginx")
        .mount(volume("edge", "/etc/nginx/conf.d", false))
}

#[test]
fn of_two_proxies_with_one_folder_only_the_older_is_configured() {
    let shop = || container("shop", 4).label("host", "shop.example");
    let desired = desired([second_proxy(), proxy(), shop()]);
    let served: Vec<_> = desired
        .consumers
        .iter()
        .flat_map(|(name, consumer)| consumer.sites.keys().map(move |host| (name, host)))
        .map(|(name, host)| format!("{name} {host}"))
        .collect();
    assert_eq!(served, ["proxy shop.example"]);
    assert_eq!(
        complaints(&desired),
        [
            "container proxy2, label quaymaster.kind=\"nginx\": container proxy uses the same folder /etc/nginx/conf.d \
             and is older; quaymaster configures one proxy per folder; give it a folder of its own: in Compose, make \
             it a service of its own with `volumes: [\"edge2:/etc/nginx/conf.d:ro\"]`, add `volumes: \
             [\"edge2:/edge2\"]` to service quaymaster, and `edge2:` under the top-level volumes; or stop proxy, and \
             this one takes over. Until then it gets no signal, and serves what it read when it started"
        ]
    );
}

#[test]
fn a_folder_goes_over_to_the_proxy_that_runs() {
    let configured = |state: &str, first: bool| {
        let stopped = Bearer {
            state: BearerState::Other(state.to_owned()),
            ..proxy()
        };
        let proxies = [Some(second_proxy()), first.then_some(stopped)];
        let desired = desired(proxies.into_iter().flatten());
        let names: Vec<_> = desired.consumers.keys().map(ToString::to_string).collect();
        (names.join(" "), complaints(&desired))
    };
    assert_eq!(configured("", false), ("proxy2".to_owned(), vec![]));
    let (names, said) = configured("exited", true);
    assert_eq!(names, "proxy2");
    let told = "container proxy, label quaymaster.kind=\"nginx\": container proxy2 uses the same folder \
                /etc/nginx/conf.d and runs; ";
    assert!(said.len() == 1 && said[0].starts_with(told), "{said:?}");
    // Its restart policy has it back at once.
    assert_eq!(configured("restarting", true).0, "proxy");
}

#[test]
fn proxies_with_folders_of_their_own_are_all_configured() {
    let mut other = second_proxy();
    other.mounts = vec![volume("state", "/etc/nginx/conf.d", false)];
    let desired = desired([proxy(), other]);
    assert_eq!((desired.consumers.len(), complaints(&desired)), (2, vec![]));
}

#[test]
fn a_site_knows_each_label_that_asks_for_it() {
    let desired = desired([
        proxy(),
        container("shop", 4)
            .label("site.admin.host", "a.example, b.example")
            .label("site.admin.redirect", "www.a.example"),
        container("api", 5)
            .label("host", "b.example")
            .label("path", "/api"),
    ]);
    let consumer = desired.consumers.values().next().expect("the proxy");
    let said: Vec<_> = consumer
        .sites
        .values()
        .flat_map(|site| &site.asked_by)
        .map(|origin| format!("{} {}={}", origin.bearer, origin.label, origin.text))
        .collect();
    assert_eq!(
        said,
        [
            "shop quaymaster.site.admin.host=a.example",
            "api quaymaster.host=b.example",
            "shop quaymaster.site.admin.host=b.example",
            "shop quaymaster.site.admin.redirect=www.a.example",
        ]
    );
    assert_eq!(&*consumer.said.label, "quaymaster.kind");
}

/// A bearer with these labels, all of which its image has, too.
fn of_image(name: &str, number: u8, labels: &[(&str, &str)]) -> Bearer {
    let bearer = labels
        .iter()
        .fold(container(name, number), |bearer, (key, value)| {
            bearer.label(key, value)
        });
    let asked = Dialects::native("quaymaster")
        .interest()
        .of_image
        .into_iter();
    Bearer {
        of_image: asked
            .filter(|label| bearer.labels.contains_key(label))
            .collect(),
        ..bearer
    }
}

#[test]
fn an_image_makes_no_server_of_its_containers_and_has_nothing_done_in_them_but_its_host_counts() {
    let labels = [
        ("kind", "mosquitto"),
        ("use", "*"),
        ("reload", "restart"),
        ("check", "exec true"),
        ("host", "shop.example"),
        ("port", "8080"),
    ];
    let shop = of_image("shop", 4, &labels).mount(volume("state", "/mosquitto/certs", false));
    let desired = desired([proxy(), shop]);
    assert_eq!(desired.consumers.len(), 1, "the proxy alone");
    assert_eq!(hosts(&desired), ["shop.example"]);
    let told: Vec<_> = ["check=\"exec true\"", "kind=\"mosquitto\"", "reload=\"restart\"", "use=\"*\""]
        .iter()
        .map(|label| format!("container shop, label quaymaster.{label}: its image has this label with the same value, so it is ignored"))
        .collect();
    let said = complaints(&desired);
    assert_eq!(said.len(), told.len(), "{said:?}");
    assert!(
        said.iter()
            .zip(&told)
            .all(|(said, told)| said.starts_with(told)),
        "{said:?}"
    );
    assert!(
        said[1].contains(
            "write it on the container with a blank at the end, \"quaymaster.kind=mosquitto \""
        ),
        "{said:?}"
    );
}

/// The remedy in the complaint.
#[test]
fn a_label_of_an_image_counts_once_it_is_written_with_a_blank_behind_it() {
    let with = |kind: &str, of_image: &[&str]| {
        let mut proxy = proxy().label("kind", kind);
        proxy.of_image = of_image.iter().map(|label| (*label).to_owned()).collect();
        let desired = desired([proxy]);
        (desired.consumers.len(), desired.complaints.len())
    };
    assert_eq!(with("nginx", &["quaymaster.kind"]), (0, 1));
    assert_eq!(with("nginx ", &[]), (1, 0));
    assert_eq!(
        with("nginx", &["quaymaster.reload"]),
        (1, 0),
        "another one is its image's"
    );
}

#[test]
fn of_images_those_labels_are_asked_for_that_give_keys_or_have_something_done() {
    for key in ["kind", "use", "copy", "reload", "check"] {
        let mut rows = LABELS.iter().filter(|row| row.key == key);
        assert!(rows.all(LabelRow::is_of_container), "{key}");
    }
    let site = LABELS.iter().find(|row| row.key == "host").expect("a row");
    assert!(!site.is_of_container());
    assert!(
        Dialects::native("q")
            .interest()
            .of_image
            .contains(&"q.use".to_owned())
    );
    assert!(
        !Dialects::native("q")
            .interest()
            .of_image
            .contains(&"q.host".to_owned())
    );
}

#[test]
fn what_was_an_image_s_is_so_when_its_container_is_remembered() {
    let gone = of_image("shop", 4, &[("use", "shop.example")]);
    let remembered = crate::observe::Removed::of(&gone, Timestamp::from_seconds(3000));
    let text = serde_json::to_string(&remembered).expect("it is written");
    let read: crate::observe::Removed = serde_json::from_str(&text).expect("it is read");
    assert_eq!(read.bearer().of_image, gone.of_image);
}

/// Where anything may be sent to is said by settings alone.
#[test]
fn no_label_sends_anything_anywhere() {
    for key in ["webhook", "notify", "hook", "notify.ops.url", "deploy-hook"] {
        let shop = container("shop", 4).label(key, "https://evil.example");
        let said = complaints(&desired([shop]));
        assert!(
            said.len() == 1 && said[0].contains("there is no such label"),
            "{key}: {said:?}"
        );
    }
}

#[test]
fn another_project_gets_no_path_of_a_host_though_its_container_is_older_than_one_made_anew() {
    let shop = |name, number, project| {
        container(name, number)
            .label("host", "shop.example")
            .project_is(project)
    };
    let host = Host::parse("shop.example").expect("a host");
    let holder = crate::observe::Holder::of(&Some("a".to_owned()));
    let snapshot = Snapshot {
        holders: [(host, holder)].into(),
        ..snapshot([
            proxy(),
            shop("thief", 4, "b").label("path", "/login"),
            shop("anew", 9, "a"),
        ])
    };
    let desired = desire(&snapshot, &rules());
    assert_eq!(routes(&desired, "shop.example"), ["/: 10.0.0.9:8080"]);
    let said = complaints(&desired);
    assert!(
        said.len() == 1 && said[0].starts_with("container thief, "),
        "{said:?}"
    );
}

#[test]
fn a_wildcard_of_another_project_takes_no_name_that_somebody_else_claims() {
    let wild = container("wild", 4)
        .label("host", "*.a.example")
        .label("ca", "self-signed")
        .project_is("b");
    let shop = container("shop", 9)
        .label("host", "shop.a.example")
        .project_is("a");
    let desired = desired([proxy(), wild, shop]);
    assert_eq!(routes(&desired, "shop.a.example"), ["/: 10.0.0.9:8080"]);
    let of_shop = CertificateName::parse("shop.a.example").expect("a name");
    let wanted = &desired.certificates[&of_shop];
    assert_eq!(
        wanted.names.iter().map(Host::as_str).collect::<Vec<_>>(),
        ["shop.a.example"]
    );
    let asked: Vec<_> = wanted
        .claimed_by
        .iter()
        .map(ContainerName::as_str)
        .collect();
    assert_eq!(asked, ["shop"]);
}
