//! The life of a certificate that quaymaster obtained: wanted, no longer wanted, archived, deleted; and restored, where
//! it is wanted again before that.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use itertools::{EitherOrBoth, Itertools};

use super::{PlanRules, fallback, in_force::InForce, selection::served};
use crate::{
    desire::Desired,
    observe::{CertificateUser, Forgotten, Observed, Subject, Unwanted},
    values::{CertificateName, ContainerName, Timestamp},
};

/// The most that counts of the time between two looks. The engine is looked at at least once a day, so that more has
/// passed only where quaymaster did not run or somebody set the clock, and both look the same. Neither may use up the
/// time in which a certificate can be wanted again.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(24 * 60 * 60);

/// Time that has to pass until the count is written down again.
const WRITTEN_EVERY: Duration = Duration::from_secs(60 * 60);

/// The further life of certificates that are not wanted, or were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Those that nobody wants, and for how long by now.
    pub unwanted: BTreeMap<CertificateName, Unwanted>,
    /// The steps for now.
    pub steps: BTreeMap<CertificateName, LifeStep>,
    /// When the next step of each is due, unless it is wanted again.
    pub due: BTreeMap<CertificateName, Timestamp>,
}

/// A step in the life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeStep {
    /// It goes out of use.
    Archive,
    /// It is deleted for good.
    Delete,
    /// It is wanted again.
    Restore,
}

/// Plans at `now` the further life of the certificates that quaymaster obtained.
pub fn lives(desired: &Desired, observed: &Observed, rules: &PlanRules, now: Timestamp) -> Lives {
    let mut lives = Lives::default();
    for name in unwanted_live(desired, observed) {
        let count = counted(observed.unwanted.get(name), now);
        lives.add(name, count, (rules.archive_after, LifeStep::Archive), now);
    }
    for name in observed.archived.keys() {
        let is_wanted = desired.certificates.contains_key(name);
        if !is_wanted && !observed.held.contains_key(name) {
            let count = counted(observed.unwanted.get(name), now);
            lives.add(name, count, (rules.delete_after, LifeStep::Delete), now);
        }
    }
    if observed.are_any_missed || observed.are_any_away {
        // Who counts as before a gap may be away for good, or come back with other labels, and of an engine that was not
        // seen since the start nothing may be known: it is seen later.
        lives.steps.clear();
    }
    drop_used(&mut lives.steps, desired, observed, now);
    for (name, archived) in &observed.archived {
        let is_missing =
            desired.certificates.contains_key(name) && !observed.held.contains_key(name);
        if is_missing && archived.certificate.is_valid_at(now) {
            lives.steps.insert(name.clone(), LifeStep::Restore);
        }
    }
    lives
}

/// Leaves those alone that something uses; that is looked up only where the time of one is over. One that is archived may
/// be on record of a consumer that was away: it is not deleted, either.
fn drop_used(
    steps: &mut BTreeMap<CertificateName, LifeStep>,
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) {
    steps.retain(|name, _| {
        let subject = Subject::Certificate(name.clone());
        !observed.under_way.contains(&subject) && given_to(name, observed).is_none()
    });
    if steps.is_empty() {
        return;
    }
    for in_force in with_and_without_provided(desired, observed, now) {
        for serving in served(desired, &in_force, now).in_use {
            steps.remove(serving);
        }
    }
}

/// The certificates in force, and those that would be if the user emptied `provided/`: what serves then is of use, too.
fn with_and_without_provided(
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> [InForce; 2] {
    let without = InForce {
        certificates: Rc::clone(&observed.held),
        overruled: BTreeMap::new(),
    };
    [InForce::of(desired, observed, now), without]
}

/// A consumer that was given a certificate.
fn given_to<'a>(name: &CertificateName, observed: &'a Observed) -> Option<&'a ContainerName> {
    let mut consumers = observed.installed.iter();
    let found = consumers.find(|(_, installed)| installed.certificates.contains_key(name));
    found.map(|(consumer, _)| consumer)
}

/// The outcome for a certificate that is to be archived now; none while an order for it is under way.
pub fn forgotten(
    name: &CertificateName,
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> Option<Forgotten> {
    let claimed = desired.certificates.get(name);
    if let Some(by) = claimed.and_then(|wanted| wanted.claimed_by.first()) {
        return Some(Forgotten::Wanted { by: by.clone() });
    }
    if observed
        .under_way
        .contains(&Subject::Certificate(name.clone()))
    {
        return None;
    }
    let Some(held) = observed.held.get(name) else {
        return Some(match observed.archived.contains_key(name) {
            true => Forgotten::AlreadyArchived,
            false => Forgotten::NotHeld,
        });
    };
    if !held.source.is_obtained() {
        return Some(Forgotten::NotObtained);
    }
    let mut user = given_to(name, observed).map(|by| CertificateUser::Consumer(by.clone()));
    for in_force in with_and_without_provided(desired, observed, now) {
        let served = served(desired, &in_force, now);
        if served.in_use.contains(name) {
            let mut instead = served.instead.iter();
            let sites = instead.find(|(_, serving)| **serving == name);
            let sites = sites.map(|(wanted, _)| CertificateUser::SitesOf((*wanted).clone()));
            user = user.or(sites).or(Some(CertificateUser::Clients));
        }
    }
    Some(user.map_or(Forgotten::Archived, |by| Forgotten::InUse { by }))
}

impl Lives {
    /// Takes for done what restores certificates.
    pub fn foresee(&self, observed: &mut Observed) {
        for (name, step) in &self.steps {
            if *step == LifeStep::Restore
                && let Some(archived) = observed.archived.remove(name)
            {
                observed.hold(name.clone(), archived.certificate.clone());
            }
        }
    }

    fn add(
        &mut self,
        name: &CertificateName,
        count: Unwanted,
        (after, step): (Duration, LifeStep),
        now: Timestamp,
    ) {
        let left = after.saturating_sub(time_unwanted(&count, now));
        self.unwanted.insert(name.clone(), count);
        if left.is_zero() {
            self.steps.insert(name.clone(), step);
        } else {
            self.due.insert(name.clone(), now + left);
        }
    }
}

/// Certificates in `live/` that quaymaster obtained and nobody wants.
fn unwanted_live<'a>(desired: &Desired, observed: &'a Observed) -> Vec<&'a CertificateName> {
    let pairs = desired
        .certificates
        .keys()
        .merge_join_by(&*observed.held, |wanted, (held, _)| {
            Ord::cmp(*wanted, *held)
        });
    let mut unwanted = Vec::new();
    for pair in pairs {
        if let EitherOrBoth::Right((name, held)) = pair
            && held.source.is_obtained()
            && !is_needed_stand_in(name, desired)
        {
            unwanted.push(name);
        }
    }
    unwanted
}

/// True if it stands in for default certificates, as long as some are set.
fn is_needed_stand_in(name: &CertificateName, desired: &Desired) -> bool {
    let mut consumers = desired.consumers.values();
    *name == fallback::stand_in() && consumers.any(|one| !one.substitutes.defaults.is_empty())
}

/// The count by now. A clock that was set back counts nothing; the next look goes on from there.
fn counted(before: Option<&Unwanted>, now: Timestamp) -> Unwanted {
    let Some(before) = before else {
        return Unwanted {
            counted: Duration::ZERO,
            until: now,
        };
    };
    if before.until <= now && now.since(before.until) < WRITTEN_EVERY {
        return *before;
    }
    Unwanted {
        counted: time_unwanted(before, now),
        until: now,
    }
}

/// The time since a certificate was last wanted, as far as it counts.
fn time_unwanted(count: &Unwanted, now: Timestamp) -> Duration {
    count.counted + now.since(count.until).min(MOST_BETWEEN_LOOKS)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{super::tests::*, *};
    use crate::{
        desire::{
            LabelRules, desire,
            tests::{container, proxy, rules as label_rules, snapshot, usual_issuance},
        },
        fixtures::{held, plan_rules},
        observe::{ArchivedCertificate, HeldCertificate, Installed, Shelf, Source},
        values::Digest,
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const OLD: &str = "old.example";

    fn name(word: &str) -> CertificateName {
        CertificateName::parse(word).expect("a name")
    }

    /// A certificate of five years, obtained from the usual CA.
    fn obtained(names: &[&str]) -> HeldCertificate {
        HeldCertificate {
            not_before: START,
            not_after: START + DAY * 1825,
            source: Source::from(&usual_issuance().issuer),
            ..held(names)
        }
    }

    /// One site, and a certificate of another name that nobody wants.
    fn world(unwanted: HeldCertificate) -> (Desired, Observed) {
        let desired = desired([proxy(), shop()]);
        let mut observed = fresh(&desired);
        observed.hold(name("shop.example"), obtained(&["shop.example"]));
        observed.hold(name(OLD), unwanted);
        (desired, observed)
    }

    /// Takes what was decided for done, as the daemon does.
    fn act(observed: &mut Observed, lives: &Lives, now: Timestamp) {
        observed.unwanted = lives.unwanted.clone();
        lives.foresee(observed);
        for (name, step) in &lives.steps {
            match step {
                LifeStep::Archive => {
                    let held = Rc::make_mut(&mut observed.held).remove(name);
                    let archived = ArchivedCertificate {
                        version: 1,
                        at: now,
                        certificate: HeldCertificate::clone(&held.expect("it is live")),
                    };
                    observed.archived.insert(name.clone(), archived.into());
                }
                LifeStep::Delete => drop(observed.archived.remove(name)),
                LifeStep::Restore => {}
            }
        }
    }

    /// The steps of the old certificate, with the day of each, as it is looked at on these days.
    fn steps(
        desired: &Desired,
        observed: &mut Observed,
        days: impl IntoIterator<Item = u32>,
    ) -> Vec<(u32, LifeStep)> {
        let mut steps = Vec::new();
        for day in days {
            let now = START + DAY * day;
            let lives = lives(desired, observed, &rules(), now);
            assert!(!lives.steps.contains_key(&name("shop.example")));
            steps.extend(lives.steps.get(&name(OLD)).map(|step| (day, *step)));
            act(observed, &lives, now);
        }
        steps
    }

    #[test]
    fn what_nobody_wants_is_archived_and_deleted_in_its_time() {
        let (desired, mut observed) = world(obtained(&[OLD]));
        let found = steps(&desired, &mut observed, 0..1000);
        assert_eq!(found, [(30, LifeStep::Archive), (365, LifeStep::Delete)]);
        assert!(observed.unwanted.is_empty() && observed.archived.is_empty());
    }

    #[test]
    fn what_stands_in_for_a_default_is_kept_as_long_as_one_is_set() {
        let rules = LabelRules {
            default_certificate: Some(name("spare")),
            ..label_rules()
        };
        let set = desire(&snapshot([proxy(), shop()]), &rules);
        let unset = desired([proxy(), shop()]);
        for (desired, is_kept) in [(&set, true), (&unset, false)] {
            let mut observed = fresh(desired);
            let stand_in = HeldCertificate {
                source: Source::Fallback,
                ..obtained(&["default.invalid"])
            };
            observed.hold(fallback::stand_in(), stand_in);
            let found = lives(desired, &observed, &plan_rules(), START);
            assert_eq!(found.unwanted.is_empty(), is_kept);
        }
    }

    #[test]
    fn nothing_but_what_quaymaster_obtained_is_ever_touched() {
        let unknown = Source::Acme(String::new());
        for (source, is_touched) in [
            (Source::Provided, false),
            (unknown, false),
            (Source::SelfSigned, true),
            (Source::Fallback, true),
        ] {
            let held = HeldCertificate {
                source,
                ..obtained(&[OLD])
            };
            let (desired, mut observed) = world(held.clone());
            let provided = HeldCertificate {
                shelf: Shelf::Provided,
                source: Source::Provided,
                ..held
            };
            Rc::make_mut(&mut observed.provided).insert(name("x.example"), provided.into());
            let found = steps(&desired, &mut observed, 0..500);
            assert_eq!(!found.is_empty(), is_touched, "{found:?}");
            assert!(!observed.unwanted.contains_key(&name("x.example")));
        }
    }

    #[test]
    fn what_serves_a_name_or_lies_in_a_consumers_folder_stays() {
        // The wildcard is better than the one of the name, which has run out.
        let (desired, mut observed) = world(obtained(&["*.example"]));
        let ended = HeldCertificate {
            not_after: START,
            ..obtained(&["shop.example"])
        };
        observed.hold(name("shop.example"), ended);
        assert_eq!(steps(&desired, &mut observed, 0..500), []);
        observed.hold(name("shop.example"), obtained(&["shop.example"]));
        assert_eq!(
            steps(&desired, &mut observed, 500..501),
            [(500, LifeStep::Archive)]
        );
        let (desired, mut observed) = world(obtained(&[OLD]));
        let given = Installed {
            certificates: [(name(OLD), Digest::of(""))].into(),
            ..Installed::default()
        };
        let away = container("another", 9).name;
        observed.installed.insert(away.clone(), given.into());
        assert_eq!(steps(&desired, &mut observed, 0..500), []);
        observed.installed.remove(&away);
        let after = steps(&desired, &mut observed, 500..502);
        assert_eq!(after, [(500, LifeStep::Archive), (501, LifeStep::Delete)]);
    }

    #[test]
    fn a_name_that_is_wanted_in_between_begins_anew() {
        let (none, mut observed) = world(obtained(&[OLD]));
        let old = container("old", 5).label("host", OLD);
        let wanted = desired([proxy(), shop(), old]);
        assert_eq!(steps(&none, &mut observed, 0..30), []);
        assert_eq!(steps(&wanted, &mut observed, 30..31), []);
        assert!(observed.unwanted.is_empty());
        assert_eq!(
            steps(&none, &mut observed, 31..100),
            [(61, LifeStep::Archive)]
        );
        let restored = steps(&wanted, &mut observed, 100..102);
        assert_eq!(restored, [(100, LifeStep::Restore)]);
        assert!(observed.held.contains_key(&name(OLD)));
        let now = START + DAY * 102;
        let orders = told(&wanted, &observed, now);
        assert!(
            !orders.iter().any(|step| step.contains("obtain")),
            "{orders:?}"
        );
    }

    #[test]
    fn one_that_has_run_out_in_the_archive_is_obtained_anew() {
        let short = HeldCertificate {
            not_after: START + DAY * 90,
            ..obtained(&[OLD])
        };
        let (none, mut observed) = world(short);
        steps(&none, &mut observed, 0..100);
        let wanted = desired([proxy(), container("old", 5).label("host", OLD)]);
        assert_eq!(steps(&wanted, &mut observed, 100..101), []);
        assert!(!observed.held.contains_key(&name(OLD)));
    }

    #[test]
    fn a_clock_that_jumps_uses_up_a_day_at_most() {
        let (desired, mut observed) = world(obtained(&[OLD]));
        assert_eq!(steps(&desired, &mut observed, [0, 10_000, 20_000]), []);
        let counted = observed.unwanted[&name(OLD)].counted;
        assert_eq!(counted, DAY * 2);
        // Set back, it counts nothing, and goes on from there.
        assert_eq!(steps(&desired, &mut observed, [1]), []);
        assert_eq!(observed.unwanted[&name(OLD)].counted, DAY * 2);
        let found = steps(&desired, &mut observed, 2..1000);
        assert_eq!(found, [(29, LifeStep::Archive), (364, LifeStep::Delete)]);
    }

    #[test]
    fn nothing_goes_while_an_order_runs_or_a_gap_is_not_over() {
        let (desired, mut observed) = world(obtained(&[OLD]));
        let subject = Subject::Certificate(name(OLD));
        observed.under_way.insert(subject.clone());
        assert_eq!(steps(&desired, &mut observed, 0..50), []);
        observed.under_way.remove(&subject);
        observed.are_any_missed = true;
        assert_eq!(steps(&desired, &mut observed, 50..100), []);
        observed.are_any_missed = false;
        let found = steps(&desired, &mut observed, 100..101);
        assert_eq!(found, [(100, LifeStep::Archive)]);
    }

    #[test]
    fn the_count_is_written_down_once_an_hour() {
        let (desired, mut observed) = world(obtained(&[OLD]));
        let minute = Duration::from_secs(60);
        let mut written = Vec::new();
        for passed in 0..180 {
            let now = START + minute * passed;
            let lives = lives(&desired, &observed, &rules(), now);
            let archived_at = START + DAY * 30;
            assert_eq!(lives.due[&name(OLD)], archived_at);
            if lives.unwanted != observed.unwanted {
                written.push(passed);
            }
            act(&mut observed, &lives, now);
        }
        assert_eq!(written, [0, 60, 120]);
    }

    #[test]
    fn only_what_nobody_wants_or_uses_is_forgotten() {
        let (desired, mut observed) = world(obtained(&[OLD]));
        let of = |word: &str, observed: &Observed| {
            forgotten(&name(word), &desired, observed, START + DAY)
        };
        assert_eq!(of(OLD, &observed), Some(Forgotten::Archived));
        let by = container("shop", 4).name;
        let wanted = of("shop.example", &observed);
        assert_eq!(wanted, Some(Forgotten::Wanted { by }));
        assert_eq!(of("none.example", &observed), Some(Forgotten::NotHeld));
        let subject = Subject::Certificate(name(OLD));
        observed.under_way.insert(subject.clone());
        assert_eq!(of(OLD, &observed), None);
        observed.under_way.remove(&subject);
        let theirs = HeldCertificate {
            source: Source::Provided,
            ..obtained(&["theirs.example"])
        };
        observed.hold(name("theirs.example"), theirs);
        let theirs = of("theirs.example", &observed);
        assert_eq!(theirs, Some(Forgotten::NotObtained));
        let given = Installed {
            certificates: [(name(OLD), Digest::of(""))].into(),
            ..Installed::default()
        };
        let consumer = container("another", 9).name;
        observed.installed.insert(consumer.clone(), given.into());
        let by = CertificateUser::Consumer(consumer.clone());
        assert_eq!(of(OLD, &observed), Some(Forgotten::InUse { by }));
        observed.installed.remove(&consumer);
        observed.hold(name(OLD), obtained(&["*.example"]));
        Rc::make_mut(&mut observed.held).remove(&name("shop.example"));
        let by = CertificateUser::SitesOf(name("shop.example"));
        assert_eq!(of(OLD, &observed), Some(Forgotten::InUse { by }));
        Rc::make_mut(&mut observed.held).remove(&name(OLD));
        let archived = ArchivedCertificate {
            version: 1,
            at: START,
            certificate: obtained(&[OLD]),
        };
        observed.archived.insert(name(OLD), archived.into());
        assert_eq!(of(OLD, &observed), Some(Forgotten::AlreadyArchived));
    }
}
