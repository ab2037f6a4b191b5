//! Benchmarks of decisions at 10,000 sites, from the engine's answer to a plan. Nothing here touches a file or a
//! socket.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on ends")]

#[path = "../src/fixtures.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod fixtures;
#[path = "figures/sites.rs"]
mod sites;

use std::{hint::black_box, rc::Rc};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use quaymaster::{
    desire::{Desired, Reading, desire},
    observe::{Health, HeldCertificate, Observed},
    plan::{InForce, Planner, served},
    render::Templates,
    values::{ContainerName, Issuer},
};

use crate::sites::{SITES, fresh, label_rules, next, snapshot, written};

/// Everything obtained, deployed and proven.
fn settled(desired: &Desired, templates: &Templates) -> Observed {
    let mut observed = next(desired, &fresh(desired), templates);
    // Orders run some at a time: the others get a certificate like the first one.
    let first = next(desired, &observed, templates)
        .held
        .values()
        .next()
        .unwrap()
        .clone();
    for (name, wanted) in &desired.certificates {
        let names = wanted.names.iter().map(ToString::to_string).collect();
        observed.hold(
            name.clone(),
            HeldCertificate {
                names,
                ..HeldCertificate::clone(&first)
            },
        );
    }
    sites::settled(desired, observed, templates)
}

fn decisions(criterion: &mut Criterion) {
    let (snapshot, rules) = (snapshot(), label_rules(Issuer::SelfSigned));
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
                assert!(
                    written(&mut Planner::default(), &desired, &fresh, &templates)
                        >= SITES as usize
                );
            },
            BatchSize::PerIteration,
        );
    });
    // Each time the health of one container is another: its site is written, and the mark, or nothing is, because it is
    // as what lies there.
    let (mut reading, mut memory, mut changing) =
        (Reading::default(), Planner::default(), snapshot.clone());
    assert_eq!(
        written(
            &mut memory,
            &reading.desire(&snapshot, &rules),
            &observed,
            &templates
        ),
        0
    );
    let mut healths = [(Health::Unhealthy, 2), (Health::Healthy, 0)]
        .into_iter()
        .cycle();
    let name = ContainerName::parse("app77").unwrap();
    group.bench_function("one changed", |bench| {
        bench.iter(|| {
            let (health, expected) = healths.next().unwrap();
            Rc::make_mut(changing.bearers.get_mut(&name).unwrap()).health = Some(health);
            let desired = reading.desire(black_box(&changing), &rules);
            assert_eq!(
                written(&mut memory, &desired, &observed, &templates),
                expected
            );
        });
    });
    // After a look at all certificates, which are as they were.
    group.bench_function("none due", |bench| {
        let looked_at = |observed: &Observed| {
            let again = observed
                .held
                .iter()
                .map(|(name, held)| (name.clone(), Rc::new(HeldCertificate::clone(held))));
            Observed {
                held: Rc::new(again.collect()),
                ..observed.clone()
            }
        };
        bench.iter_batched(
            || looked_at(&observed),
            |observed| {
                assert_eq!(
                    written(&mut memory, black_box(&desired), &observed, &templates),
                    0
                )
            },
            BatchSize::PerIteration,
        );
    });
    // Each of the names among as many certificates, the index of their names included: at most 10 µs a name.
    let in_force = InForce::of(&desired, &observed, sites::NOW);
    group.bench_function("which one serves, for all names", |bench| {
        bench.iter(|| {
            let served = served(black_box(&desired), &in_force, sites::NOW);
            assert_eq!(served.in_use.len(), SITES as usize);
        });
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
