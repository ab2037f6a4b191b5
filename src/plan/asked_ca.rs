//! Which CA of its list a certificate is asked of: nothing else decides that. All that follows has one CA.

use std::{borrow::Cow, collections::BTreeMap, fmt, rc::Rc, time::Duration};

use super::{
    PlanRules, backoff,
    helper::helper_of,
    obtain::asked_of,
    pauses::{busy_until, closed, is_void},
    renewal,
    selection::is_covered,
};
use crate::{
    desire::{Desired, Wanted},
    observe::{Attempt, HeldCertificate, Observed, Subject},
    values::{CertificateName, Issuer, Retry, Timestamp},
};

/// After so many failures of its own in a row, another CA is asked. By the pauses between orders they are ten minutes apart:
/// a CA that is started anew has come back by then, and the next try would be more than an hour away.
const MOST_FAILURES: u32 = 3;

/// The same where no certificate works: somebody waits for it, and one failure may be a cut connection.
const MOST_WHERE_NONE_WORKS: u32 = 2;

/// The same where the one that is held has less than half of its reserve left: it has been due for weeks, and every further
/// try at a CA that fails uses up the rest.
const MOST_WHERE_URGENT: u32 = 1;

/// Any certificate can wait this long: as long as the pause between two tries in a row.
const WAITS: Duration = Duration::from_secs(10 * 60);

/// That another CA of the list is asked than the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherCa {
    /// The one that is asked.
    pub asked: Issuer,
    /// Those that are passed over, and why.
    pub passed: Vec<(Issuer, PassedOver)>,
}

/// The reason why a CA is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// It has failed, and the fault was its own.
    Failed {
        /// Number of failures in a row.
        times: u32,
        /// When last.
        last: Timestamp,
    },
    /// It asks to be left alone for longer than the certificate can wait.
    Busy {
        /// Until when.
        until: Timestamp,
    },
}

impl fmt::Display for OtherCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, passed } = self;
        for (place, (issuer, why)) in passed.iter().enumerate() {
            let between = if place == 0 { "" } else { ", and " };
            match why {
                PassedOver::Failed { times: 1, last } => {
                    write!(f, "{between}{issuer} failed at {last}")?;
                }
                PassedOver::Failed { times, last } => {
                    write!(
                        f,
                        "{between}{issuer} failed {times} times, the last time at {last}"
                    )?;
                }
                PassedOver::Busy { until } => {
                    write!(f, "{between}{issuer} asks for a pause until {until}")?;
                }
            }
        }
        match passed.is_empty() {
            true => write!(f, "{asked} was asked last, and is asked until it fails"),
            false => write!(f, "; {asked} is asked"),
        }
    }
}

/// The wanted certificates, each with the CA of its list that is asked for it now.
pub fn choose_cas<'d>(
    desired: &'d Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> Cow<'d, Desired> {
    chosen(desired, observed, rules, now).0
}

/// The same, with those of which another CA is asked than the first of their lists, or all have failed.
pub(super) fn chosen<'d>(
    desired: &'d Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> (Cow<'d, Desired>, BTreeMap<CertificateName, OtherCa>) {
    let mut others = BTreeMap::new();
    let mut changed = Vec::new();
    let is_none_busy = observed.busy_cas.is_empty();
    for (name, wanted) in &desired.certificates {
        if !wanted.issuers.are_several() {
            continue;
        }
        let first = wanted.issuers.first();
        let is_first = wanted.issuance.issuer == *first && first.is_trusted();
        let was_tried = || {
            let subject = Subject::Certificate(name.clone());
            observed.attempts.contains_key(&subject)
        };
        // Of thousands, nearly all are asked of the first that there is.
        if is_none_busy && is_first && !was_tried() {
            continue;
        }
        let list = CaList::of((name, wanted), observed, rules, now);
        let asked = list.asked();
        if *asked != wanted.issuance.issuer {
            changed.push((name.clone(), asked.clone()));
        }
        if let Some(other) = list.other(asked) {
            others.insert(name.clone(), other);
        }
    }
    let mut desired = Cow::Borrowed(desired);
    for (name, issuer) in changed {
        if let Some(wanted) = desired.to_mut().certificates.get_mut(&name) {
            Rc::make_mut(wanted).issuance.issuer = issuer;
        }
    }
    (desired, others)
}

/// True if the last try was at another CA than the one that is asked now.
pub(super) fn is_another(wanted: &Wanted, record: Option<&Attempt>) -> bool {
    let mut issuers = wanted.issuers.iter();
    let last =
        record.and_then(|record| issuers.find(|issuer| record.asked == asked_of(wanted, issuer)));
    *last.unwrap_or_else(|| wanted.issuers.first()) != wanted.issuance.issuer
}

/// The records of the other CAs of the list, to be kept beside a try at the CA that is asked.
pub(super) fn others_of(wanted: &Wanted, record: Option<&Attempt>) -> Vec<Attempt> {
    let others = wanted.issuers.iter();
    let others = others.filter(|issuer| **issuer != wanted.issuance.issuer);
    let others: Vec<_> = others.map(|issuer| asked_of(wanted, issuer)).collect();
    let known = record.into_iter().flat_map(Attempt::of_each_ca);
    let known = known.filter(|attempt| others.contains(&attempt.asked));
    known.map(Attempt::without_others).collect()
}

/// The CAs that may be asked for a certificate.
struct CaList<'a> {
    name: &'a CertificateName,
    wanted: &'a Wanted,
    /// Those that come into question, in their order; at least one.
    issuers: Vec<&'a Issuer>,
    /// The one that is held and can be served for all that is wanted.
    working: Option<&'a HeldCertificate>,
    record: Option<&'a Attempt>,
    observed: &'a Observed,
    rules: &'a PlanRules,
    now: Timestamp,
}

impl<'a> CaList<'a> {
    fn of(
        (name, wanted): (&'a CertificateName, &'a Wanted),
        observed: &'a Observed,
        rules: &'a PlanRules,
        now: Timestamp,
    ) -> Self {
        let held = observed.lasting(name);
        let is_working =
            |held: &&HeldCertificate| held.is_valid_at(now) && is_covered(&wanted.names, held);
        // Before the end of one that is trusted, nobody is asked for one that is not.
        let would_stay = |issuer: &Issuer| {
            held.is_some_and(|held| renewal::kept_until(held, issuer, now).is_some())
        };
        // A helper has one CA; what it does there is its own matter.
        let is_helped = helper_of(wanted, observed.held.get(name).map(Rc::as_ref)).is_some();
        let all = || wanted.issuers.iter();
        let mut issuers: Vec<_> = match is_helped {
            true => Vec::new(),
            false => all().filter(|issuer| !would_stay(issuer)).collect(),
        };
        if issuers.is_empty() {
            issuers.push(wanted.issuers.first());
        }
        Self {
            name,
            wanted,
            issuers,
            working: held.filter(is_working),
            record: observed.attempts.get(&Subject::Certificate(name.clone())),
            observed,
            rules,
            now,
        }
    }

    /// The one that is asked: the one that was asked last, as long as it is not passed over; then the next of the list that is
    /// not. Where all are, the one that may be asked first.
    fn asked(&self) -> &'a Issuer {
        let is_last = |issuer: &&Issuer| {
            let asked = asked_of(self.wanted, issuer);
            self.record.is_some_and(|record| record.asked == asked)
        };
        let last = match self.record {
            Some(_) => self.issuers.iter().position(is_last).unwrap_or(0),
            None => 0,
        };
        let mut onwards = self.issuers[last..].iter();
        let next = onwards.find(|issuer| self.passed_over(issuer).is_none());
        let first_again = || self.issuers.iter().min_by_key(|issuer| self.again(issuer));
        next.or_else(first_again).expect("there is at least one")
    }

    /// The reason why this CA is asked, where it is not simply the first.
    fn other(&self, asked: &Issuer) -> Option<OtherCa> {
        let others = self.issuers.iter().filter(|issuer| **issuer != asked);
        let passed =
            others.filter_map(|issuer| Some(((*issuer).clone(), self.passed_over(issuer)?)));
        let passed: Vec<_> = passed.collect();
        let is_first = self.issuers.first().is_some_and(|first| *first == asked);
        (!is_first || self.passed_over(asked).is_some()).then(|| OtherCa {
            asked: asked.clone(),
            passed,
        })
    }

    /// The reason why this CA is not asked as long as another can be.
    fn passed_over(&self, issuer: &Issuer) -> Option<PassedOver> {
        let failed = self.failed(issuer).filter(|record| {
            let most = match self.working {
                None => MOST_WHERE_NONE_WORKS,
                Some(held) if renewal::urgent_from(held) <= self.now => MOST_WHERE_URGENT,
                Some(_) => MOST_FAILURES,
            };
            // Pauses of ours don't count: they grow with failures that are not the CA's, too.
            let said = match record.retry {
                Retry::NotBefore(time) => Some(time),
                Retry::Daily => Some(backoff::next_try(&self.subject(), record)),
                Retry::Backoff | Retry::SelfCheck | Retry::Propagation(_) => None,
            };
            record.ca.own >= most || said.is_some_and(|time| self.is_too_late(time))
        });
        let failed = failed.map(|record| PassedOver::Failed {
            times: record.ca.own,
            last: record.last,
        });
        let busy = || {
            let until = busy_until(self.name, issuer, self.observed, self.now)?;
            self.is_too_late(until)
                .then_some(PassedOver::Busy { until })
        };
        failed.or_else(busy)
    }

    /// The record of the tries at this one where they failed by its own fault.
    fn failed(&self, issuer: &Issuer) -> Option<&'a Attempt> {
        let record = self.record?.about(asked_of(self.wanted, issuer))?;
        (record.ca.own > 0 && !is_void(record, self.rules)).then_some(record)
    }

    /// True if the certificate can't wait until then.
    fn is_too_late(&self, time: Timestamp) -> bool {
        let soon = self.now + WAITS;
        let urgent = self.working.map(renewal::urgent_from);
        time > urgent.map_or(soon, |urgent| urgent.max(soon))
    }

    /// When this one may be asked again.
    fn again(&self, issuer: &Issuer) -> Timestamp {
        let record = self
            .record
            .and_then(|record| record.about(asked_of(self.wanted, issuer)));
        let record = record
            .filter(|record| !is_void(record, self.rules) && !record.is_from_the_future(self.now));
        let own = record.map(|record| backoff::next_try(&self.subject(), record));
        let of_ca = closed(self.name, issuer, self.observed, self.now).map(|closed| closed.until);
        own.max(of_ca).unwrap_or(self.now).max(self.now)
    }

    fn subject(&self) -> Subject {
        Subject::Certificate(self.name.clone())
    }
}
