//! How long decisions take at 10,000 sites, from what the engine says to a plan. Nothing here touches a file or a socket.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on ends")]

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use litemap::LiteMap;
use quaymaster::{
    desire::{self, Desired, Reading, desire},
    observe::{
        Container, ContainerState, Health, HeldCertificate, Installed, Mount, MountKind, Network, Observed, Snapshot,
    },
    plan::{self, Action, Memory, foresee, plan},
    render::Templates,
    values::{ChallengeType, ContainerId, ContainerName, Issuer, KeyType, Timestamp},
};

const SITES: u32 = 10_000;
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn label_rules() -> desire::Rules {
    desire::Rules {
        label_prefix: "quaymaster".into(),
        certificates: "/state/certificates".into(),
        webroot: None,
        trusted_proxies: Vec::new(),
        grants: None,
        issuer: Some(Issuer::SelfSigned),
        challenge: ChallengeType::Http01,
        key_type: KeyType::Ec256,
        profile: None,
    }
}

fn plan_rules() -> plan::Rules {
    let resync = Duration::from_secs(3600);
    plan::Rules { mark_host: "quaymaster-0123456789abcdef".into(), resync, label_prefix: "quaymaster".into() }
}

fn container(name: String, number: u32, label: (&str, String)) -> Container {
    let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
    let network = Network { name: "web".into(), id: "net-1".into(), address: Some(address), gateway: None };
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
        command: Vec::new(),
        init: false,
        mounts: Vec::new(),
    }
}

/// A proxy and an app for each site.
fn snapshot() -> Snapshot {
    let mut proxy = container("proxy".to_owned(), 1, ("kind", "nginx".to_owned()));
    let kind = MountKind::Bind { source: "/edge".into() };
    proxy.mounts.push(Mount { kind, destination: "/etc/nginx/conf.d".into(), writable: true });
    let apps = (2..SITES + 2)
        .map(|number| container(format!("app{number}"), number, ("host", format!("app{number}.example"))));
    let containers = apps.chain([proxy]).map(|container| (container.name.clone(), container.into())).collect();
    Snapshot { containers, ..Snapshot::default() }
}

fn fresh(desired: &Desired) -> Observed {
    let installed = desired.consumers.keys().map(|name| (name.clone(), Installed::default().into())).collect();
    Observed { installed, ..Observed::default() }
}

/// Everything obtained, deployed and proven.
fn settled(desired: &Desired, templates: &Templates) -> Observed {
    const TURNS: usize = 10;
    let next = |observed: &Observed| foresee(observed, &plan(desired, observed, templates, &plan_rules(), NOW), NOW);
    let mut observed = next(&fresh(desired));
    // Orders run some at a time: the others get a certificate like the first one.
    let first = next(&observed).held.values().next().unwrap().clone();
    for (name, wanted) in &desired.certificates {
        let names = wanted.names.iter().map(ToString::to_string).collect();
        observed.hold(name.clone(), HeldCertificate { names, ..HeldCertificate::clone(&first) });
    }
    for _ in 0..TURNS {
        observed = next(&observed);
    }
    assert!(plan(desired, &observed, templates, &plan_rules(), NOW).actions.is_empty());
    observed
}

/// The number of files that a plan writes.
fn written(memory: &mut Memory, desired: &Desired, observed: &Observed, templates: &Templates) -> usize {
    let plan = memory.plan(desired, observed, templates, &plan_rules(), NOW);
    let deploys = plan.actions.iter().filter_map(|action| match action {
        Action::Deploy(deploy) => Some(deploy.write.len()),
        Action::TakeBack(_) | Action::Obtain(_) => None,
    });
    deploys.sum()
}

fn decisions(criterion: &mut Criterion) {
    let (snapshot, rules) = (snapshot(), label_rules());
    let desired = desire(&snapshot, &rules);
    let templates = Templates::built_in().unwrap();
    let observed = settled(&desired, &templates);

    let mut group = criterion.benchmark_group("10,000 sites");
    group.sample_size(10);
    group.bench_function("cold", |bench| {
        bench.iter_batched(
            || Templates::built_in().unwrap(),
            |templates| {
                let desired = desire(&snapshot, &rules);
                let fresh = fresh(&desired);
                assert!(written(&mut Memory::default(), &desired, &fresh, &templates) >= SITES as usize);
            },
            BatchSize::PerIteration,
        );
    });
    // Each time the health of one container is another: its site is written, and the mark, or nothing is, because it is
    // as what lies there.
    let (mut reading, mut memory, mut changing) = (Reading::default(), Memory::default(), snapshot.clone());
    assert_eq!(written(&mut memory, &reading.desire(&snapshot, &rules), &observed, &templates), 0);
    let mut healths = [(Health::Unhealthy, 2), (Health::Healthy, 0)].into_iter().cycle();
    let name = ContainerName::parse("app77").unwrap();
    group.bench_function("one changed", |bench| {
        bench.iter(|| {
            let (health, expected) = healths.next().unwrap();
            Rc::make_mut(changing.containers.get_mut(&name).unwrap()).health = Some(health);
            let desired = reading.desire(black_box(&changing), &rules);
            assert_eq!(written(&mut memory, &desired, &observed, &templates), expected);
        });
    });
    // After a look at all certificates, which are as they were.
    group.bench_function("none due", |bench| {
        let looked_at = |observed: &Observed| {
            let again = observed.held.iter().map(|(name, held)| (name.clone(), Rc::new(HeldCertificate::clone(held))));
            Observed { held: Rc::new(again.collect()), ..observed.clone() }
        };
        bench.iter_batched(
            || looked_at(&observed),
            |observed| assert_eq!(written(&mut memory, black_box(&desired), &observed, &templates), 0),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
