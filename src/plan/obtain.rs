//! Which certificates are to be obtained now.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Action, Draft, HelperOrder, Obtain, OtherCa, PlanRules, Why,
    answered::is_answered,
    asked_ca::{is_another, others_of},
    backoff,
    helper::{self, helper_of},
    ledger::{Asking, LedgerVerdict},
    needs::NeedMemory,
    pauses::{closed, held_back, is_forced},
    self_check::self_check,
    slots::Slots,
};
use crate::{
    desire::{Desired, Issuance, Wanted},
    observe::{Attempt, CaRecord, HeldCertificate, Observed, RenewalRecord, Subject, Webroots},
    render::Templates,
    values::{
        CertificateId, CertificateName, ContainerName, Digest, Host, Issuer, Profile, Timestamp,
    },
};

/// Plans the orders: of those that are due, what runs out first before what is missing, as many as each CA
/// may have at once.
pub(super) fn plan(
    desired: &Desired,
    (observed, ours): (&Observed, &Rc<HeldCertificates>),
    deploying: &BTreeSet<ContainerName>,
    (templates, rules): (&Templates, &PlanRules),
    (needs, draft): (&mut NeedMemory, &mut Draft),
) {
    drop_unwanted(desired, observed, draft);
    needs.follow(desired, (observed, ours), draft.now);
    needs.times().for_each(|time| draft.wake_at(time));
    drop_over(desired, observed, needs, draft);
    // What is said of records of certificates that are not due says nothing about who is asked.
    draft.plan.other_cas.retain(|name, _| needs.is_due(name));
    let mut slots = Slots::of(desired, observed, ours, draft.now);
    let orders = due_orders((desired, observed), (needs, &slots), rules, draft);
    let orders = in_turn(orders, observed, draft.now);
    // The helper may have those of earlier turns still before it.
    let mut lines = observed.under_way.len();
    for order in orders {
        let DueOrder { name, wanted, .. } = order;
        let live = ours.get(name).map(Rc::as_ref);
        let by = helper_of(wanted, live);
        // Of thousands that are due, only the first few are looked at further. A helper asks for one after the other.
        let has_slot = by.is_some() || slots.is_free(&wanted.issuance.issuer);
        // What a helper puts into the webroot is not seen at a port of ours.
        let itself = rules.answers_itself && by.is_none();
        if !has_slot
            || !may_ask(&order, observed, &slots, draft)
            || !is_answered(name, wanted, desired, observed, deploying, itself)
        {
            continue;
        }
        let helper = match by.map(|by| helper::order(by, (&order, live), desired, lines, templates))
        {
            None => None,
            Some(Ok(Some(order))) => {
                lines += 1;
                Some(Box::new(order))
            }
            Some(Ok(None)) => continue,
            Some(Err(complaint)) => {
                draft.plan.complaints.insert(complaint);
                continue;
            }
        };
        slots.take(desired, wanted, by);
        let others = &draft.plan.other_cas;
        let obtain = obtain(
            &order,
            helper,
            (desired, observed),
            others,
            (rules, draft.now),
        );
        draft.plan.actions.push(Action::Obtain(Box::new(obtain)));
    }
}

/// True if the limits of its CA allow this order. A user who insists asks all the same.
fn may_ask(
    order: &DueOrder<'_>,
    observed: &Observed,
    slots: &Slots<'_>,
    draft: &mut Draft,
) -> bool {
    if is_forced(order.name, observed) {
        return true;
    }
    match order.asking.check(&observed.ledger, slots, draft.now) {
        LedgerVerdict::Allowed => true,
        LedgerVerdict::Later => false,
        LedgerVerdict::Refused(reached) => {
            draft.wake_at(reached.until);
            draft.plan.limited.insert(order.name.clone(), reached);
            false
        }
    }
}

/// A certificate that may be obtained now.
pub(super) struct DueOrder<'a> {
    pub name: &'a CertificateName,
    pub wanted: &'a Wanted,
    /// The one that it is to replace.
    pub held: Option<&'a HeldCertificate>,
    pub why: Why,
    pub asking: Asking<'a>,
}

/// Sorts the orders: certificates that expire, by their end, before missing ones; among these, one project after the
/// other.
fn in_turn<'a>(
    mut orders: Vec<DueOrder<'a>>,
    observed: &Observed,
    now: Timestamp,
) -> impl Iterator<Item = DueOrder<'a>> {
    orders.sort_by_key(|order| (order.runs_out(), order.name));
    let mut turns = BTreeMap::<_, usize>::new();
    let turn = |order: DueOrder<'a>| {
        let whose = (&order.wanted.issuance.issuer, order.asking.project);
        let had = || order.asking.had(&observed.ledger, now);
        let turn = match order.held {
            Some(_) => 0,
            None => {
                let turn = turns.entry(whose).or_insert_with(had);
                *turn += 1;
                *turn
            }
        };
        (order.runs_out(), turn, order)
    };
    let mut orders: Vec<_> = orders.into_iter().map(turn).collect();
    // Those of the same turn stay in the order of their names.
    orders.sort_by_key(|(runs_out, turn, _)| (*runs_out, *turn));
    orders.into_iter().map(|(.., order)| order)
}

impl DueOrder<'_> {
    /// The end of the one that is held; far away where none is.
    fn runs_out(&self) -> Timestamp {
        self.held
            .map_or(Timestamp::from_millis(i64::MAX), |held| held.not_after)
    }
}

/// Finds the wanted certificates that may be obtained now, of those whose CA may have one more order.
fn due_orders<'a>(
    (desired, observed): (&'a Desired, &'a Observed),
    (needs, slots): (&NeedMemory, &Slots<'_>),
    rules: &PlanRules,
    draft: &mut Draft,
) -> Vec<DueOrder<'a>> {
    let mut orders = Vec::new();
    for (asked_of, names) in needs.due() {
        // Of thousands that wait for those before them, none has to be looked at.
        if !asked_of.is_helped && !slots.is_free(&asked_of.issuer) {
            continue;
        }
        for (name, why) in names {
            let wanted = desired.certificates.get_key_value(name);
            let wanted =
                wanted.filter(|(name, wanted)| may_begin(name, wanted, observed, rules, draft));
            let Some((name, wanted)) = wanted else {
                continue;
            };
            let held = observed.lasting(name);
            let directory = wanted.issuance.issuer.directory();
            let limits = directory.map(|directory| rules.cas.limits(directory));
            orders.push(DueOrder {
                name,
                wanted,
                held,
                why: *why,
                asking: Asking::of(desired, wanted, held, limits.unwrap_or_default()),
            });
        }
    }
    orders
}

/// True if a certificate that is due may be obtained now: no order for it runs, and none was tried just before.
fn may_begin(
    name: &CertificateName,
    wanted: &Wanted,
    observed: &Observed,
    rules: &PlanRules,
    draft: &mut Draft,
) -> bool {
    let subject = Subject::Certificate(name.clone());
    if observed.under_way.contains(&subject) {
        return false;
    }
    let (now, before) = (draft.now, observed.attempts.get(&subject));
    let of_ca = closed(name, &wanted.issuance.issuer, observed, now).map(|closed| closed.until);
    let of_name = before.and_then(|_| held_back((name, wanted), observed, rules, now));
    let until = of_name.max(of_ca).filter(|time| *time > now);
    until.into_iter().for_each(|time| draft.wake_at(time));
    until.is_none()
}

/// Finds the records that have no use any more, since what they are about is not due.
fn drop_over(desired: &Desired, observed: &Observed, needs: &NeedMemory, draft: &mut Draft) {
    for (subject, attempt) in &observed.attempts {
        let Subject::Certificate(name) = subject else {
            continue;
        };
        let wanted = desired.certificates.get(name);
        let is_over = wanted.is_some_and(|wanted| is_over(attempt, wanted));
        if is_over && !needs.is_due(name) && !observed.under_way.contains(subject) {
            draft.plan.finished.insert(name.clone());
        }
    }
}

/// True if the record of a try has no use once the certificate is not due any more: the disk was mended since, or took
/// the files all the same.
fn is_over(attempt: &Attempt, wanted: &Wanted) -> bool {
    !attempt.is_failure()
        || attempt.asked == asked(wanted) && (attempt.was_cut_off() || attempt.was_not_kept())
}

/// Time that the record of an unwanted name is kept after its next try could have been: containers that are made anew
/// are away for a while, and a name that comes and goes must not be tried more often for it.
const UNWANTED_KEPT: Duration = Duration::from_secs(60 * 60);

/// Finds the records that are left of names that nobody wants any more.
fn drop_unwanted(desired: &Desired, observed: &Observed, draft: &mut Draft) {
    for (subject, attempt) in &observed.attempts {
        let Subject::Certificate(name) = subject else {
            continue;
        };
        if desired.certificates.contains_key(name) || observed.under_way.contains(subject) {
            continue;
        }
        let each = attempt.of_each_ca();
        let next = each.map(|attempt| backoff::next_try(subject, attempt));
        let over = next.fold(attempt.last, Timestamp::max) + UNWANTED_KEPT;
        if over <= draft.now || attempt.is_from_the_future(draft.now) {
            draft.plan.finished.insert(name.clone());
        } else {
            draft.wake_at(over);
        }
    }
}

/// True if something that is still wanted has failed.
pub fn is_failure(subject: &Subject, attempt: &Attempt, desired: &Desired) -> bool {
    let is_wanted = match subject {
        Subject::Certificate(name) => desired.certificates.contains_key(name),
        // What is not needed any more is not on record.
        Subject::Fallback(_) => true,
        Subject::Consumer(name) => desired.consumers.contains_key(name),
    };
    is_wanted && attempt.is_failure()
}

/// Those in `live/`, by name.
pub(super) type HeldCertificates = BTreeMap<CertificateName, Rc<HeldCertificate>>;

/// A digest of the request: another digest makes the record of failures void.
pub(super) fn asked(wanted: &Wanted) -> Digest {
    asked_of(wanted, &wanted.issuance.issuer)
}

/// The same of this CA.
pub(super) fn asked_of(wanted: &Wanted, issuer: &Issuer) -> Digest {
    let Issuance {
        issuer: _,
        challenge,
        dns,
        key_type,
        profile,
    } = &wanted.issuance;
    let kind = [
        issuer.to_string(),
        challenge.to_string(),
        key_type.to_string(),
        profile.as_ref().map(Profile::to_string).unwrap_or_default(),
    ];
    // What a helper could not obtain, we may, and the other way round.
    let kind = kind
        .into_iter()
        .chain(wanted.helper.as_ref().map(|_| "helper".to_owned()))
        .chain(dns.as_ref().map(|name| format!("dns {name}")));
    Digest::of_parts(wanted.names.iter().map(ToString::to_string).chain(kind))
}

/// The order of one that is due.
pub(super) fn obtain(
    due: &DueOrder<'_>,
    helper: Option<Box<HelperOrder>>,
    (desired, observed): (&Desired, &Observed),
    other_cas: &BTreeMap<CertificateName, OtherCa>,
    (rules, now): (&PlanRules, Timestamp),
) -> Obtain {
    let DueOrder {
        name, wanted, held, ..
    } = *due;
    let proxies = || {
        wanted
            .served_by
            .iter()
            .filter_map(|proxy| desired.consumers.get(proxy))
    };
    let before = observed.attempts.get(&Subject::Certificate(name.clone()));
    let other_ca = other_cas.get(name).filter(|_| is_another(wanted, before));
    Obtain {
        certificate: name.clone(),
        names: wanted.names.iter().cloned().collect(),
        issuance: wanted.issuance.clone(),
        why: due.why,
        held_chain: held.map_or(0, |held| held.chain_length),
        replaces: held.and_then(|held| replaced(held, wanted, observed.renewal(name))),
        webroots: match &wanted.issuance.dns {
            Some(dns) => Webroots::of_dns(dns),
            None => Webroots {
                folders: proxies()
                    .filter_map(|it| Some(it.proxy.as_ref()?.webroot.ours.clone()))
                    .collect(),
                proxies: proxies()
                    .filter_map(|proxy| Some(proxy.reach()?.http))
                    .collect(),
                dns: None,
            },
        },
        helper,
        attempt: attempt(due, before, rules, now),
        counts: due.asking.counts(),
        is_of_list: wanted.issuers.are_several(),
        other_ca: other_ca.cloned(),
        record_wait: {
            let dns = wanted.issuance.dns.as_deref();
            dns.map_or(Duration::ZERO, |dns| rules.dns.wait(dns))
        },
        self_check: self_check(rules.self_check, wanted, held, now),
    }
}

/// The record of this try.
fn attempt(
    due: &DueOrder<'_>,
    before: Option<&Attempt>,
    rules: &PlanRules,
    now: Timestamp,
) -> Attempt {
    let DueOrder { wanted, held, .. } = *due;
    let issuer = &wanted.issuance.issuer;
    let own = backoff::attempt(before, asked(wanted), now);
    Attempt {
        circumstances: Some(rules.circumstances),
        longest_pause: held.map(|held| backoff::longest_pause(held, issuer, now)),
        ca: CaRecord {
            others: others_of(wanted, before),
            ..own.ca
        },
        ..own
    }
}

/// The certificate that an order replaces, as the CA is asked: one of its own with a name in common, about whose
/// renewal it has said something, so that it knows which is meant. Let's Encrypt counts such an order against no limit.
///
/// <https://www.rfc-editor.org/rfc/rfc9773#section-5>
fn replaced(
    held: &HeldCertificate,
    wanted: &Wanted,
    record: Option<&RenewalRecord>,
) -> Option<CertificateId> {
    record?.of(held)?.suggestion.as_ref()?;
    let (issuer, id) = held.suggested_by()?;
    let is_its_own = wanted.issuance.issuer.directory() == Some(issuer);
    let mut names = wanted.names.iter().map(Host::to_string);
    let has_in_common = names.any(|name| held.names.contains(&name));
    (is_its_own && has_in_common).then(|| id.clone())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{
            LabelRules, desire,
            tests::{container, proxy, snapshot},
        },
        fixtures::label_rules,
        observe::{BusyCa, RenewalOutcome, RenewalRequest, Source, Stage},
        plan::{again, answer, is_held_up},
        values::{CA_PRESETS, DnsNames, FileName, KeyType},
    };

    /// The actions for now, and the text in the site's file afterwards.
    fn orders(
        labels: &[(&str, &str)],
        observed: Option<Observed>,
    ) -> (Vec<String>, Observed, Desired) {
        let shop = labels
            .iter()
            .fold(shop(), |shop, (key, value)| shop.label(key, value));
        let desired = desired([proxy(), shop]);
        let mut observed = observed.unwrap_or_else(|| fresh(&desired));
        let mut orders = Vec::new();
        for _ in 0..10 {
            let plan = planned(&desired, &observed, START);
            let obtains = plan.actions.iter().filter_map(|action| match action {
                Action::Obtain(obtain) => Some(format!(
                    "{} {}: {}",
                    obtain.certificate, obtain.issuance.issuer, obtain.why
                )),
                Action::Deploy(_) | Action::TakeBack(_) | Action::FallBack(_) => None,
            });
            orders.extend(obtains);
            observed = super::super::foresee(&observed, &plan, START);
        }
        (orders, observed, desired)
    }

    fn site(desired: &Desired, observed: &Observed) -> String {
        let empty = Observed {
            installed: fresh(desired).installed,
            ..observed.clone()
        };
        let file = FileName::parse("quaymaster-shop.example.conf").expect("a name");
        let mut actions = planned(desired, &empty, START).actions.into_iter();
        actions
            .find_map(|action| {
                if let Action::Deploy(mut deploy) = action {
                    deploy.write.remove(&file)
                } else {
                    None
                }
            })
            .expect("it is written")
    }

    #[test]
    fn from_staging_to_earnest_is_one_label_and_one_order() {
        // One that a public CA issues for.
        let public = |ca: &str, observed: Option<Observed>| {
            let shop = container("shop", 4)
                .label("host", "shop.org")
                .label("hsts", "1y")
                .label("ca", ca);
            let desired = desired([proxy(), shop]);
            let mut observed = observed.unwrap_or_else(|| fresh(&desired));
            let (mut whys, mut text) = (Vec::new(), String::new());
            let file = FileName::parse("quaymaster-shop.org.conf").expect("a name");
            for _ in 0..6 {
                let plan = planned(&desired, &observed, START);
                for action in &plan.actions {
                    match action {
                        Action::Obtain(obtain) => whys.push(obtain.why),
                        Action::Deploy(deploy) => {
                            text = deploy.write.get(&file).cloned().unwrap_or(text)
                        }
                        Action::TakeBack(_) | Action::FallBack(_) => {}
                    }
                }
                observed = super::super::foresee(&observed, &plan, START);
            }
            (whys, text, observed)
        };
        let (whys, text, observed) = public("staging", None);
        assert_eq!(whys, [Why::Missing]);
        assert!(
            text.contains("ssl_certificate ") && text.contains("No trusted certificate"),
            "{text}"
        );
        assert!(
            !text.contains("return 301") && !text.contains("Strict-Transport-Security"),
            "{text}"
        );
        let (whys, text, observed) = public("letsencrypt", Some(observed));
        assert_eq!(whys, [Why::SourceChanged]);
        assert!(
            text.contains("return 301") && text.contains("Strict-Transport-Security"),
            "{text}"
        );
        assert!(!text.contains("No trusted certificate"), "{text}");
        assert_eq!(public("letsencrypt", Some(observed)).0, []);
    }

    #[test]
    fn a_profile_that_changes_is_ordered_once_and_one_that_nobody_wrote_down_is_believed() {
        let wanted = |profile: Option<&str>| {
            let shop = container("shop", 4).label("host", "shop.org");
            let shop = match profile {
                Some(profile) => shop.label("profile", profile),
                None => shop,
            };
            desired([proxy(), shop])
        };
        let whys = |profile, mut observed: Observed| {
            let desired = wanted(profile);
            let mut whys = Vec::new();
            for _ in 0..6 {
                let plan = planned(&desired, &observed, START);
                for action in &plan.actions {
                    if let Action::Obtain(obtain) = action {
                        whys.push(obtain.why);
                    }
                }
                observed = super::super::foresee(&observed, &plan, START);
            }
            (whys, observed)
        };
        let (first, observed) = whys(None, fresh(&wanted(None)));
        assert_eq!(first, [Why::Missing]);
        let (changed, observed) = whys(Some("shortlived"), observed);
        assert_eq!(changed, [Why::ProfileChanged]);
        // That nothing else will do is no other profile.
        let (same, observed) = whys(Some("shortlived required"), observed);
        assert_eq!(same, []);
        let (back, mut observed) = whys(None, observed);
        assert_eq!(back, [Why::ProfileChanged]);
        let name = CertificateName::parse("shop.org").expect("a name");
        let older = HeldCertificate {
            profile: None,
            ..HeldCertificate::clone(&observed.held[&name])
        };
        observed.hold(name, older);
        assert_eq!(whys(Some("shortlived"), observed).0, []);
    }

    #[test]
    fn a_trusted_certificate_is_not_given_up_for_one_of_the_staging_ca_before_its_last_days() {
        let wanted = |ca: &str, key: &str, names: &str| {
            let shop = container("shop", 4).label("host", "shop.org");
            let shop = shop
                .label("names", names)
                .label("ca", ca)
                .label("key-type", key);
            desired([proxy(), shop])
        };
        let first = wanted("letsencrypt", "ec-256", "mail.shop.org");
        let trusted = settled(&first, fresh(&first), START);
        let source = |observed: &Observed| {
            let (_, held) = observed.held.iter().next().expect("there is one");
            held.source.clone()
        };
        let before = source(&trusted);
        let day = Duration::from_secs(24 * 60 * 60);
        // Neither another CA, nor another key, other names, or its renewal is a reason.
        for (key, names) in [("ec-256", "mail.shop.org"), ("rsa-2048", "www.shop.org")] {
            let staging = wanted("staging", key, names);
            for days in [0, 1, 62, 85] {
                let now = START + day * days;
                let after = settled(&staging, trusted.clone(), now);
                assert_eq!(source(&after), before, "{key}, day {days}");
                let told = planned(&staging, &after, now).complaints;
                let told: Vec<_> = told.iter().map(ToString::to_string).collect();
                let [told] = told.as_slice() else {
                    panic!("{told:?}")
                };
                assert!(
                    told.starts_with(r#"container shop, label quaymaster.ca="staging": "#)
                        && told.contains("the certificate shop.org that is there is trusted"),
                    "{told}"
                );
            }
            // In the last twentieth of 90 days any is better than none.
            for days in [86, 91] {
                let now = START + day * days;
                let after = settled(&staging, trusted.clone(), now);
                assert_ne!(source(&after), before, "{key}, day {days}");
                let told = planned(&staging, &after, now).complaints;
                assert!(told.is_empty(), "{told:?}");
            }
        }
        // It is renewed from its own CA as ever.
        let renewed = settled(&first, trusted.clone(), START + day * 62);
        assert_eq!(source(&renewed), before);
        assert_ne!(renewed.held, trusted.held);
    }

    #[test]
    fn nothing_is_made_or_asked_for_a_name_that_no_proxy_serves() {
        for mut elsewhere in [shop(), shop().label("ca", "self-signed")] {
            elsewhere.endpoints = [].into();
            let desired = desired([proxy(), elsewhere]);
            assert_eq!(
                desired.certificates.len(),
                1,
                "it is wanted as soon as a proxy serves it"
            );
            let mut observed = fresh(&desired);
            loop {
                let plan = planned(&desired, &observed, START);
                if plan.actions.is_empty() {
                    break;
                }
                assert!(
                    plan.actions
                        .iter()
                        .all(|action| matches!(action, Action::Deploy(_))),
                    "{plan:?}"
                );
                observed = super::super::foresee(&observed, &plan, START);
            }
        }
    }

    #[test]
    fn a_ca_that_asks_to_be_left_alone_is_asked_by_nobody_until_then() {
        let app = |number: u8, ca: &str| {
            let name = format!("app{number}");
            let host = format!("{name}.org");
            container(&name, number)
                .label("host", &host)
                .label("ca", ca)
        };
        let all = (10..13).map(|number| app(number, "letsencrypt")).chain([
            app(20, "staging"),
            app(30, "self-signed"),
            proxy(),
        ]);
        let desired = desired(all);
        let mut observed = super::super::foresee(
            &fresh(&desired),
            &planned(&desired, &fresh(&desired), START),
            START,
        );
        observed.held = Rc::default();
        let (minute, until) = (Duration::from_secs(60), START + Duration::from_secs(3600));
        let directory = CA_PRESETS[0].directory.to_owned();
        let busy = BusyCa {
            since: START,
            until,
            problem: "the CA asks quaymaster to wait".to_owned(),
            count: 1,
        };
        observed.busy_cas.insert(directory, busy);
        let names = |observed: &Observed, now| {
            let actions = planned(&desired, observed, now).actions.into_iter();
            let names = actions.filter_map(|action| match action {
                Action::Obtain(obtain) => Some(obtain.certificate.to_string()),
                _ => None,
            });
            names.collect::<Vec<_>>()
        };
        let others = ["app20.org", "app30.org"];
        assert_eq!(names(&observed, START), others);
        assert_eq!(names(&observed, until - minute), others);
        let wake = planned(&desired, &observed, until - minute).wake;
        assert_eq!(wake, Some(until));
        assert!(is_held_up(&desired, &observed, START) && !is_held_up(&desired, &observed, until));
        assert_eq!(
            names(&observed, until).len(),
            3,
            "one finds out whether it still is"
        );
        // What failed before for a reason of its own waits no less.
        let failed = Subject::Certificate(CertificateName::parse("app10.org").expect("a name"));
        let attempt = backoff::attempt(None, Digest::of("x"), START);
        assert_eq!(again(&failed, &attempt, &desired, &observed), until);
        let own = Subject::Certificate(CertificateName::parse("app20.org").expect("a name"));
        let soon = backoff::next_try(&own, &attempt);
        assert_eq!(again(&own, &attempt, &desired, &observed), soon);
        // Whoever insists is told so, with the time.
        let name = CertificateName::parse("app10.org").expect("a name");
        let wish = RenewalRequest {
            force: true,
            asked: START,
            stage: Stage::Open,
        };
        observed.wishes.insert(name.clone(), wish);
        assert_eq!(names(&observed, START), others);
        let answered = answer(&name, &desired, &observed, &rules(), START);
        let expected = RenewalOutcome::Failed {
            problem: "the CA asks quaymaster to wait".to_owned(),
            blame: None,
            again: Some(until),
        };
        assert_eq!(answered, Some(expected));
    }

    #[test]
    fn each_ca_has_orders_of_its_own_at_once_and_what_is_self_signed_waits_for_none() {
        let app = |number: u8, ca: &str| {
            let name = format!("app{number}");
            let host = format!("{name}.org");
            container(&name, number)
                .label("host", &host)
                .label("ca", ca)
        };
        let of = |numbers: std::ops::Range<u8>, ca: &'static str| {
            numbers.map(move |number| app(number, ca))
        };
        let all = of(10..16, "letsencrypt")
            .chain(of(20..23, "staging"))
            .chain(of(30..39, "self-signed"));
        let desired = desired(all.chain([proxy()]));
        let mut observed = super::super::foresee(
            &fresh(&desired),
            &planned(&desired, &fresh(&desired), START),
            START,
        );
        observed.held = Rc::default();
        let begun = |observed: &Observed| {
            let mut begun = BTreeMap::<String, usize>::new();
            for action in planned(&desired, observed, START).actions {
                if let Action::Obtain(obtain) = action {
                    *begun.entry(obtain.issuance.issuer.to_string()).or_default() += 1;
                }
            }
            begun.into_iter().collect::<Vec<_>>()
        };
        let each = |first, second| {
            let all = [
                ("letsencrypt", first),
                ("self-signed", 9),
                ("staging", second),
            ];
            let some = all.into_iter().filter(|(_, count)| *count > 0);
            some.map(|(ca, count)| (ca.to_owned(), count))
                .collect::<Vec<_>>()
        };
        assert_eq!(begun(&observed), each(4, 3));
        let running =
            |host: &str| Subject::Certificate(CertificateName::parse(host).expect("a name"));
        for host in ["app10.org", "app11.org", "app12.org"] {
            observed.under_way.insert(running(host));
        }
        assert_eq!(begun(&observed), each(1, 3));
        observed.under_way.insert(running("app13.org"));
        assert_eq!(begun(&observed), each(0, 3));
        // Whom it is asked of can't be told any more.
        observed.under_way.insert(running("gone.org"));
        observed.under_way.insert(running("gone-too.org"));
        assert_eq!(begun(&observed), each(0, 2));
    }

    #[test]
    fn a_self_signed_certificate_waits_for_no_proxy_and_counts_as_trusted_by_who_asked_for_it() {
        let (orders, observed, desired) = orders(&[("ca", "self-signed")], None);
        assert_eq!(orders, ["shop.example self-signed: missing"]);
        assert!(site(&desired, &observed).contains("return 301"));
        let steps = planned(&desired, &fresh(&desired), START)
            .actions
            .iter()
            .flat_map(super::super::steps)
            .collect::<Vec<_>>();
        assert!(
            steps.contains(
                &["obtain", "shop.example", "--ca", "self-signed"]
                    .map(str::to_owned)
                    .to_vec()
            ),
            "{steps:?}"
        );
    }

    #[test]
    fn another_key_type_is_obtained_at_once_and_once() {
        let (first, observed, _) = orders(&[], None);
        assert_eq!(
            first,
            ["shop.example https://ca.example/directory: missing"]
        );
        let (second, mut observed, _) = orders(&[("key-type", "rsa-2048")], Some(observed));
        assert_eq!(
            second,
            ["shop.example https://ca.example/directory: key type changed"]
        );
        assert_eq!(
            orders(&[("key-type", "rsa-2048")], Some(observed.clone())).0,
            [""; 0]
        );
        // What the user provides is the user's choice.
        for (name, held) in &*Rc::clone(&observed.held) {
            let (source, key_type) = (Source::Provided, Some(KeyType::Ec384));
            observed.hold(
                name.clone(),
                HeldCertificate {
                    source,
                    key_type,
                    ..(**held).clone()
                },
            );
        }
        assert_eq!(orders(&[], Some(observed)).0, [""; 0]);
    }

    #[test]
    fn what_dns_proves_waits_for_no_proxy() {
        let rules = LabelRules {
            dns: DnsNames::new([("home".to_owned(), Duration::ZERO)].into(), None),
            ..label_rules()
        };
        let shop = |challenge: &str| {
            let shop = shop().label("challenge", challenge);
            desire(&snapshot([proxy(), shop]), &rules)
        };
        for (challenge, is_ordered) in [("dns-01", true), ("http-01", false)] {
            let desired = shop(challenge);
            let plan = planned(&desired, &Observed::default(), START);
            let orders = plan.actions.iter().filter_map(|action| match action {
                Action::Obtain(obtain) => obtain.webroots.dns.clone(),
                _ => None,
            });
            let expected = is_ordered.then(|| "home".to_owned());
            assert_eq!(orders.collect::<Vec<_>>(), Vec::from_iter(expected));
        }
    }

    #[test]
    fn an_order_waits_until_each_of_its_names_is_answered() {
        let on_all = |name, number, host| {
            container(name, number)
                .label("host", host)
                .label("certificate", "all")
        };
        let desired = desired([
            proxy(),
            on_all("one", 4, "a.example").label("names", "mail.example"),
            on_all("two", 5, "b.example"),
        ]);
        let observed = super::super::foresee(
            &fresh(&desired),
            &planned(&desired, &fresh(&desired), START),
            START,
        );
        let order = "obtain a.example b.example mail.example --certificate all --challenge http-01 --webroot /edge/challenge";
        assert_eq!(told(&desired, &observed, START), [order]);
        let mut behind = observed.clone();
        let file = FileName::parse("quaymaster-b.example.conf").expect("a name");
        behind.installed.values_mut().for_each(|installed| {
            Rc::make_mut(installed)
                .files
                .retain(|name, _| *name != file)
        });
        assert!(
            !told(&desired, &behind, START)
                .iter()
                .any(|step| step.starts_with("obtain"))
        );
    }
}
