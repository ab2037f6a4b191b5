//! Central values, whole, as tests begin with them: each test changes what it is about, so that a new field of such a
//! value needs one edit. Tests and benchmarks outside of the library include this file, which is why it names the library
//! as they do.

use std::{collections::BTreeSet, path::Path, time::Duration};

use quaymaster::{
    desire::{Dialects, Issuance, LabelRules},
    observe::{Bearer, Endpoint, HeldCertificate, Mount, MountKind, Shelf, Source},
    plan::{PlanRules, SelfCheckRule},
    values::{
        CaTable, ChallengeType, ContainerId, ContainerName, Digest, DnsNames, FallbackRule, Issuer,
        KeyType, Timestamp,
    },
};

/// A container that runs, bears no label, and is on the network `web` with a number as its address; the higher the number,
/// the younger it is.
pub fn container(name: &str, number: u8) -> Bearer {
    let id = ContainerId::parse(format!("id{number}")).expect("an id");
    let name = ContainerName::parse(name).expect("a name");
    Bearer {
        created: Some(Timestamp::from_seconds(1000 + i64::from(number))),
        started_at: Some(Timestamp::from_seconds(2000)),
        endpoints: [network("web", number)].into(),
        exposed: [8080].into(),
        ..Bearer::plain(id, name)
    }
}

/// A container's place on a network, with a number as its address.
pub fn network(name: &str, number: u8) -> Endpoint {
    Endpoint {
        network: name.to_owned(),
        network_id: format!("net-{name}"),
        address: Some([10, 0, 0, number].into()),
        has_ipv6: false,
        gateway: None,
    }
}

/// A volume of the engine's own.
pub fn volume(name: &str, destination: &str, writable: bool) -> Mount {
    let volumes = Path::new("/var/lib/docker/volumes");
    Mount {
        kind: MountKind::Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            source: volumes.join(name).join("_data"),
            subpath: "".into(),
        },
        destination: destination.into(),
        writable,
    }
}

/// A certificate that covers these names for some years, put there by the user in certbot's way.
pub fn held(names: &[&str]) -> HeldCertificate {
    HeldCertificate {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        not_before: Timestamp::from_seconds(1_700_000_000),
        not_after: Timestamp::from_seconds(1_900_000_000),
        issuer: "Test".to_owned(),
        serial: "01".to_owned(),
        key_type: Some(KeyType::Ec256),
        profile: None,
        digest: Digest::of(names.join(" ")),
        source: Source::Provided,
        shelf: Shelf::Live,
        gives_way: false,
        irregular: None,
        lacks_issuer: false,
        is_rootless: false,
        chain_length: 2,
        renewal_id: None,
    }
}

/// The rules for labels of settings that say little: certificates come from a CA of the user's own.
pub fn label_rules() -> LabelRules {
    let usual = usual_issuance();
    LabelRules {
        dialects: Dialects::native("quaymaster"),
        certificates: "/state/certificates".into(),
        webroot: None,
        trusted_proxies: Vec::new(),
        grants: None,
        cas: CaTable::default(),
        issuers: Some(usual.issuer.into()),
        challenge: usual.challenge,
        dns: DnsNames::default(),
        key_type: usual.key_type,
        profile: usual.profile,
        master: None,
        default_certificate: None,
        strict_parents: false,
        names: BTreeSet::new(),
        answers_itself: false,
        email: None,
    }
}

/// The way to obtain certificates by these rules.
pub fn usual_issuance() -> Issuance {
    Issuance {
        issuer: Issuer::Ca("https://ca.example/directory".to_owned()),
        challenge: ChallengeType::Http01,
        dns: None,
        key_type: KeyType::Ec256,
        profile: None,
    }
}

/// The rules of plans, with a look every hour.
pub fn plan_rules() -> PlanRules {
    PlanRules {
        mark_host: "quaymaster-0123456789abcdef".to_owned(),
        resync: Duration::from_secs(3600),
        warn_before: None,
        archive_after: Duration::from_secs(30 * 24 * 3600),
        delete_after: Duration::from_secs(365 * 24 * 3600),
        fallback: FallbackRule::ByKind,
        key_type: usual_issuance().key_type,
        answers_itself: false,
        circumstances: Digest::of(""),
        cas: CaTable::default(),
        dns: DnsNames::default(),
        self_check: SelfCheckRule {
            is_on: true,
            is_resolver_named: false,
            is_by_thumbprint: false,
            is_by_listener: false,
        },
    }
}
