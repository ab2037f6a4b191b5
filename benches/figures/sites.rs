//! 10,000 sites behind one proxy, and what is settled about them. Nothing here touches a file or a socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use litemap::LiteMap;
use quaymaster::{
    desire::{self, Desired},
    observe::{
        Container, ContainerState, Installed, Mount, MountKind, Network, Observed, RestartPolicy,
        Snapshot,
    },
    plan::{self, Action, Planner, foresee, plan},
    render::Templates,
    values::{CaTable, ChallengeType, ContainerId, ContainerName, Issuer, KeyType, Timestamp},
};

pub const SITES: u32 = 10_000;
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub fn label_rules(issuer: Issuer) -> desire::LabelRules {
    desire::LabelRules {
        label_prefix: "quaymaster".into(),
        certificates: "/state/certificates".into(),
        webroot: None,
        trusted_proxies: Vec::new(),
        grants: None,
        cas: CaTable::default(),
        issuer: Some(issuer),
        challenge: ChallengeType::Http01,
        key_type: KeyType::Ec256,
        profile: None,
    }
}

fn plan_rules() -> plan::PlanRules {
    let resync = Duration::from_secs(3600);
    plan::PlanRules {
        mark_host: "quaymaster-0123456789abcdef".into(),
        resync,
        label_prefix: "quaymaster".into(),
        circumstances: quaymaster::values::Digest::of(""),
    }
}

fn container(name: String, number: u32, label: (&str, String)) -> Container {
    let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    let network = Network {
        name: "web".into(),
        id: "net-1".into(),
        address: Some(address),
        gateway: None,
    };
    Container {
        id: ContainerId::parse(format!("id{number}")).unwrap(),
        name: ContainerName::parse(&name).unwrap(),
        labels: LiteMap::from_iter([(format!("quaymaster.{}", label.0), label.1)]),
        state: ContainerState::Running,
        health: None,
        created: Some(Timestamp::from_seconds(i64::from(number))),
        started_at: Some(Timestamp::from_seconds(i64::from(number))),
        networks: [network].into(),
        exposed: BTreeSet::from([8080]),
        published: BTreeMap::new(),
        bound: BTreeMap::new(),
        user: String::new(),
        command: Vec::new(),
        init: false,
        ended_at: None,
        image: None,
        restart_policy: RestartPolicy::No,
        restarts: 0,
        stop_signal: None,
        pid: None,
        has_host_pids: false,
        has_own_shm: true,
        way: None,
        waits: None,
        joins: None,
        mounts: Vec::new(),
    }
}

/// A proxy and an app for each site.
pub fn snapshot() -> Snapshot {
    let mut proxy = container("proxy".to_owned(), 1, ("kind", "nginx".to_owned()));
    let kind = MountKind::Bind {
        source: "/edge".into(),
    };
    proxy.mounts.push(Mount {
        kind,
        destination: "/etc/nginx/conf.d".into(),
        writable: true,
    });
    let apps = (2..SITES + 2).map(|number| {
        container(
            format!("app{number}"),
            number,
            ("host", format!("app{number}.example")),
        )
    });
    let containers = apps
        .chain([proxy])
        .map(|container| (container.name.clone(), container.into()))
        .collect();
    Snapshot {
        containers,
        ..Snapshot::default()
    }
}

/// Nothing obtained or deployed yet.
pub fn fresh(desired: &Desired) -> Observed {
    let installed = desired
        .consumers
        .keys()
        .map(|name| (name.clone(), Installed::default().into()))
        .collect();
    Observed {
        installed,
        ..Observed::default()
    }
}

/// What is there when all that is planned now was done.
pub fn next(desired: &Desired, observed: &Observed, templates: &Templates) -> Observed {
    foresee(
        observed,
        &plan(desired, observed, templates, &plan_rules(), NOW),
        NOW,
    )
}

/// Everything deployed and proven.
pub fn settled(desired: &Desired, mut observed: Observed, templates: &Templates) -> Observed {
    const TURNS: usize = 10;
    for _ in 0..TURNS {
        observed = next(desired, &observed, templates);
    }
    assert!(
        plan(desired, &observed, templates, &plan_rules(), NOW)
            .actions
            .is_empty()
    );
    observed
}

/// The number of files that a plan writes.
pub fn written(
    memory: &mut Planner,
    desired: &Desired,
    observed: &Observed,
    templates: &Templates,
) -> usize {
    let plan = memory.plan(desired, observed, templates, &plan_rules(), NOW);
    let deploys = plan.actions.iter().filter_map(|action| match action {
        Action::Deploy(deploy) => Some(deploy.write.len()),
        Action::TakeBack(_) | Action::Obtain(_) => None,
    });
    deploys.sum()
}
