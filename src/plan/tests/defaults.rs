//! Configurations that servers start with, as long as their users have written none.

use super::*;
use crate::{
    desire::tests::broker,
    fixtures::held,
    observe::{InstalledFile, PartName},
};

const WRITE: &str = "write mosquitto.conf --into /state/conf";

fn configured() -> Bearer {
    broker().label("config", "/mosquitto/certs/conf")
}

fn mqtt() -> ContainerName {
    ContainerName::parse("mqtt").expect("a name")
}

fn conf() -> FileName {
    FileName::parse("mosquitto.conf").expect("a name")
}

fn of_mqtt(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut told = told(desired, observed, START);
    told.retain(|step| step.contains("mqtt") || step.contains("/state"));
    told
}

/// The text written for the broker, with these files of the user's beside it.
fn written(desired: &Desired, observed: &Observed) -> Option<String> {
    let plan = planned(desired, observed, START);
    plan.actions.iter().find_map(|action| match action {
        Action::Deploy(deploy) => deploy.write.get(&conf()).cloned(),
        _ => None,
    })
}

fn installed(observed: &mut Observed) -> &mut Installed {
    Rc::make_mut(
        observed
            .installed
            .get_mut(&mqtt())
            .expect("it was looked at"),
    )
}

#[test]
fn a_broker_gets_a_default_configuration_and_its_certificate_and_then_rests() {
    let desired = desired([proxy(), configured()]);
    let mut observed = fresh(&desired);
    let steps = of_mqtt(&desired, &observed);
    assert!(steps.contains(&WRITE.to_owned()), "{steps:?}");
    observed = settled(&desired, observed, START);
    assert!(observed.installed[&mqtt()].files.contains_key(&conf()));
    assert_eq!(of_mqtt(&desired, &observed), [""; 0]);
    let plan = planned(&desired, &observed, START);
    assert_eq!(plan.complaints, BTreeSet::new());
}

#[test]
fn without_the_label_nothing_is_written() {
    let desired = desired([proxy(), broker()]);
    let mut observed = fresh(&desired);
    for _ in 0..8 {
        assert_eq!(written(&desired, &observed), None);
        observed = foresee(&observed, &planned(&desired, &observed, START), START);
    }
}

#[test]
fn it_lets_nobody_in_without_a_password_and_names_the_files_of_the_user_s_that_are_there() {
    let desired = desired([proxy(), configured()]);
    let mut observed = fresh(&desired);
    let bare = written(&desired, &observed).expect("it is written");
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let tls = [
        "certfile /mosquitto/certs/fullchain.pem",
        "keyfile /mosquitto/certs/privkey.pem",
    ];
    let listeners = [
        &["log_dest stdout", "listener 1883", "listener 8883"][..],
        &tls,
        &["listener 8083", "protocol websockets"],
        &tls,
    ]
    .concat();
    assert_eq!(
        lines(&bare),
        [&["allow_anonymous false"][..], &listeners].concat()
    );
    assert!(bare.contains("nobody gets in at all"), "{bare}");
    assert!(InstalledFile::read_sealed(bare.as_bytes()).is_some());

    observed = settled(&desired, observed, START);
    let both = ["passwd", "acl"].map(|name| FileName::parse(name).expect("a name"));
    installed(&mut observed).beside = both.into();
    let steps = of_mqtt(&desired, &observed);
    assert_eq!(steps, [WRITE, "signal mqtt HUP", "prove mqtt"]);
    let full = written(&desired, &observed).expect("it is written");
    let named = [
        "allow_anonymous false",
        "password_file /mosquitto/certs/conf/passwd",
        "acl_file /mosquitto/certs/conf/acl",
    ];
    assert_eq!(lines(&full), [&named[..], &listeners].concat());
    observed = settled(&desired, observed, START);
    // Without them mosquitto would not start.
    installed(&mut observed).beside.clear();
    assert_eq!(written(&desired, &observed), Some(bare));
}

#[test]
fn one_of_the_user_s_is_left_alone_and_nobody_complains() {
    let desired = desired([proxy(), configured()]);
    let mut observed = fresh(&desired);
    installed(&mut observed).foreign = [conf()].into();
    for _ in 0..8 {
        let plan = planned(&desired, &observed, START);
        assert_eq!(written(&desired, &observed), None);
        assert_eq!(plan.complaints, BTreeSet::new());
        observed = foresee(&observed, &plan, START);
    }
    assert_eq!(observed.installed[&mqtt()].certificates.len(), 1);
}

#[test]
fn it_stays_while_its_labels_name_no_certificate() {
    let with = desired([proxy(), configured()]);
    let observed = settled(&with, fresh(&with), START);
    let mut without = with.clone();
    for consumer in without.consumers.values_mut() {
        Rc::make_mut(consumer).uses = KeyedTable::default();
    }
    let plan = planned(&without, &observed, START);
    let removed = plan.actions.iter().any(|action| match action {
        Action::Deploy(deploy) => deploy.remove.contains(&conf()),
        _ => false,
    });
    assert!(!removed, "{plan:?}");
}

#[test]
fn a_renewal_and_a_default_that_came_together_and_were_refused_are_told_apart() {
    let desired = desired([proxy(), configured()]);
    let mut observed = settled(&desired, fresh(&desired), START);
    let name = CertificateName::parse("mqtt.example").expect("a name");
    let renewed = crate::observe::HeldCertificate {
        serial: "02".to_owned(),
        digest: Digest::of("renewed"),
        ..held(&["mqtt.example"])
    };
    observed.hold(name.clone(), renewed);
    installed(&mut observed).beside = [FileName::parse("acl").expect("a name")].into();
    let plan = planned(&desired, &observed, START);
    let deploy = plan.actions.iter().find_map(|action| match action {
        Action::Deploy(deploy) if deploy.consumer.name == mqtt() => Some(deploy),
        _ => None,
    });
    let trying = &deploy.expect("it is brought up to date").after.trying;
    let parts: Vec<_> = trying.keys().cloned().collect();
    assert_eq!(parts, [PartName::Certificate(name), PartName::File(conf())]);
}
