use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::values::{CaLimits, Digest, Host, Limit, Timestamp};

/// The most by which our clock may have been set back since an entry was written: nothing is ordered by a clock that is
/// ahead of the CA's by more. Entries dated later than that are void.
const SET_BACK: Duration = Duration::from_secs(60 * 60);

/// More are not kept, the newest first: a bound for whoever writes down limits that are never reached.
const MOST_ENTRIES: usize = 100_000;

/// Something that a CA counts, written down before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When.
    pub at: Timestamp,
    /// The CA, by the URL of its directory.
    pub ca: String,
    /// The counted thing.
    pub counted: Counted,
}

/// A thing that a CA counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// A new order.
    Order {
        /// The Compose project of whoever asks for it.
        project: Option<String>,
    },
    /// A certificate that the CA was asked to issue.
    Certificate {
        /// Its names.
        names: Digest,
        /// The order that it is of: one that is gone on with after a crash counts once.
        order: Digest,
    },
    /// A name that the CA could not validate.
    Failure {
        /// Which.
        name: Host,
    },
}

/// The entries for all CAs, arranged by the subjects of their limits: a limit is looked up, however much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    cas: BTreeMap<String, CaLedger>,
    entries: usize,
    newest: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CaLedger {
    orders: Times,
    by_project: BTreeMap<Option<String>, Times>,
    certificates: BTreeMap<Digest, Issued>,
    failures: BTreeMap<Host, Times>,
}

/// Certificates for the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Issued {
    /// When each order came to its certificate.
    orders: BTreeMap<Digest, Timestamp>,
    /// The same times.
    times: Times,
}

impl Issued {
    /// Takes over one; says whether it is another than those before. Of one that is gone on with the last time counts.
    fn take(&mut self, order: Digest, at: Timestamp) -> bool {
        let before = self.orders.insert(order, at);
        before.into_iter().for_each(|time| self.times.remove(time));
        self.times.take(at);
        before.is_none()
    }
}

/// Times, the earliest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Times(Vec<Timestamp>);

impl Times {
    fn take(&mut self, time: Timestamp) {
        let place = self.0.partition_point(|known| *known <= time);
        self.0.insert(place, time);
    }

    /// Forgets one.
    fn remove(&mut self, time: Timestamp) {
        if let Ok(place) = self.0.binary_search(&time) {
            self.0.remove(place);
        }
    }

    /// Those that count at `now`.
    fn within(&self, within: Duration, now: Timestamp) -> &[Timestamp] {
        let from = self.0.partition_point(|time| *time + within <= now);
        let to = self.0.partition_point(|time| *time <= now + SET_BACK);
        &self.0[from.min(to)..to]
    }

    /// Forgets what did not count any more at this time.
    fn prune(&mut self, limit: Option<Limit>, time: Timestamp) {
        self.0.retain(|at| is_kept(limit, *at, time));
    }
}

fn is_kept(limit: Option<Limit>, at: Timestamp, time: Timestamp) -> bool {
    limit.is_some_and(|limit| at + limit.within > time)
}

/// The used part of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// The times that count, the earliest first.
    times: Cow<'a, [Timestamp]>,
    within: Duration,
}

impl Usage<'_> {
    /// Number of entries that count.
    pub fn count(&self) -> usize {
        self.times.len()
    }

    /// When fewer than `most` count; nothing where they do now.
    pub fn below(&self, most: usize) -> Option<Timestamp> {
        let last = self.times.len().checked_sub(most.max(1))?;
        self.times.get(last).map(|time| *time + self.within)
    }
}

impl Ledger {
    /// Joins these entries, of which some may be there twice.
    pub fn of(entries: impl IntoIterator<Item = LedgerEntry>) -> Self {
        let mut ledger = Self::default();
        entries.into_iter().for_each(|entry| ledger.take(entry));
        ledger
    }

    /// Takes over what was written down.
    pub fn take(&mut self, entry: LedgerEntry) {
        let LedgerEntry { at, ca, counted } = entry;
        self.newest = self.newest.max(Some(at));
        let ca = self.cas.entry(ca).or_default();
        match counted {
            Counted::Order { project } => {
                ca.orders.take(at);
                ca.by_project.entry(project).or_default().take(at);
            }
            Counted::Certificate { names, order } => {
                let known = ca.certificates.entry(names).or_default();
                if !known.take(order, at) {
                    return;
                }
            }
            Counted::Failure { name } => ca.failures.entry(name).or_default().take(at),
        }
        self.entries += 1;
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// New orders at a CA.
    pub fn orders(&self, ca: &str, within: Duration, now: Timestamp) -> Usage<'_> {
        let times = self.cas.get(ca).map(|ca| &ca.orders);
        usage(times, within, now)
    }

    /// Those of one project.
    pub fn orders_of(
        &self,
        ca: &str,
        project: Option<&str>,
        within: Duration,
        now: Timestamp,
    ) -> Usage<'_> {
        let own = self
            .cas
            .get(ca)
            .and_then(|ca| ca.by_project.get(&project.map(str::to_owned)));
        usage(own, within, now)
    }

    /// Certificates for exactly these names.
    pub fn certificates(
        &self,
        ca: &str,
        names: Digest,
        within: Duration,
        now: Timestamp,
    ) -> Usage<'_> {
        let known = self.cas.get(ca).and_then(|ca| ca.certificates.get(&names));
        usage(known.map(|issued| &issued.times), within, now)
    }

    /// Failed validations of a name.
    pub fn failures(&self, ca: &str, name: &Host, within: Duration, now: Timestamp) -> Usage<'_> {
        let times = self.cas.get(ca).and_then(|ca| ca.failures.get(name));
        usage(times, within, now)
    }

    /// Forgets what counts against no limit any more, by our clock and by what was written down since: a clock that is ahead
    /// for a while makes nothing be forgotten.
    pub fn prune(&mut self, limits: impl Fn(&str) -> CaLimits, now: Timestamp) {
        let now = self.newest.map_or(now, |newest| newest.min(now));
        for (directory, ca) in &mut self.cas {
            let limits = limits(directory);
            ca.orders.prune(limits.orders, now);
            for times in ca.by_project.values_mut() {
                times.prune(limits.orders, now);
            }
            for times in ca.failures.values_mut() {
                times.prune(limits.failures, now);
            }
            for issued in ca.certificates.values_mut() {
                issued
                    .orders
                    .retain(|_, at| is_kept(limits.same_names, *at, now));
                issued.times.prune(limits.same_names, now);
            }
            ca.by_project.retain(|_, times| !times.0.is_empty());
            ca.failures.retain(|_, times| !times.0.is_empty());
            ca.certificates
                .retain(|_, issued| !issued.orders.is_empty());
        }
        self.cas.retain(|_, ca| *ca != CaLedger::default());
        let all = self.to_entries();
        self.entries = all.len();
        if all.len() > MOST_ENTRIES {
            *self = Self::of(all.into_iter().skip(self.entries - MOST_ENTRIES));
        }
    }

    /// All of it, the earliest first, as it is written down.
    pub fn to_entries(&self) -> Vec<LedgerEntry> {
        let mut all = Vec::new();
        for (directory, ca) in &self.cas {
            let mut tell = |at: Timestamp, counted| {
                all.push(LedgerEntry {
                    at,
                    ca: directory.clone(),
                    counted,
                });
            };
            for (project, times) in &ca.by_project {
                let project = || project.clone();
                let each = times.0.iter();
                each.for_each(|at| tell(*at, Counted::Order { project: project() }));
            }
            for (names, issued) in &ca.certificates {
                for (order, at) in &issued.orders {
                    let (names, order) = (*names, *order);
                    tell(*at, Counted::Certificate { names, order });
                }
            }
            for (name, times) in &ca.failures {
                let each = times.0.iter();
                each.for_each(|at| tell(*at, Counted::Failure { name: name.clone() }));
            }
        }
        all.sort_by_key(|entry| entry.at);
        all
    }
}

fn usage(times: Option<&Times>, within: Duration, now: Timestamp) -> Usage<'_> {
    let times = times.map_or(&[][..], |times| times.within(within, now));
    Usage {
        times: times.into(),
        within,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const CA: &str = "https://ca.example/dir";

    fn order(at: Timestamp, project: Option<&str>) -> LedgerEntry {
        let project = project.map(str::to_owned);
        LedgerEntry {
            at,
            ca: CA.to_owned(),
            counted: Counted::Order { project },
        }
    }

    #[test]
    fn what_counts_is_what_lies_within_the_time_whatever_clock_it_was_written_by() {
        let times = [0, 10, 59, 60, 61].map(|minutes| NOW - MINUTE * minutes);
        let ahead = [NOW + MINUTE * 59, NOW + MINUTE * 61];
        let ledger = Ledger::of(times.into_iter().chain(ahead).map(|at| order(at, None)));
        let usage = ledger.orders(CA, HOUR, NOW);
        assert_eq!(usage.count(), 4, "and one that is dated a little later");
        for (most, expected) in [
            (5, None),
            (4, Some(NOW + MINUTE)),
            (3, Some(NOW + MINUTE * 50)),
            (1, Some(NOW + MINUTE * 119)),
            (0, Some(NOW + MINUTE * 119)),
        ] {
            assert_eq!(usage.below(most), expected, "{most}");
        }
        assert_eq!(ledger.orders("another", HOUR, NOW).count(), 0);
    }

    #[test]
    fn it_is_the_same_once_it_was_written_down_and_read_and_what_counts_no_more_goes() {
        let (names, shop) = (
            Digest::of("x"),
            Host::parse("shop.example").expect("a host"),
        );
        let of = |at, counted| LedgerEntry {
            at,
            ca: CA.to_owned(),
            counted,
        };
        let certificate = |at, order| {
            let order = Digest::of(order);
            of(at, Counted::Certificate { names, order })
        };
        let mut ledger = Ledger::of([
            order(NOW - HOUR * 4, Some("shop")),
            order(NOW, Some("shop")),
            order(NOW - MINUTE, None),
            certificate(NOW - HOUR, "1"),
            // Gone on with after a crash.
            certificate(NOW, "1"),
            certificate(NOW, "2"),
            of(NOW, Counted::Failure { name: shop.clone() }),
        ]);
        assert_eq!(ledger.entries(), 6);
        assert_eq!(ledger.certificates(CA, names, HOUR, NOW).count(), 2);
        assert_eq!(ledger.failures(CA, &shop, HOUR, NOW).count(), 1);
        assert_eq!(ledger.orders_of(CA, Some("shop"), HOUR, NOW).count(), 1);
        let text: Vec<_> = ledger
            .to_entries()
            .iter()
            .map(|entry| serde_json::to_string(entry).expect("it is written"))
            .collect();
        let read = text
            .iter()
            .map(|line| serde_json::from_str(line).expect("it is read"));
        assert_eq!(Ledger::of(read.collect::<Vec<LedgerEntry>>()), ledger);
        let hour = Limit {
            most: 5,
            within: HOUR,
        };
        let limits = CaLimits {
            orders: Some(hour),
            failures: Some(hour),
            ..CaLimits::NONE
        };
        ledger.prune(|_| limits, NOW);
        assert_eq!(ledger.entries(), 3, "nobody limits the same names any more");
        // A clock that is ahead, and time that has passed.
        ledger.prune(|_| limits, NOW + HOUR * 9);
        assert_eq!(ledger.entries(), 3);
        ledger.take(order(NOW + HOUR * 9, None));
        ledger.prune(|_| limits, NOW + HOUR * 9);
        assert_eq!(ledger.entries(), 1);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let many = (0..MOST_ENTRIES + 10).map(|n| {
            let age = Duration::from_millis(u64::try_from(n).expect("it is small"));
            order(NOW - age, None)
        });
        let mut ledger = Ledger::of(many.rev());
        let limits = CaLimits {
            orders: Some(Limit {
                most: 5,
                within: HOUR,
            }),
            ..CaLimits::NONE
        };
        ledger.prune(|_| limits, NOW);
        assert_eq!(ledger.entries(), MOST_ENTRIES);
        assert_eq!(ledger.orders(CA, HOUR, NOW).below(1), Some(NOW + HOUR));
    }
}
