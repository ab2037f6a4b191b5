//! Which certificates servers get for names that their labels ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Complaint, Consumer, LabelRules, Pin, Use,
    claims::{Claim, Purpose},
    hosts::HostDecision,
    spec::Spec,
};
use crate::{
    observe::Snapshot,
    values::{CertificateName, ContainerName, Host},
};

/// Gives each server the names that it asks for, and those of its project where it asks for all.
pub(super) fn give(
    consumers: &mut BTreeMap<ContainerName, Consumer>,
    hosts: &BTreeMap<Host, HostDecision<'_>>,
    assigned: &BTreeMap<Host, CertificateName>,
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
) {
    for (host, certificate) in assigned {
        let Some(held) = hosts.get(host) else {
            continue;
        };
        for claim in &held.used_by {
            if let Some(consumer) = consumers.get_mut(&claim.bearer.name) {
                consumer
                    .uses
                    .insert(host.clone(), used(host, claim, certificate));
            }
        }
    }
    for consumer in consumers.values_mut() {
        let uses_all = specs
            .get(&consumer.name)
            .is_some_and(|spec| spec.proxy.uses_all);
        let bearer = snapshot.bearers.get(&consumer.name).filter(|_| uses_all);
        let Some(bearer) = bearer else { continue };
        for (host, certificate) in assigned {
            let is_own = hosts
                .get(host)
                .is_some_and(|held| held.project == bearer.owner());
            if is_own && !consumer.uses.contains_key(host) {
                let used = Use {
                    certificate: certificate.clone(),
                    pin: None,
                    said: consumer.said.clone(),
                };
                consumer.uses.insert(host.clone(), used);
            }
        }
    }
}

fn used(host: &Host, claim: &Claim<'_>, certificate: &CertificateName) -> Use {
    let pinned = claim.spec.wish.pin.clone();
    Use {
        certificate: certificate.clone(),
        pin: pinned.map(|certificate| Pin {
            said: claim.origin("pin", certificate.as_str()),
            certificate,
        }),
        said: claim.origin("use", host.as_str()),
    }
}

/// The proxies that answer challenges for a name that none serves: those that its labels name, else all.
pub(super) fn answering(
    consumers: &BTreeMap<ContainerName, Consumer>,
    held: &HostDecision<'_>,
    snapshot: &Snapshot,
) -> BTreeSet<ContainerName> {
    let is_meant = |name: &ContainerName| {
        let service = snapshot.bearers.get(name).map(|bearer| bearer.service());
        let mut claims = held.used_by.iter();
        claims.any(|claim| {
            let via = &claim.spec.via;
            via.is_empty()
                || via.contains(name.as_str())
                || service.is_some_and(|service| via.contains(service))
        })
    };
    let proxies = consumers.values().filter(|it| it.proxy.is_some());
    proxies
        .map(|proxy| &proxy.name)
        .filter(|name| is_meant(name))
        .cloned()
        .collect()
}

/// Tells of a name that no proxy answers challenges for.
pub(super) fn tell_unanswered(
    host: &Host,
    held: &HostDecision<'_>,
    rules: &LabelRules,
    complaints: &mut BTreeSet<Complaint>,
) {
    for claim in &held.used_by {
        let problem = "no proxy is there to answer the CA's challenges for it".to_owned();
        let mut remedy = format!(
            "start a proxy with the label {}.kind=nginx, have quaymaster itself answer (setting listen-http) or a \
             server of yours (setting thumbprint), prove it by challenge=dns-01, or put a certificate for it into provided/",
            rules.dialects.prefix,
        );
        if claim.purpose != Purpose::Name {
            remedy.push_str(&format!(
                ", or write {}=self-signed",
                claim.spec.label("ca")
            ));
        }
        complaints.insert(claim.complaint(claim.key(), host.as_str(), problem, &remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{CertificateFolder, Desired, Reload, desire},
        fixtures::volume,
        observe::{Bearer, BearerState, Removed},
        values::{Grants, Owner, Signal, Timestamp},
    };

    fn consumer<'d>(desired: &'d Desired, name: &str) -> &'d Consumer {
        let name = ContainerName::parse(name).expect("a name");
        &desired.consumers[&name]
    }

    /// The names that a server gets certificates for, with what these are called.
    fn uses(desired: &Desired, name: &str) -> Vec<String> {
        let uses = consumer(desired, name).uses.iter();
        uses.map(|(host, used)| format!("{host} {}", used.certificate))
            .collect()
    }

    /// The wanted certificates, with who answers challenges for each.
    fn wanted(desired: &Desired) -> Vec<String> {
        let list = |names: &[ContainerName]| {
            let names = names.iter().map(ToString::to_string);
            names.collect::<Vec<_>>().join("+")
        };
        let certificates = desired.certificates.iter();
        certificates
            .map(|(name, wanted)| {
                let names: Vec<_> = wanted.names.iter().map(Host::as_str).collect();
                let (served_by, used_by) = (list(&wanted.served_by), list(&wanted.used_by));
                format!(
                    "{name}: {} served by {served_by}, used by {used_by}",
                    names.join(" ")
                )
            })
            .collect()
    }

    #[test]
    fn a_name_that_nobody_serves_is_obtained_for_who_uses_it_and_answered_by_the_proxies() {
        let desired = desired([proxy(), broker()]);
        assert_eq!(complaints(&desired), [""; 0]);
        assert_eq!(
            wanted(&desired),
            ["mqtt.example: mqtt.example served by proxy, used by mqtt"]
        );
        let host = Host::parse("mqtt.example").expect("a host");
        let proxy = consumer(&desired, "proxy");
        assert_eq!(proxy.answers, [host.clone()].into());
        assert!(proxy.sites.is_empty() && proxy.uses.is_empty());
        let mqtt = consumer(&desired, "mqtt");
        assert_eq!(uses(&desired, "mqtt"), ["mqtt.example mqtt.example"]);
        assert!(mqtt.proxy.is_none() && mqtt.sites.is_empty());
        assert_eq!(mqtt.reload, Reload::Signal(Signal::HUP));
        let user = 1883;
        let owner = Owner {
            user,
            group: Some(user),
        };
        assert_eq!(mqtt.owner, Some(owner));
        let at: Vec<_> = mqtt
            .probes
            .at
            .iter()
            .map(|probe| probe.at.to_string())
            .collect();
        assert_eq!(at, ["10.0.0.5:8883", "10.0.0.5:8083"]);
        let CertificateFolder::Delivered(delivery) = &mqtt.certificates else {
            panic!("it gets copies")
        };
        assert_eq!(
            delivery.to.ours().map(ToString::to_string).as_deref(),
            Some("/state")
        );
        assert_eq!(delivery.layout.to_string(), "flat");
    }

    #[test]
    fn a_name_that_is_served_and_used_is_one_certificate() {
        let shop = container("shop", 4).label("host", "mqtt.example");
        let both = desired([proxy(), shop, broker()]);
        assert_eq!(
            wanted(&both),
            ["mqtt.example: mqtt.example served by proxy, used by mqtt"]
        );
        let plain = container("shop", 4)
            .label("host", "mqtt.example")
            .label("tls", "off");
        let both = desired([proxy(), plain, broker()]);
        assert_eq!(wanted(&both).len(), 1);
        let sites = consumer(&both, "proxy").sites.values();
        assert!(sites.into_iter().all(|site| site.certificate.is_none()));
    }

    #[test]
    fn a_word_names_the_certificate_of_all_that_a_server_uses() {
        let broker = broker()
            .label("use", "mqtt.example, b.example")
            .label("names", "c.example")
            .label("certificate", "aiotes")
            .label("key-type", "rsa-2048");
        let desired = desired([proxy(), broker]);
        assert_eq!(
            wanted(&desired),
            ["aiotes: b.example c.example mqtt.example served by proxy, used by mqtt"]
        );
        assert_eq!(
            uses(&desired, "mqtt"),
            ["b.example aiotes", "mqtt.example aiotes"]
        );
        let found = desired.certificates.values().next().expect("it is wanted");
        assert_eq!(found.issuance.key_type.to_string(), "rsa-2048");
    }

    #[test]
    fn only_the_proxies_that_its_label_names_answer_for_it() {
        let other = container("other", 8).label("kind", "nginx").mount(volume(
            "other",
            "/etc/nginx/conf.d",
            false,
        ));
        let answering = |broker: Bearer| {
            let mut snapshot = snapshot([proxy(), other.clone(), broker]);
            let own = own().mount(volume("other", "/other", true));
            snapshot.own = Some(own);
            wanted(&desire(&snapshot, &rules()))
        };
        let served_by = |names: &str| {
            [format!(
                "mqtt.example: mqtt.example served by {names}, used by mqtt"
            )]
        };
        assert_eq!(answering(broker()), served_by("other+proxy"));
        assert_eq!(
            answering(broker().label("via", "other")),
            served_by("other")
        );
    }

    #[test]
    fn a_star_is_all_of_the_own_project_and_orders_nothing_more() {
        let app = |name: &str, number, project: &str| {
            container(name, number)
                .label("host", &format!("{name}.example"))
                .project_is(project)
        };
        let broker = broker().label("use", "*").project_is("p");
        let mut snapshot = snapshot([
            proxy().project_is("p"),
            broker,
            app("a", 6, "p"),
            app("b", 7, "p"),
            app("c", 8, "q"),
        ]);
        snapshot.own = Some(own().project_is("p"));
        let desired = desire(&snapshot, &rules());
        assert_eq!(
            uses(&desired, "mqtt"),
            ["a.example a.example", "b.example b.example"]
        );
        assert_eq!(desired.certificates.len(), 3);
    }

    #[test]
    fn a_server_that_is_stopped_keeps_what_it_uses_and_one_that_is_removed_does_not() {
        let mut stopped = broker();
        stopped.state = BearerState::Other("exited".to_owned());
        let desired_of = |broker: Bearer| desired([proxy(), broker]);
        let kept = desired_of(stopped.clone());
        assert_eq!(uses(&kept, "mqtt"), ["mqtt.example mqtt.example"]);
        assert_eq!(kept.certificates.len(), 1);
        let removed = Removed::of(&stopped, Timestamp::from_seconds(3000)).bearer();
        let gone = desired_of(removed);
        assert_eq!((gone.consumers.len(), gone.certificates.len()), (1, 0));
    }

    #[test]
    fn keys_go_to_the_own_project_unless_they_are_granted() {
        let broker = || broker().project_is("mail");
        let of = |grants: Option<&str>| {
            let mut snapshot = snapshot([
                proxy().project_is("edge"),
                container("shop", 4)
                    .label("host", "mqtt.example")
                    .project_is("edge"),
                broker(),
            ]);
            snapshot.own = Some(own().project_is("edge"));
            let grants = grants.map(|table| Grants::parse(table).expect("a table"));
            desire(&snapshot, &LabelRules { grants, ..rules() })
        };
        let alone = of(None);
        assert_eq!(alone.consumers.len(), 1);
        let told = complaints(&alone);
        assert!(
            told.iter().any(|told| told.contains("quaymaster.use")),
            "{told:?}"
        );
        // Nor is anything obtained that nobody may have.
        let mut snapshot = snapshot([proxy().project_is("edge"), broker()]);
        snapshot.own = Some(own().project_is("edge"));
        assert_eq!(desire(&snapshot, &rules()).certificates.len(), 0);
        let table = "edge = \"proxy mqtt.example\"\nmail = \"keys mqtt.example\"";
        let granted = of(Some(table));
        assert_eq!(uses(&granted, "mqtt"), ["mqtt.example mqtt.example"]);
        assert_eq!(complaints(&granted), [""; 0]);
        // However old it is, it does not take the name from who serves it.
        let mut served = super::super::tests::snapshot([
            proxy().project_is("edge"),
            container("shop", 9)
                .label("host", "mqtt.example")
                .project_is("edge"),
            broker(),
        ]);
        served.own = Some(own().project_is("edge"));
        let grants = Some(Grants::parse(table).expect("a table"));
        let older = desire(&served, &LabelRules { grants, ..rules() });
        assert_eq!(complaints(&older), [""; 0]);
        assert_eq!(hosts(&older), ["mqtt.example"]);
        assert_eq!(uses(&older, "mqtt"), ["mqtt.example mqtt.example"]);
        let without_keys = of(Some(
            "edge = \"proxy mqtt.example\"\nmail = \"mqtt.example\"",
        ));
        assert_eq!(without_keys.consumers.len(), 1);
        let without_name = of(Some("edge = \"proxy mqtt.example\"\nmail = \"keys\""));
        assert!(uses(&without_name, "mqtt").is_empty());
        assert_eq!(complaints(&without_name).len(), 1);
    }

    #[test]
    fn what_a_server_lacks_is_told_with_what_to_write() {
        let told = |broker: Bearer, expected: &str| {
            let told = complaints(&desired([proxy(), broker]));
            assert!(
                told.len() == 1 && told[0].contains(expected),
                "{expected}: {told:?}"
            );
        };
        let bare = container("mqtt", 5);
        told(
            bare.clone().label("kind", "mosquitto"),
            "write the names into its label quaymaster.use",
        );
        told(
            bare.clone().label("use", "mqtt.example"),
            "write the folder into the label quaymaster.files, such as quaymaster.files=/certs",
        );
        told(
            bare.clone()
                .label("use", "mqtt.example")
                .label("kind", "mosquitto"),
            "its folder /mosquitto/certs is on no volume",
        );
        told(
            broker().label("layout", "fullchain=a.crt"),
            "it has no privkey, without which no server can use a certificate",
        );
        told(broker().label("mode", "0644"), "others could read the key");
        told(broker().label("probe", "mqtts"), "is not a port");
        told(broker().label("use", "mqtt.example, b_ad"), "is not a host");
        told(
            proxy().label("layout", "flat"),
            "the configuration of nginx names certbot's files",
        );
        let alone = complaints(&desired([broker()]));
        assert!(
            alone.len() == 1
                && alone[0].contains("start a proxy with the label quaymaster.kind=nginx"),
            "{alone:?}"
        );
    }

    #[test]
    fn a_port_that_no_reload_renews_comes_last_unless_its_server_is_restarted() {
        let ports = |broker: Bearer, grants: Option<&str>| {
            let mut snapshot = snapshot([proxy().project_is("p"), broker.project_is("p")]);
            snapshot.own = Some(own().project_is("p"));
            let grants = grants.map(|table| Grants::parse(table).expect("a table"));
            let desired = desire(&snapshot, &LabelRules { grants, ..rules() });
            let at = consumer(&desired, "mqtt").probes.at.iter();
            at.map(|probe| (probe.port.port, probe.is_read_at_start))
                .collect::<Vec<_>>()
        };
        assert_eq!(ports(broker(), None), [(8883, false), (8083, true)]);
        let said = broker().label("probe", "8083 8884");
        assert_eq!(ports(said, None), [(8884, false), (8083, true)]);
        let restarted = broker().label("reload", "restart");
        let granted = Some("p = \"proxy keys restart *\"");
        assert_eq!(
            ports(restarted.clone(), granted),
            [(8883, false), (8083, false)]
        );
        assert_eq!(ports(restarted, None), [(8883, false), (8083, true)]);
    }

    #[test]
    fn a_restart_of_a_kind_needs_its_right() {
        let mut gateway = container("gateway", 5)
            .label("kind", "express-gateway")
            .label("use", "api.example")
            .project_is("p");
        gateway.mounts = vec![volume("state", "/var/lib/certs", false)];
        let of = |grants: Option<&str>| {
            let mut snapshot = snapshot([proxy().project_is("p"), gateway.clone()]);
            snapshot.own = Some(own().project_is("p"));
            let grants = grants.map(|table| Grants::parse(table).expect("a table"));
            desire(&snapshot, &LabelRules { grants, ..rules() })
        };
        let ungranted = of(None);
        assert!(matches!(
            consumer(&ungranted, "gateway").reload,
            Reload::Swallowed { .. }
        ));
        let told = complaints(&ungranted);
        assert!(
            told.len() == 1 && told[0].contains("the right restart needs a grant"),
            "{told:?}"
        );
        let granted = of(Some("p = \"proxy keys restart api.example\""));
        assert_eq!(consumer(&granted, "gateway").reload, Reload::Restart);
        assert_eq!(complaints(&granted), [""; 0]);
    }

    #[test]
    fn a_default_configuration_goes_where_the_label_says_and_only_for_kinds_that_have_one() {
        let conf = |bearer: Bearer, theirs: &str| bearer.label("config", theirs);
        let snapshot_of = |bearer: Bearer| desire(&snapshot([proxy(), bearer]), &rules());
        let inner = "/mosquitto/certs/conf";
        let desired = snapshot_of(conf(broker(), inner));
        assert_eq!(complaints(&desired), [""; 0]);
        let mqtt = consumer(&desired, "mqtt");
        let config = mqtt.default_config.as_ref().expect("it has one");
        assert_eq!(config.folder.theirs, std::path::Path::new(inner));
        assert_eq!(
            config.folder.ours.as_path(),
            std::path::Path::new("/state/conf")
        );
        assert!(
            consumer(&snapshot_of(broker()), "mqtt")
                .default_config
                .is_none()
        );
        let nowhere = snapshot_of(conf(broker(), "/elsewhere"));
        let told = complaints(&nowhere);
        assert!(
            told.len() == 1
                && told[0].starts_with("container mqtt, label quaymaster.config=\"/elsewhere\"")
                && told[0].contains("is on no volume"),
            "{told:?}"
        );
        assert!(consumer(&nowhere, "mqtt").default_config.is_none());
        let postfix = conf(
            broker()
                .label("kind", "postfix")
                .label("files", "/mosquitto/certs"),
            inner,
        );
        let desired = snapshot_of(postfix);
        let told = complaints(&desired);
        assert!(
            told.len() == 1
                && told[0].contains(
                    "quaymaster writes no configuration for postfix; leave the label out"
                ),
            "{told:?}"
        );
        assert!(consumer(&desired, "mqtt").default_config.is_none());
    }

    #[test]
    fn two_brokers_do_not_share_a_folder_of_configuration() {
        let other = Bearer {
            created: broker().created,
            ..container("other", 9)
                .label("kind", "mosquitto")
                .label("use", "other.example")
                .label("files", "/certs/other")
                .label("config", "/certs/conf")
                .mount(volume("state", "/certs", false))
        };
        let first = broker().label("config", "/mosquitto/certs/conf");
        let desired = desire(&snapshot([proxy(), first, other]), &rules());
        // Both get their certificates, and the older one its configuration.
        let has_default = |name| consumer(&desired, name).default_config.is_some();
        assert!(has_default("mqtt") && !has_default("other"));
        let told = complaints(&desired);
        assert!(
            told.iter()
                .any(|told| told.contains("what lies in that folder is container mqtt's")),
            "{told:?}"
        );
    }
}
