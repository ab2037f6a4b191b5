//! Facts: what the engine says, what lies on disk, what was tried.
//!
//! Values only. Adapters fill them, ports hand them over, `desire` and `plan` read them. Nothing here judges a label or
//! decides what to do.

mod bearer;
mod busy_ca;
mod certificate;
mod clock_gap;
mod elsewhere;
mod event;
mod forget;
mod hand_order;
mod hand_over;
mod history;
mod holder;
mod installed;
mod interest;
mod ledger;
mod life;
mod mounts;
mod name_look;
mod news;
mod part_name;
mod release;
mod removed;
mod renewal_info;
mod signals;
mod webroots;
mod wish;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use bearer::{
    Bearer, BearerState, Detail, Endpoint, Health, Joined, RestartPolicy, Wait, Way, times,
};
pub use busy_ca::BusyCa;
pub use certificate::{CertificateVersion, HeldCertificate, Shelf, Source};
pub use clock_gap::ClockGap;
pub use elsewhere::Elsewhere;
pub use event::{EngineEvent, EventKind};
pub use forget::{CertificateUser, Forget, Forgotten};
pub use hand_order::{HandOrder, HandStage, HandTask};
pub use hand_over::{HandOver, TakenOver};
pub use history::{HistoryEntry, MOST_ENTRIES};
pub use holder::Holder;
pub use installed::{
    CLOSED, Installed, InstalledFile, InstalledTemplates, Process, Progress, Refused,
    RefusedTemplates, Trial, Units,
};
pub use interest::Interest;
pub use ledger::{Counted, Ledger, LedgerEntry, Usage};
pub use life::{ArchivedCertificate, Unwanted};
pub use mounts::{Mount, MountKind, Place, SharedPath, find, locate, mount_of, source};
pub use name_look::{
    Addresses, CaaIssuer, CaaRecord, CaaRecords, LookupFault, NameLook, Visit, VisitEnd,
};
pub use news::{Happening, News, NewsBook, OpenMatter, OwedNews};
pub use part_name::PartName;
pub use release::{Release, Released};
pub use removed::Removed;
pub use renewal_info::{
    FollowedSuggestion, RenewalInfo, RenewalRecord, RenewalSuggestion, SuggestedWindow,
};
pub use signals::{Sent, Signals};
pub use webroots::Webroots;
pub use wish::{Blame, RenewalOutcome, RenewalRequest, Stage};

use crate::values::{CertificateName, ContainerName, Digest, Host, KeyedTable, Retry, Timestamp};

/// The engine's description of its containers, as far as it concerns quaymaster, with what is remembered of earlier
/// ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bearers of labels that concern us, running or not. A bearer that is the same as before is the same `Rc`, so that
    /// others are quickly found.
    pub bearers: KeyedTable<ContainerName, Rc<Bearer>>,
    /// The container we run in; `None` on a host.
    pub own: Option<Bearer>,
    /// Which project has which host, from before.
    pub holders: KeyedTable<Host, Holder>,
}

/// The certificates, records and attempts that quaymaster has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Certificates in `live/`: ours, and what others put there.
    pub held: Rc<BTreeMap<CertificateName, Rc<HeldCertificate>>>,
    /// Certificates that the user put into `provided/`.
    pub provided: Rc<BTreeMap<CertificateName, Rc<HeldCertificate>>>,
    /// Certificates that are archived.
    pub archived: BTreeMap<CertificateName, Rc<ArchivedCertificate>>,
    /// Certificates that quaymaster obtained and nobody wants any more, live or archived, and for how long.
    pub unwanted: BTreeMap<CertificateName, Unwanted>,
    /// The contents of the consumers' folders.
    pub installed: BTreeMap<ContainerName, Rc<Installed>>,
    /// Failures on record; a success removes its record.
    pub attempts: BTreeMap<Subject, Attempt>,
    /// Files that labels name and that are not there.
    pub missing: BTreeSet<SharedPath>,
    /// CAs, by their directory URLs, that don't take the e-mail address of the settings.
    pub refused_emails: BTreeMap<String, RefusedEmail>,
    /// CAs, by their directory URLs, that ask to be left alone.
    pub busy_cas: BTreeMap<String, BusyCa>,
    /// CAs, by their directory URLs, whose clocks are too far from ours.
    pub clock_gaps: BTreeMap<String, ClockGap>,
    /// The requests to CAs, as far as these limit them.
    pub ledger: Rc<Ledger>,
    /// The suggestions of CAs about the renewal of their certificates.
    pub renewals: KeyedTable<CertificateName, RenewalRecord>,
    /// The subjects of the actions that run now.
    pub under_way: BTreeSet<Subject>,
    /// Renewals that somebody wishes for.
    pub wishes: BTreeMap<CertificateName, RenewalRequest>,
    /// True if any container counts as it was before a gap, since the engine has not said what it is now.
    pub are_any_missed: bool,
    /// True if an engine that has a name is out of reach, or was not seen yet: what it said last still counts.
    pub are_any_away: bool,
}

impl Observed {
    /// Forgets that these parts were refused or doubted.
    pub fn clear<'a>(&mut self, cleared: impl IntoIterator<Item = &'a (ContainerName, PartName)>) {
        for (consumer, part) in cleared {
            if let Some(installed) = self.installed.get_mut(consumer) {
                Rc::make_mut(installed).trial.retain(|known| known != part);
            }
        }
    }

    /// The certificate of this name, if it is no fallback.
    pub fn lasting(&self, name: &CertificateName) -> Option<&HeldCertificate> {
        self.held.get(name).and_then(|held| held.lasting())
    }

    /// Takes over a certificate in `live/`.
    pub fn hold(&mut self, name: CertificateName, held: HeldCertificate) {
        Rc::make_mut(&mut self.held).insert(name, Rc::new(held));
    }

    /// Takes over a certificate in `provided/`.
    pub fn provide(&mut self, name: CertificateName, held: HeldCertificate) {
        Rc::make_mut(&mut self.provided).insert(name, Rc::new(held));
    }
}

/// An e-mail address that a CA does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedEmail {
    /// Which.
    pub email: String,
    /// The reason, in the CA's words.
    pub problem: String,
}

/// The subject of an action. No two actions about one subject run at the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A certificate that is obtained.
    Certificate(CertificateName),
    /// A certificate in whose place a self-signed one is made. An order for it may run meanwhile.
    Fallback(CertificateName),
    /// A consumer that is deployed to.
    Consumer(ContainerName),
}

/// The most by which a clock may be set back, as it is from time to time to be right, while records still count.
const SET_BACK: Duration = Duration::from_secs(60);

/// A try on record, written down before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of attempts in a row, this one included.
    pub count: u32,
    /// When the latest ended; when it began, while that is not known yet.
    pub last: Timestamp,
    /// A digest of the request; another digest makes the record void.
    pub asked: Digest,
    /// When the next may be.
    pub retry: Retry,
    /// The problem, for people; `None` while it is not known yet.
    pub problem: Option<String>,
    /// A digest of the settings and the program that also mattered to it; nothing in records of earlier versions.
    #[serde(default)]
    pub circumstances: Option<Digest>,
    /// The longest pause after it that the life of the certificate allows which it is to replace; nothing where there is
    /// none, and in records of earlier versions.
    #[serde(default)]
    pub longest_pause: Option<Duration>,
    /// Number of looks before an order that failed in a row; none of them counts as a try at the CA. Nothing in records
    /// of earlier versions.
    #[serde(default)]
    pub looks: u32,
    /// The record of the CA that was asked, and of the others of its list. Nothing in records of earlier versions.
    #[serde(default, skip_serializing_if = "CaRecord::is_empty")]
    pub ca: CaRecord,
}

/// Whose the failures of a CA are, and how the other CAs of a list failed before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaRecord {
    /// Number of failures in a row that were the CA's own: it can't be reached, is busy, or does not do its part.
    #[serde(default)]
    pub own: u32,
    /// True if the CA could not validate a name when it last looked.
    #[serde(default)]
    pub is_unvalidated: bool,
    /// The latest tries at the other CAs of the list; each is without others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Attempt>,
}

/// Whose fault it is that a CA has not issued a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The CA's own: another one may do what this one does not.
    Ca,
    /// A limit of the CA that is about the request. Where it could not validate a name before, it says so about that.
    Limit,
    /// The CA could not validate a name, or must not issue for it: others would see the same.
    Names,
    /// Ours, or it is not known.
    Here,
}

impl CaRecord {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a failure.
    pub fn count(&mut self, fault: Fault) {
        match fault {
            Fault::Limit if self.is_unvalidated => self.own = 0,
            Fault::Ca | Fault::Limit => self.own = self.own.saturating_add(1),
            Fault::Names => (self.own, self.is_unvalidated) = (0, true),
            Fault::Here => {}
        }
    }
}

impl Attempt {
    /// Stands for a first try that we ended ourselves, in good order: nothing failed, and its order goes on.
    pub fn broken_off(now: Timestamp) -> Self {
        Self {
            count: 0,
            last: now,
            asked: unknown(),
            retry: Retry::Backoff,
            problem: None,
            circumstances: None,
            longest_pause: None,
            looks: 0,
            ca: CaRecord::default(),
        }
    }

    /// True if the attempt is known to have failed, or to have been cut off.
    pub fn is_failure(&self) -> bool {
        self.count > 0 || self.looks > 0
    }

    /// Number of failures in a row of the same kind as the latest.
    pub fn in_a_row(&self) -> u32 {
        match self.retry {
            Retry::SelfCheck | Retry::Propagation(_) => self.looks,
            Retry::Backoff | Retry::NotBefore(_) | Retry::Daily => self.count,
        }
    }

    /// Stands for a record that can't be read any more: as if there had been one failure just now, whatever was asked
    /// for, so that damage can't be used up against a CA's limits.
    pub fn lost(now: Timestamp, problem: String) -> Self {
        Self {
            count: 1,
            last: now,
            asked: unknown(),
            retry: Retry::Backoff,
            problem: Some(problem),
            circumstances: None,
            longest_pause: None,
            looks: 0,
            ca: CaRecord::default(),
        }
    }

    /// True if our clock was set back since: its age is unknown then, and its pause could be years.
    pub fn is_from_the_future(&self, now: Timestamp) -> bool {
        now + SET_BACK < self.last
    }

    /// True if it stands for a record that was lost.
    pub fn is_lost(&self) -> bool {
        self.asked == unknown() && self.is_failure()
    }

    /// True if the process that made it ended before it knew the result.
    pub fn was_cut_off(&self) -> bool {
        self.problem.is_none()
    }

    /// True if the disk did not take the result: the pause is one of quaymaster's then, where a CA names a time to
    /// come.
    pub fn was_not_kept(&self) -> bool {
        matches!(self.retry, Retry::NotBefore(time) if time <= self.last)
    }

    /// The tries at all CAs that are on record, the latest first.
    pub fn of_each_ca(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.ca.others)
    }

    /// The same without what is known of other CAs.
    pub fn without_others(&self) -> Self {
        Self {
            ca: CaRecord {
                others: Vec::new(),
                ..self.ca
            },
            ..self.clone()
        }
    }

    /// The latest try that counts for what is asked for now, of one CA.
    pub fn about(&self, asked: Digest) -> Option<&Self> {
        self.of_each_ca().find(|attempt| attempt.is_about(asked))
    }

    /// True if it counts for the request of now.
    pub fn is_about(&self, asked: Digest) -> bool {
        self.asked == asked || self.is_lost()
    }
}

/// The digest of an unknown request: no request has it, since each names a CA.
fn unknown() -> Digest {
    Digest::of("a record that was lost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let asked = Digest::of("x");
        let text = format!(
            r#"{{"count": 3, "last": "2026-11-22T18:17:00Z", "asked": "{asked}", "retry": "when-input-changes", "problem": "no"}}"#
        );
        let read: Attempt = serde_json::from_str(&text).expect("it is read");
        assert_eq!((read.retry, read.circumstances), (Retry::Daily, None));
        assert!(read.is_failure() && !read.is_lost());
        assert_eq!(read.ca, CaRecord::default());
        let text = r#"{"acme": "HTTPS://CA.example:443/dir"}"#;
        let read: Source = serde_json::from_str(text).expect("it is read");
        assert_eq!(read, Source::Acme("https://ca.example/dir".to_owned()));
    }

    #[test]
    fn a_record_of_several_cas_is_read_again_and_an_earlier_version_reads_the_latest_of_it() {
        /// As a version without lists of CAs had it.
        #[derive(Deserialize)]
        struct Earlier {
            count: u32,
            asked: Digest,
        }

        let one = |word: &str, own| Attempt {
            count: 3,
            asked: Digest::of(word),
            ca: CaRecord {
                own,
                ..CaRecord::default()
            },
            ..Attempt::broken_off(Timestamp::from_seconds(1_800_000_000))
        };
        let mut latest = one("second", 1);
        latest.ca.others = vec![one("first", 3)];
        let text = serde_json::to_string(&latest).expect("it is written");
        let read: Attempt = serde_json::from_str(&text).expect("it is read");
        assert_eq!(read, latest);
        assert_eq!(read.about(Digest::of("first")).map(|it| it.ca.own), Some(3));
        assert_eq!(read.about(Digest::of("third")), None);
        let earlier: Earlier = serde_json::from_str(&text).expect("it is read");
        assert_eq!((earlier.count, earlier.asked), (3, Digest::of("second")));
        // One CA alone leaves no trace of lists.
        let alone = serde_json::to_string(&one("first", 0)).expect("it is written");
        assert!(
            !alone.contains("others") && !alone.contains("\"ca\""),
            "{alone}"
        );
    }

    #[test]
    fn only_what_is_a_cas_own_fault_counts_against_it() {
        let mut record = CaRecord::default();
        for (fault, expected) in [
            (Fault::Ca, 1),
            (Fault::Here, 1),
            (Fault::Limit, 2),
            (Fault::Ca, 3),
            (Fault::Names, 0),
            // It limits how often it may fail to validate a name.
            (Fault::Limit, 0),
            (Fault::Here, 0),
            (Fault::Ca, 1),
        ] {
            record.count(fault);
            assert_eq!(record.own, expected, "{fault:?}");
        }
    }
}
