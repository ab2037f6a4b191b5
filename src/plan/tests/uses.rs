//! Servers that get certificates and no configuration.

use super::*;
use crate::{
    desire::{
        LabelRules,
        tests::{broker, container},
    },
    fixtures::{held, volume},
    observe::{HeldCertificate, Refused, Shelf, Source},
    plan::{SelfCheckRule, Tell, looked_at},
    values::{DnsNames, Grants, KeyedTable},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const OBTAIN: &str = "obtain mqtt.example --challenge http-01 --webroot /edge/challenge";
const DELIVER: &str = "deliver mqtt.example --into /state";

fn name(word: &str) -> CertificateName {
    CertificateName::parse(word).expect("a name")
}

fn mqtt() -> ContainerName {
    ContainerName::parse("mqtt").expect("a name")
}

/// The steps for the broker and its certificate alone.
fn told_of_mqtt(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<String> {
    let mut told = told(desired, observed, now);
    told.retain(|step| step.contains("mqtt") || step.contains("/state"));
    told
}

fn settled_broker() -> (Desired, Observed) {
    let desired = desired([proxy(), broker()]);
    let observed = settled(&desired, fresh(&desired), START);
    (desired, observed)
}

fn given(observed: &Observed) -> &KeyedTable<CertificateName, Digest> {
    &observed.installed[&mqtt()].certificates
}

#[test]
fn a_server_gets_its_certificate_once_the_proxies_answered_for_it() {
    let desired = desired([proxy(), broker()]);
    let mut observed = fresh(&desired);
    let mut all = Vec::new();
    for _ in 0..8 {
        all.extend(told_of_mqtt(&desired, &observed, START));
        observed = foresee(&observed, &planned(&desired, &observed, START), START);
    }
    let delivered = [DELIVER, "signal mqtt HUP", "prove mqtt"];
    let at_once = [&["self-sign mqtt.example"], &delivered[..]].concat();
    assert_eq!(all, [&at_once[..], &[OBTAIN], &delivered].concat());
    let digest = observed.held[&name("mqtt.example")].digest;
    assert_eq!(*given(&observed), [(name("mqtt.example"), digest)].into());
}

#[test]
fn what_goes_inside_a_container_is_planned_as_such() {
    let mut broker = broker().label("copy", "true");
    broker.mounts.clear();
    let containers = [proxy(), broker].map(|it| it.project_is("p"));
    let grants = Some(Grants::parse("p = \"* proxy keys copy\"").expect("a table"));
    let rules = LabelRules {
        grants,
        ..label_rules()
    };
    let desired = desire(&snapshot(containers), &rules);
    let mut observed = fresh(&desired);
    let mut all = Vec::new();
    for _ in 0..8 {
        all.extend(told(&desired, &observed, START));
        observed = foresee(&observed, &planned(&desired, &observed, START), START);
    }
    let steps = all.iter().filter(|step| step.contains("mqtt:/"));
    let steps: Vec<_> = steps.collect();
    // A self-signed one, and then the CA's.
    assert_eq!(steps, ["copy mqtt.example --into mqtt:/mosquitto/certs"; 2]);
}

#[test]
fn a_renewal_is_delivered_with_one_signal_and_its_serial_is_looked_for() {
    let (desired, observed) = settled_broker();
    assert_eq!(told(&desired, &observed, START), [""; 0]);
    let due = START + DAY * 61;
    let observed = foresee(&observed, &planned(&desired, &observed, due), due);
    let plan = planned(&desired, &observed, due);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.why, [Why::CertificateChanged].into());
    assert_eq!(deploy.tell, Tell::Signal(Signal::HUP));
    assert!(deploy.write.is_empty() && deploy.back.shown_by.is_none());
    assert!(deploy.returns_to_something());
    let serials: Vec<_> = deploy.proof.serials.iter().collect();
    let held = &observed.held[&name("mqtt.example")];
    assert_eq!(serials.len(), 1);
    assert_eq!(*serials[0].1, held.serial);
    let observed = foresee(&observed, &plan, due);
    assert_eq!(told(&desired, &observed, due), [""; 0]);
}

#[test]
fn what_is_given_first_is_not_taken_away_again() {
    let desired = desired([proxy(), broker()]);
    let mut observed = fresh(&desired);
    observed.hold(name("mqtt.example"), held(&["mqtt.example"]));
    let plan = planned(&desired, &observed, START);
    let of_mqtt = plan.actions.iter().find_map(|action| match action {
        Action::Deploy(deploy) if deploy.consumer.name == mqtt() => Some(deploy),
        _ => None,
    });
    let deploy = of_mqtt.expect("it is delivered");
    assert!(!deploy.returns_to_something());
}

#[test]
fn a_stopped_server_has_its_files_before_it_starts_and_they_stay() {
    let mut stopped = broker();
    stopped.state = BearerState::Other("exited".into());
    let desired = desired([proxy(), stopped]);
    let observed = settled(&desired, fresh(&desired), START);
    assert_eq!(given(&observed).len(), 1);
    assert_eq!(told(&desired, &observed, START), [""; 0]);
}

#[test]
fn a_server_that_dies_of_a_renewed_certificate_has_the_one_before_and_one_that_dies_of_its_first_keeps_that()
 {
    let (desired_now, observed) = settled_broker();
    let due = START + DAY * 61;
    let renewed = foresee(&observed, &planned(&desired_now, &observed, due), due);
    let dead = |observed: &Observed| {
        let mut dead = broker();
        dead.state = BearerState::Other("exited".into());
        dead.started_at = Some(due);
        let desired = desired([proxy(), dead]);
        let mut told_of_it = Vec::new();
        let mut observed = observed.clone();
        for _ in 0..3 {
            told_of_it.extend(told_of_mqtt(&desired, &observed, due));
            observed = foresee(&observed, &planned(&desired, &observed, due), due);
        }
        (told_of_it, observed)
    };
    let tried = planned(&desired_now, &renewed, due);
    let [Action::Deploy(deploy)] = tried.actions.as_slice() else {
        panic!("{tried:?}")
    };
    let mut after = renewed.clone();
    let installed = Installed {
        open: true,
        ..deploy.after.clone()
    };
    after.installed.insert(mqtt(), installed.into());
    assert_eq!(dead(&after).0, ["take-back mqtt"]);
    // What lies there then is looked at: nothing, where it was the first.
    let mut first = after.clone();
    let installed = Rc::make_mut(first.installed.get_mut(&mqtt()).expect("it is there"));
    installed.certificates = KeyedTable::default();
    let (told, observed) = dead(&first);
    assert_eq!(told, ["take-back mqtt", DELIVER]);
    assert_eq!(given(&observed).len(), 1);
}

#[test]
fn a_certificate_that_a_server_refuses_is_held_back_and_the_one_before_stays() {
    let (desired, mut observed) = settled_broker();
    let renewed = HeldCertificate {
        digest: Digest::of("renewed"),
        serial: "beef".to_owned(),
        source: observed.held[&name("mqtt.example")].source.clone(),
        ..held(&["mqtt.example"])
    };
    let refused = Refused {
        unit: renewed.digest,
        reason: "no".to_owned(),
        at: START,
    };
    let before = given(&observed).clone();
    observed.hold(name("mqtt.example"), renewed);
    let installed = observed.installed.get_mut(&mqtt()).expect("it is there");
    let part = PartName::Certificate(name("mqtt.example"));
    Rc::make_mut(installed).trial.refused.insert(part, refused);
    assert_eq!(told_of_mqtt(&desired, &observed, START), [""; 0]);
    assert_eq!(*given(&observed), before);
    let told = planned(&desired, &observed, START).complaints;
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|told| told.contains("container mqtt")),
        "{told:?}"
    );
}

#[test]
fn what_a_crash_left_unseen_of_a_renewal_can_still_be_taken_back_and_a_first_one_can_not() {
    let desired = desired([proxy(), broker()]);
    let of_mqtt = |observed: &Observed| {
        let plan = planned(&desired, observed, START);
        let mut actions = plan.actions.into_iter();
        actions.find_map(|action| match action {
            Action::Deploy(deploy) if deploy.consumer.name == mqtt() => Some(deploy),
            _ => None,
        })
    };
    // After the switch, and before anything was seen.
    let crashed = |observed: &mut Observed, deploy: &Deploy| {
        let text = serde_json::to_string(&deploy.after).expect("it can be written");
        let read: Installed = serde_json::from_str(&text).expect("it can be read");
        observed.installed.insert(mqtt(), read.into());
    };
    let mut observed = fresh(&desired);
    observed.hold(name("mqtt.example"), held(&["mqtt.example"]));
    let first = of_mqtt(&observed).expect("its first certificate");
    assert!(first.changes_folders() && !first.returns_to_something());
    crashed(&mut observed, &first);
    let owed = of_mqtt(&observed).expect("it is told of it");
    assert_eq!(owed.why, [Why::SignalOwed].into());
    assert!(!owed.returns_to_something());
    // A renewal on top of what was never seen has nothing below it.
    let renew = |observed: &mut Observed, word: &str| {
        let renewed = HeldCertificate {
            serial: word.to_owned(),
            digest: Digest::of(word),
            ..held(&["mqtt.example"])
        };
        observed.hold(name("mqtt.example"), renewed);
    };
    renew(&mut observed, "02");
    let second = of_mqtt(&observed).expect("a newer one");
    assert!(second.changes_folders() && !second.returns_to_something());

    let mut observed = settled(&desired, observed, START);
    renew(&mut observed, "03");
    let renewal = of_mqtt(&observed).expect("a renewal");
    assert!(renewal.changes_folders() && renewal.returns_to_something());
    crashed(&mut observed, &renewal);
    let owed = of_mqtt(&observed).expect("it is told of it");
    assert_eq!(
        (&owed.why, owed.changes_folders()),
        (&[Why::SignalOwed].into(), false)
    );
    assert!(owed.returns_to_something());
    assert_eq!(
        owed.proof.serials.values().next().map(String::as_str),
        Some("03")
    );
    // The same where it was started anew meanwhile.
    let mut started = desired.clone();
    for consumer in started.consumers.values_mut() {
        Rc::make_mut(consumer).started_at = Some(START);
    }
    let plan = planned(&started, &observed, START);
    let owed = plan.actions.iter().find_map(|action| match action {
        Action::Deploy(deploy) if deploy.consumer.name == mqtt() => Some(deploy),
        _ => None,
    });
    let owed = owed.expect("its proof is owed");
    assert_eq!(owed.why, [Why::ProofOwed].into());
    assert!(owed.returns_to_something());
    // Once it is seen, that is over.
    let observed = settled(&desired, observed, START);
    assert!(!observed.installed[&mqtt()].has_earlier);
}

#[test]
fn one_of_the_user_s_own_comes_under_the_name_that_is_wanted() {
    let (desired, mut observed) = settled_broker();
    let theirs = HeldCertificate {
        digest: Digest::of("theirs"),
        shelf: Shelf::Provided,
        source: Source::Provided,
        ..held(&["mqtt.example"])
    };
    observed.provide(name("corp"), theirs.clone());
    let plan = planned(&desired, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let version = &deploy.deliver[&name("mqtt.example")];
    assert_eq!(
        (&version.of, version.digest),
        (&name("corp"), theirs.digest)
    );
    let observed = foresee(&observed, &plan, START);
    assert_eq!(told(&desired, &observed, START), [""; 0]);
}

#[test]
fn what_a_server_does_not_use_any_more_leaves_its_folder() {
    let desired = desired([proxy(), broker()]);
    let observed = settled(&desired, fresh(&desired), START);
    let other = super::desired([proxy(), broker().label("use", "b.example")]);
    let observed = settled(&other, observed, START);
    let names: Vec<_> = given(&observed).keys().map(ToString::to_string).collect();
    assert_eq!(names, ["b.example"]);
}

#[test]
fn a_layout_for_one_gets_one_and_that_is_told() {
    let desired = desired([proxy(), broker().label("use", "a.example b.example")]);
    let observed = settled(&desired, fresh(&desired), START);
    let names: Vec<_> = given(&observed).keys().map(ToString::to_string).collect();
    assert_eq!(names, ["a.example"]);
    let told = planned(&desired, &observed, START).complaints;
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "container mqtt, label quaymaster.use=\"b.example\": its layout has room for one certificate, which is \
             a.example; so it does not get b.example; put the names on one certificate with the label \
             quaymaster.certificate=WORD, or write a layout with NAME, such as quaymaster.layout=certbot"
        ]
    );
}

#[test]
fn a_server_that_nobody_can_look_at_is_told_and_stays_unproven() {
    let far = Bearer {
        endpoints: [crate::fixtures::network("far", 5)].into(),
        ..broker()
    };
    let desired = desired([proxy(), far]);
    let observed = settled(&desired, fresh(&desired), START);
    assert_eq!(told(&desired, &observed, START), [""; 0]);
    assert_eq!(given(&observed).len(), 1);
}

#[test]
fn a_self_signed_certificate_that_a_server_uses_needs_no_proxy() {
    let broker = broker().label("ca", "self-signed");
    let desired = desire(&snapshot([broker]), &LabelRules { ..label_rules() });
    let observed = settled(&desired, fresh(&desired), START);
    assert_eq!(given(&observed).len(), 1);
}

/// A certificate of the user's own in `provided/`.
fn provided(names: &[&str]) -> HeldCertificate {
    HeldCertificate {
        digest: Digest::of_parts(names),
        shelf: Shelf::Provided,
        source: Source::Provided,
        ..held(names)
    }
}

#[test]
fn of_several_that_serve_names_of_one_certificate_the_one_for_most_of_them_is_given() {
    let broker = broker()
        .label("use", "a.example b.example c.example")
        .label("certificate", "all");
    let desired = desired([proxy(), broker]);
    for (first, second, expected) in [
        (
            &["a.example"][..],
            &["b.example", "c.example"][..],
            "second",
        ),
        (&["a.example", "b.example"], &["c.example"], "first"),
    ] {
        let mut observed = fresh(&desired);
        observed.provide(name("first"), provided(first));
        observed.provide(name("second"), provided(second));
        let plan = planned(&desired, &observed, START);
        let mut delivered = plan.actions.iter().filter_map(|action| match action {
            Action::Deploy(deploy) => deploy.deliver.get(&name("all")),
            _ => None,
        });
        let version = delivered.next().expect("it is delivered");
        assert_eq!(version.of, name(expected));
    }
}

#[test]
fn a_server_that_reads_our_folder_is_told_of_what_lies_there_under_its_name_alone() {
    let mut reader = container("mqtt", 5)
        .label("kind", "generic")
        .label("use", "mqtt.example")
        .label("reload", "HUP");
    reader.mounts = vec![volume("state", "/ours", false)];
    let desired = desired([proxy(), reader]);
    let mut observed = fresh(&desired);
    observed.provide(name("corp"), provided(&["mqtt.example"]));
    let told = told_of_mqtt(&desired, &observed, START);
    assert!(!told.contains(&"signal mqtt HUP".to_owned()), "{told:?}");
    observed.hold(name("mqtt.example"), held(&["mqtt.example"]));
    Rc::make_mut(&mut observed.provided).clear();
    let told = told_of_mqtt(&desired, &observed, START);
    assert_eq!(told, ["signal mqtt HUP", "prove mqtt"]);
}

#[test]
fn a_server_is_given_no_key_but_of_what_it_serves_or_uses() {
    let desired = desired([proxy(), shop(), broker()]);
    let observed = settled(&desired, fresh(&desired), START);
    let given = |server: &str| {
        let server = ContainerName::parse(server).expect("a name");
        let certificates = observed.installed[&server].certificates.keys();
        certificates.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(given("proxy"), ["shop.example"]);
    assert_eq!(given("mqtt"), ["mqtt.example"]);
}

#[test]
fn a_name_that_no_proxy_answers_for_is_obtained_where_we_answer_ourselves() {
    let itself = |answers_itself| LabelRules {
        answers_itself,
        ..label_rules()
    };
    let obtained = |bearers: Vec<Bearer>, answers_itself| {
        let desired = desire(&snapshot(bearers), &itself(answers_itself));
        let rules = PlanRules {
            answers_itself,
            ..rules()
        };
        let plan = plan(&desired, &fresh(&desired), &templates(), &rules, START);
        let steps = plan.actions.iter().flat_map(steps);
        let mut steps: Vec<_> = steps.map(|words| words.join(" ")).collect();
        steps.retain(|step| step.starts_with("obtain"));
        steps
    };
    let alone = "obtain mqtt.example --challenge http-01";
    assert_eq!(obtained(vec![broker()], true), [alone]);
    assert_eq!(obtained(vec![broker()], false), [""; 0]);
    // A proxy that is to answer may be who the CA reaches: it is waited for.
    assert_eq!(obtained(vec![proxy(), broker()], true), [""; 0]);
}

#[test]
fn check_looks_at_what_a_server_answers_by_the_thumbprint_and_not_at_what_the_daemon_alone_shows() {
    let looked = |is_by_thumbprint, is_by_listener| {
        let label_rules = LabelRules {
            answers_itself: true,
            ..label_rules()
        };
        let by_dns = container("mail", 5)
            .label("kind", "generic")
            .label("use", "mail.example")
            .label("challenge", "dns-01")
            .label("dns", "home");
        let label_rules = LabelRules {
            dns: DnsNames::new([("home".to_owned(), Duration::ZERO)].into(), None),
            ..label_rules
        };
        let desired = desire(&snapshot(vec![broker(), by_dns]), &label_rules);
        let rules = PlanRules {
            answers_itself: true,
            self_check: SelfCheckRule {
                is_on: true,
                is_resolver_named: true,
                is_by_thumbprint,
                is_by_listener,
            },
            ..rules()
        };
        let orders = looked_at(&desired, &fresh(&desired), &rules, START);
        let names = orders.iter().map(|order| order.certificate.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(looked(true, false), ["mqtt.example"]);
    assert_eq!(looked(true, true), [""; 0]);
    assert_eq!(looked(false, true), [""; 0]);
}
