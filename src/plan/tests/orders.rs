//! When a certificate is ordered, ordered again, and not.

use super::*;
use crate::{
    desire::Reload,
    observe::{HeldCertificate, RenewalInfo, RenewalRecord, Source, SuggestedWindow},
    values::CertificateId,
};

#[test]
fn four_orders_run_at_once_and_what_runs_out_goes_first() {
    let apps = (10..20)
        .map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")));
    let desired = desired(apps.chain([proxy()]));
    let mut observed = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    assert_eq!(
        planned(&desired, &observed, START).actions.len(),
        ORDERS_AT_ONCE
    );
    let under_way = CertificateName::parse("app19.example").expect("a name");
    observed.under_way.insert(Subject::Certificate(under_way));
    assert_eq!(
        planned(&desired, &observed, START).actions.len(),
        ORDERS_AT_ONCE - 1
    );
}

#[test]
fn orders_go_on_while_their_proxy_is_given_other_sites() {
    let apps = |count: u8| {
        (10..10 + count)
            .map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")))
    };
    let told_by = |reload: &Reload, count| {
        let mut desired = desired(apps(count).chain([proxy()]));
        let consumers = desired.consumers.values_mut();
        consumers.for_each(|consumer| Rc::make_mut(consumer).reload = reload.clone());
        desired
    };
    let ordered = |reload: Reload| {
        let before = told_by(&reload, 2);
        let observed = foresee(
            &fresh(&before),
            &planned(&before, &fresh(&before), START),
            START,
        );
        let more = told_by(&reload, 4);
        let names = |observed: &Observed| {
            let plan = planned(&more, observed, START);
            let name = |action: &Action| match action {
                Action::Obtain(obtain) => Some(obtain.certificate.to_string()),
                Action::Deploy(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
            };
            let deploys = plan
                .actions
                .iter()
                .any(|it| matches!(it, Action::Deploy(_)));
            (
                deploys,
                plan.actions.iter().filter_map(name).collect::<Vec<_>>(),
            )
        };
        let planned = names(&observed);
        let mut under_way = observed;
        under_way.under_way.insert(Subject::Consumer(
            more.consumers.keys().next().expect("one").clone(),
        ));
        (planned, names(&under_way).1)
    };
    // What is not installed yet has to wait.
    let known = ["app10.example", "app11.example"].map(str::to_owned);
    let (planned, meanwhile) = ordered(Reload::Signal(Signal::HUP));
    assert_eq!(planned, (true, known.to_vec()));
    assert_eq!(meanwhile, known);
    // One that is started again for it answers nothing meanwhile.
    let (planned, meanwhile) = ordered(Reload::Restart);
    assert_eq!((planned, meanwhile), ((true, vec![]), vec![]));
}

#[test]
fn a_failed_order_is_tried_again_with_growing_pauses() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let (mut now, mut tries) = (START, Vec::new());
    while now < START + 48 * HOUR {
        let plan = planned(&desired, &observed, now);
        if let Some(Action::Obtain(obtain)) = plan.actions.first() {
            tries.push(now.since(START).as_secs() / 60);
            let subject = Subject::Certificate(obtain.certificate.clone());
            let problem = Some("the CA says no".to_owned());
            observed.attempts.insert(
                subject,
                Attempt {
                    problem,
                    ..obtain.attempt.clone()
                },
            );
        } else {
            now = plan.wake.expect("there is always one");
        }
    }
    assert_eq!(tries, [0, 1, 11, 111, 111 + 24 * 60]);
}

#[test]
fn what_a_ca_refuses_is_asked_daily_and_at_once_with_other_settings() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let plan = planned(&desired, &observed, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let subject = Subject::Certificate(obtain.certificate.clone());
    let refused = Attempt {
        count: 9,
        retry: Retry::Daily,
        problem: Some("the CA refuses (rejectedIdentifier): no".to_owned()),
        ..obtain.attempt.clone()
    };
    observed.attempts.insert(subject.clone(), refused);
    let orders = |observed: &Observed, rules: &PlanRules, now| {
        let actions = super::plan(&desired, observed, &templates(), rules, now).actions;
        actions
            .iter()
            .filter(|action| matches!(action, Action::Obtain(_)))
            .count()
    };
    assert_eq!(orders(&observed, &rules(), START + 23 * HOUR), 0);
    assert_eq!(orders(&observed, &rules(), START + 24 * HOUR), 1);
    // Terms that are agreed to, another e-mail, another version of the program.
    let others = PlanRules {
        circumstances: Digest::of("other settings"),
        ..rules()
    };
    assert_eq!(orders(&observed, &others, START), 1);
    // A record of an earlier version says nothing of them.
    attempt_of(&mut observed, &subject).circumstances = None;
    assert_eq!(orders(&observed, &rules(), START), 1);
    // What has failed for another reason is not asked sooner for them.
    attempt_of(&mut observed, &subject).retry = Retry::Backoff;
    assert_eq!(orders(&observed, &others, START), 0);
    // Other labels.
    attempt_of(&mut observed, &subject).retry = Retry::Daily;
    attempt_of(&mut observed, &subject).circumstances = Some(rules().circumstances);
    assert_eq!(orders(&observed, &rules(), START), 0);
    attempt_of(&mut observed, &subject).asked = Digest::of("another");
    assert_eq!(orders(&observed, &rules(), START), 1);
}

#[test]
fn a_try_that_was_broken_off_in_good_order_goes_on_at_once() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let subject = Subject::Certificate(CertificateName::parse("shop.example").expect("a name"));
    observed
        .attempts
        .insert(subject, Attempt::broken_off(START));
    let plan = planned(&desired, &observed, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(obtain.attempt.count, 1, "it is the first");
    // What nobody needs any more is over with it.
    let held = foresee(&observed, &plan, START).held;
    let observed = Observed { held, ..observed };
    assert_eq!(planned(&desired, &observed, START).finished.len(), 1);
}

#[test]
fn what_is_left_of_a_name_that_nobody_wants_goes_an_hour_after_its_pause() {
    let nobody = desired([proxy()]);
    let name = CertificateName::parse("gone.example").expect("a name");
    let subject = Subject::Certificate(name.clone());
    let failed = Attempt {
        count: 2,
        problem: Some("no".to_owned()),
        ..Attempt::broken_off(START)
    };
    let mut observed = settled(&nobody, fresh(&nobody), START);
    observed.attempts.insert(subject.clone(), failed);
    let end = START + Duration::from_secs(600) + HOUR;
    let kept = planned(&nobody, &observed, end - Duration::from_secs(1));
    assert_eq!((kept.finished, kept.wake), ([].into(), Some(end)));
    assert_eq!(planned(&nobody, &observed, end).finished, [name].into());
    // What is under way is left alone, and so is what somebody wants again.
    observed.under_way.insert(subject.clone());
    assert_eq!(planned(&nobody, &observed, end).finished, [].into());
    observed.under_way.clear();
    let again = desired([proxy(), shop().label("host", "gone.example")]);
    assert_eq!(planned(&again, &observed, end).finished, [].into());
    assert!(is_failure(&subject, &observed.attempts[&subject], &again));
    assert!(!is_failure(&subject, &observed.attempts[&subject], &nobody));
}

#[test]
fn an_order_that_was_cut_off_goes_on_soon_but_not_for_ever() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let (mut now, mut tries) = (START, Vec::new());
    while now < START + 3 * HOUR {
        let plan = planned(&desired, &observed, now);
        match plan.actions.first() {
            Some(Action::Obtain(obtain)) => {
                tries.push(now.since(START).as_secs());
                observed.attempts.insert(
                    Subject::Certificate(obtain.certificate.clone()),
                    obtain.attempt.clone(),
                );
            }
            _ => now = plan.wake.expect("there is always one"),
        }
    }
    assert_eq!(tries, [0, 5, 5 + 600, 5 + 600 + 6000]);
}

#[test]
fn a_try_that_was_cut_off_when_its_certificate_was_there_is_over() {
    let desired = desired([proxy(), shop()]);
    let mut observed = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    let plan = planned(&desired, &observed, START);
    let Some(Action::Obtain(obtain)) = plan.actions.first() else {
        panic!("{plan:?}")
    };
    observed = foresee(&observed, &plan, START);
    let subject = Subject::Certificate(obtain.certificate.clone());
    let finished = |attempt: Attempt| {
        let attempts = [(subject.clone(), attempt)].into();
        planned(
            &desired,
            &Observed {
                attempts,
                ..observed.clone()
            },
            START,
        )
        .finished
    };
    assert_eq!(
        finished(obtain.attempt.clone()),
        [obtain.certificate.clone()].into()
    );
    // What the disk did not take at first, and is there now.
    let not_kept = Retry::NotBefore(obtain.attempt.last);
    let failed = Attempt {
        problem: Some("the disk is full".into()),
        retry: not_kept,
        ..obtain.attempt.clone()
    };
    assert_eq!(
        finished(failed.clone()),
        [obtain.certificate.clone()].into()
    );
    // A refusal is remembered, and so is a try for something else: labels may change back.
    assert!(
        finished(Attempt {
            retry: Retry::NotBefore(START + HOUR),
            ..failed.clone()
        })
        .is_empty()
    );
    assert!(
        finished(Attempt {
            retry: Retry::Backoff,
            ..failed
        })
        .is_empty()
    );
    assert!(
        finished(Attempt {
            asked: Digest::of("other"),
            ..obtain.attempt.clone()
        })
        .is_empty()
    );
}

fn attempt_of<'a>(observed: &'a mut Observed, subject: &Subject) -> &'a mut Attempt {
    observed.attempts.get_mut(subject).expect("it is on record")
}

fn wished(observed: &Observed, force: bool, stage: Stage) -> Observed {
    let name = CertificateName::parse("shop.example").expect("a name");
    let wishes = BTreeMap::from([(
        name,
        RenewalRequest {
            asked: START,
            force,
            stage,
        },
    )]);
    Observed {
        wishes,
        ..observed.clone()
    }
}

#[test]
fn a_forced_wish_is_an_order_once_and_a_plain_one_only_asks() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let name = CertificateName::parse("shop.example").expect("a name");
    let forced = wished(&observed, true, Stage::Open);
    let plan = planned(&desired, &forced, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(obtain.why, Why::Asked);
    assert_eq!(answer(&name, &desired, &forced, &rules(), START), None);
    assert_eq!(
        settled(&desired, forced.clone(), START).wishes,
        BTreeMap::new(),
        "once"
    );
    assert!(
        planned(&desired, &wished(&observed, true, Stage::Taken), START)
            .actions
            .is_empty()
    );
    let plain = wished(&observed, false, Stage::Open);
    assert!(planned(&desired, &plain, START).actions.is_empty());
    let answered = answer(&name, &desired, &plain, &rules(), START);
    assert!(
        matches!(answered, Some(RenewalOutcome::NotDue { due }) if due > START),
        "{answered:?}"
    );
    assert_eq!(
        answer(&name, &self::desired([proxy()]), &forced, &rules(), START),
        Some(RenewalOutcome::NotWanted)
    );
}

#[test]
fn force_ends_pauses_of_ours_and_never_one_that_the_ca_named() {
    let desired = desired([proxy(), shop()]);
    let mut observed = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    let name = CertificateName::parse("shop.example").expect("a name");
    let subject = Subject::Certificate(name.clone());
    let plan = planned(&desired, &observed, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    for (retry, is_tried) in [
        (Retry::Backoff, true),
        (Retry::Daily, true),
        (Retry::NotBefore(START + HOUR), false),
        (Retry::NotBefore(START), true),
    ] {
        let attempt = Attempt {
            retry,
            problem: Some("no".to_owned()),
            ..obtain.attempt.clone()
        };
        observed.attempts.insert(subject.clone(), attempt);
        let orders = |observed: &Observed| {
            let mut actions = planned(&desired, observed, START).actions;
            actions.retain(|action| matches!(action, Action::Obtain(_)));
            actions
        };
        assert_eq!(orders(&observed), [], "{retry:?}");
        let forced = wished(&observed, true, Stage::Open);
        let tried = orders(&forced);
        assert_eq!(tried.len(), usize::from(is_tried), "{retry:?}");
        let answered = answer(&name, &desired, &forced, &rules(), START);
        assert_eq!(answered.is_none(), is_tried, "{retry:?}: {answered:?}");
        if let Some(Action::Obtain(obtain)) = tried.first() {
            assert_eq!(obtain.attempt.count, 2, "it is on record like any other");
        }
    }
}

#[test]
fn a_certificate_is_renewed_when_its_ca_suggests_it_and_its_successor_by_the_usual_rule() {
    let desired = desired([shop(), proxy()]);
    let mut observed = settled(&desired, fresh(&desired), START);
    let (name, held) = observed.held.first_key_value().expect("there is one");
    let id = CertificateId::of(b"the key", b"1");
    let (name, mut held) = (name.clone(), HeldCertificate::clone(held));
    let day = HOUR * 24;
    held.renewal_id = Some(id.clone());
    let window = SuggestedWindow {
        start: START + day * 10,
        end: START + day * 11,
        explanation: None,
    };
    let suggestion = suggestion(&held, &window);
    let at = suggestion.as_ref().expect("it makes sense").at;
    observed.hold(name.clone(), held);
    let info = RenewalInfo {
        id: id.clone(),
        suggestion,
        read: START,
        next_read: START + HOUR,
    };
    let record = RenewalRecord {
        info: Some(info),
        followed: None,
    };
    let unasked = observed.clone();
    observed.renewals = [(name.clone(), record)].into();
    let orders = |observed: &Observed, now| {
        let actions = planned(&desired, observed, now).actions.into_iter();
        let whys = actions.filter_map(|action| match action {
            Action::Obtain(obtain) => Some(obtain.why),
            _ => None,
        });
        whys.collect::<Vec<_>>()
    };
    let before = at - Duration::from_secs(1);
    assert_eq!(orders(&observed, before), []);
    assert_eq!(planned(&desired, &observed, before).wake, Some(at));
    let status = crate::report::Status::of(
        &desired,
        &observed,
        &planned(&desired, &observed, before),
        before,
    );
    assert_eq!(status.next().first().map(|(time, _)| *time), Some(at));
    assert_eq!(orders(&observed, at), [Why::CaSuggests]);
    let replaced = |observed: &Observed| {
        let actions = planned(&desired, observed, at + day * 61).actions;
        actions.into_iter().find_map(|action| match action {
            Action::Obtain(obtain) => Some(obtain.replaces),
            _ => None,
        })
    };
    assert_eq!(replaced(&observed), Some(Some(id)));
    assert_eq!(replaced(&unasked), Some(None), "its CA has said nothing");
    let of_another = |held: &mut HeldCertificate| {
        held.source = Source::Acme("https://another.example/directory".to_owned());
    };
    let for_others = |held: &mut HeldCertificate| held.names = ["other.example".to_owned()].into();
    for change in [of_another as fn(&mut HeldCertificate), for_others] {
        let mut observed = observed.clone();
        let mut other = HeldCertificate::clone(&observed.held[&name]);
        change(&mut other);
        observed.hold(name.clone(), other.clone());
        assert_eq!(replaced(&observed), Some(None), "{other:?}");
    }
    // What was known of the last plan is known to be another.
    let mut memory = Planner::default();
    let mut begun = |observed: &Observed| {
        let plan = memory.plan(&desired, observed, &templates(), &rules(), at);
        plan.actions.len()
    };
    assert_eq!([&unasked, &observed, &unasked].map(&mut begun), [0, 1, 0]);
    let renewed = settled(&desired, observed, at);
    assert_eq!(orders(&renewed, at + day * 50), []);
    assert_eq!(orders(&renewed, at + day * 61), [Why::RenewalDue]);
}

#[test]
fn a_look_that_fails_is_made_again_after_1_2_5_and_10_minutes_and_counts_as_no_try() {
    let desired = desired([shop(), proxy()]);
    let observed = foresee(
        &fresh(&desired),
        &planned(&desired, &fresh(&desired), START),
        START,
    );
    let plan = planned(&desired, &observed, START);
    let Some(Action::Obtain(obtain)) = plan.actions.first() else {
        panic!("{plan:?}")
    };
    let subject = Subject::Certificate(obtain.certificate.clone());
    let minute = Duration::from_secs(60);
    for (looks, minutes) in [(1, 1), (2, 2), (3, 5), (4, 10), (5, 10), (1000, 10)] {
        let failed = Attempt {
            count: 0,
            looks,
            retry: Retry::SelfCheck,
            problem: Some("a parking page".to_owned()),
            ..obtain.attempt.clone()
        };
        let next = START + minute * minutes;
        assert_eq!(next_try(&subject, &failed), next, "{looks}");
        let mut observed = observed.clone();
        observed.attempts.insert(subject.clone(), failed);
        let tries = |now| {
            let actions = planned(&desired, &observed, now).actions.into_iter();
            let tries = actions.filter_map(|action| match action {
                Action::Obtain(obtain) => Some(obtain.attempt.count),
                _ => None,
            });
            tries.collect::<Vec<_>>()
        };
        assert_eq!(tries(next - minute / 2), [0; 0], "{looks}");
        assert_eq!(tries(next), [1], "{looks}");
    }
}
