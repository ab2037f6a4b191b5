//! 10,000 sites behind one proxy, and what is settled about them. Nothing here touches a file or a socket.

use std::net::IpAddr;

use litemap::LiteMap;
use quaymaster::{
    desire::{self, Desired},
    observe::{Bearer, Endpoint, Installed, Mount, MountKind, Observed, Snapshot},
    plan::{Action, Planner, foresee, plan},
    render::Templates,
    values::{ContainerId, Issuer, Timestamp},
};

use crate::fixtures::{self, network, plan_rules};

pub const SITES: u32 = 10_000;
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub fn label_rules(issuer: Issuer) -> desire::LabelRules {
    desire::LabelRules {
        issuers: Some(issuer.into()),
        ..fixtures::label_rules()
    }
}

fn container(name: String, number: u32, label: (&str, String)) -> Bearer {
    let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    let network = Endpoint {
        address: Some(address),
        ..network("web", 0)
    };
    Bearer {
        id: ContainerId::parse(format!("id{number}")).unwrap(),
        labels: LiteMap::from_iter([(format!("quaymaster.{}", label.0), label.1)]),
        created: Some(Timestamp::from_seconds(i64::from(number))),
        started_at: Some(Timestamp::from_seconds(i64::from(number))),
        endpoints: [network].into(),
        ..fixtures::container(&name, 0)
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
    let bearers = apps
        .chain([proxy])
        .map(|container| (container.name.clone(), container.into()))
        .collect();
    Snapshot {
        bearers,
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

/// The facts once the whole plan of now was carried out.
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
        Action::TakeBack(_) | Action::Obtain(_) | Action::FallBack(_) => None,
    });
    deploys.sum()
}
