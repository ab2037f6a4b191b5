//! One certificate for each name: what the user has put into `provided/`, or what lies in `live/` under the same name.

use std::{borrow::Cow, collections::BTreeMap, rc::Rc};

use super::{
    candidates::Skipped,
    obtain::HeldCertificates,
    selection::{Index, is_covered, reader_in_need},
};
use crate::{
    desire::Desired,
    observe::{HeldCertificate, Observed},
    values::{CertificateName, Timestamp},
};

/// One certificate for each name, decided once a turn: where the user has put one of the same name into `provided/`, that
/// one, unless ours is the better: one that can be served before one that can't, one that covers what is wanted before one
/// that does not, any before a fallback, a valid one before one that has run out, and one that has taken the place of one
/// that gives way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// The one of each name. As long as nothing changes it is the same `Rc`, so that a change is quickly found.
    pub certificates: Rc<HeldCertificates>,
    /// The other one of the same name, where there is one.
    pub overruled: BTreeMap<CertificateName, Overruled>,
}

/// A certificate in whose place another one of the same name is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overruled {
    /// The certificate itself.
    pub certificate: Rc<HeldCertificate>,
    /// The reason why it is not in force.
    pub why: Skipped,
}

impl InForce {
    /// The certificates in force at `now`.
    pub fn of(desired: &Desired, observed: &Observed, now: Timestamp) -> Self {
        let overruled = overruled(desired, observed, now);
        Self {
            certificates: chosen(observed, &overruled),
            overruled,
        }
    }

    /// The facts, with the certificates in force as those that are held.
    pub fn within<'a>(&self, observed: &'a Observed) -> Cow<'a, Observed> {
        match Rc::ptr_eq(&self.certificates, &observed.held) {
            true => Cow::Borrowed(observed),
            false => Cow::Owned(Observed {
                held: Rc::clone(&self.certificates),
                ..observed.clone()
            }),
        }
    }
}

/// The certificates that were in force when last asked, and the facts from which that was found out. The memory decides
/// nothing: without it the same is in force, and a comparison has to look at each certificate.
#[derive(Debug, Default)]
pub(super) struct InForceMemory {
    held: Rc<HeldCertificates>,
    provided: Rc<HeldCertificates>,
    last: InForce,
    index: Rc<Index>,
}

impl InForceMemory {
    /// The certificates in force at `now`: the same as [`InForce::of`].
    pub fn follow(&mut self, desired: &Desired, observed: &Observed, now: Timestamp) -> InForce {
        let overruled = overruled(desired, observed, now);
        // A look that finds the same certificates makes each of them anew: told once, it need not be told of each again.
        let is_known = self.held == observed.held
            && self.provided == observed.provided
            && self.last.overruled == overruled;
        if !is_known {
            self.last = InForce {
                certificates: chosen(observed, &overruled),
                overruled,
            };
            self.held = Rc::clone(&observed.held);
            self.provided = Rc::clone(&observed.provided);
            self.index = Rc::default();
        }
        self.last.clone()
    }

    /// Those in `live/`, as long as nothing changes in the same `Rc`.
    pub fn live(&self) -> Rc<HeldCertificates> {
        Rc::clone(&self.held)
    }

    /// The names of what was last said to be in force.
    pub fn index(&self) -> Rc<Index> {
        Rc::clone(&self.index)
    }
}

/// Of two that have one name, the one that is not in force.
fn overruled(
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> BTreeMap<CertificateName, Overruled> {
    let mut overruled = BTreeMap::new();
    for (name, provided) in observed.provided.iter() {
        let Some(own) = observed.held.get(name) else {
            continue;
        };
        let [of_provided, of_own] = [provided, own].map(|held| worth(name, held, desired, now));
        let is_succeeded = of_provided == of_own && own.succeeds(provided);
        let (loser, why) = match of_provided >= of_own {
            true if is_succeeded => (provided, Skipped::Other),
            true => (own, of_own.less_than(of_provided)),
            false => (provided, of_provided.less_than(of_own)),
        };
        let loser = Overruled {
            certificate: Rc::clone(loser),
            why,
        };
        overruled.insert(name.clone(), loser);
    }
    overruled
}

/// All certificates but the overruled ones.
fn chosen(
    observed: &Observed,
    overruled: &BTreeMap<CertificateName, Overruled>,
) -> Rc<HeldCertificates> {
    if observed.provided.is_empty() {
        return Rc::clone(&observed.held);
    }
    let mut chosen = HeldCertificates::clone(&observed.held);
    for (name, provided) in observed.provided.iter() {
        let is_overruled = overruled
            .get(name)
            .is_some_and(|loser| Rc::ptr_eq(&loser.certificate, provided));
        if !is_overruled {
            chosen.insert(name.clone(), Rc::clone(provided));
        }
    }
    Rc::new(chosen)
}

/// Four things that count for a certificate, the weightiest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    can_be_read: bool,
    covers_wanted: bool,
    is_lasting: bool,
    is_valid: bool,
}

fn worth(
    name: &CertificateName,
    certificate: &HeldCertificate,
    desired: &Desired,
    now: Timestamp,
) -> Worth {
    let wanted = desired.certificates.get(name);
    Worth {
        can_be_read: reader_in_need(certificate, desired).is_none(),
        covers_wanted: wanted.is_none_or(|wanted| is_covered(&wanted.names, certificate)),
        is_lasting: !certificate.is_fallback(),
        is_valid: certificate.is_valid_at(now),
    }
}

impl Worth {
    /// The reason why it is the lesser one; where nothing else decides, the user's own is preferred.
    fn less_than(self, other: Self) -> Skipped {
        if self.can_be_read != other.can_be_read {
            Skipped::NotReadThere
        } else if self.covers_wanted != other.covers_wanted {
            Skipped::DoesNotCover
        } else if self.is_lasting != other.is_lasting {
            Skipped::OnlyFallback
        } else if self.is_valid != other.is_valid {
            Skipped::NotValid
        } else {
            Skipped::YoursGoesBefore
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::*, *};
    use crate::{
        desire::tests::{container, proxy},
        fixtures::{held, usual_issuance},
        observe::{Shelf, Source},
        values::Digest,
    };

    const SHOP: &str = "shop.example";
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn name(word: &str) -> CertificateName {
        CertificateName::parse(word).expect("a name")
    }

    fn ours() -> HeldCertificate {
        HeldCertificate {
            digest: Digest::of("ours"),
            source: Source::from(&usual_issuance().issuer),
            ..held(&[SHOP])
        }
    }

    fn theirs(names: &[&str]) -> HeldCertificate {
        HeldCertificate {
            digest: Digest::of("theirs"),
            shelf: Shelf::Provided,
            ..held(names)
        }
    }

    #[test]
    fn of_two_of_one_name_the_other_one_is_told_with_its_reason() {
        let desired = desired([proxy(), container("shop", 4).label("host", SHOP)]);
        let ended = HeldCertificate {
            not_after: START - DAY,
            ..theirs(&[SHOP])
        };
        let begins = HeldCertificate {
            not_before: START + DAY,
            ..ours()
        };
        for (theirs, ours, loser, why) in [
            (
                theirs(&[SHOP]),
                ours(),
                Shelf::Live,
                Skipped::YoursGoesBefore,
            ),
            (
                theirs(&["b.example"]),
                ours(),
                Shelf::Provided,
                Skipped::DoesNotCover,
            ),
            (ended, ours(), Shelf::Provided, Skipped::NotValid),
            (theirs(&[SHOP]), begins, Shelf::Live, Skipped::NotValid),
        ] {
            let mut observed = Observed::default();
            observed.hold(name(SHOP), ours);
            observed.provide(name(SHOP), theirs);
            let found = InForce::of(&desired, &observed, START);
            let told = &found.overruled[&name(SHOP)];
            assert_eq!((told.certificate.shelf, told.why), (loser, why));
            assert_ne!(found.certificates[&name(SHOP)].shelf, loser);
        }
    }

    #[test]
    fn what_is_in_force_is_the_same_value_as_long_as_nothing_changes() {
        let desired = desired([proxy(), container("shop", 4).label("host", SHOP)]);
        let mut observed = Observed::default();
        observed.hold(name(SHOP), ours());
        let ends = HeldCertificate {
            not_after: START + DAY,
            ..theirs(&[SHOP])
        };
        observed.provide(name(SHOP), ends);
        let mut memory = InForceMemory::default();
        let mut is_kept = |observed: &Observed, now: Timestamp| {
            let before = Rc::clone(&memory.last.certificates);
            let found = memory.follow(&desired, observed, now);
            assert_eq!(found, InForce::of(&desired, observed, now));
            Rc::ptr_eq(&before, &found.certificates)
        };
        assert!(!is_kept(&observed, START), "it is the first look");
        assert!(is_kept(&observed, START + DAY / 2));
        assert!(!is_kept(&observed, START + DAY), "that of the user ends");
        assert!(is_kept(&observed, START + DAY));
        let again = observed.held.iter();
        let again = again.map(|(name, held)| (name.clone(), Rc::new(HeldCertificate::clone(held))));
        observed.held = Rc::new(again.collect());
        assert!(is_kept(&observed, START + DAY), "they were looked at again");
        observed.provide(name("corp"), theirs(&["corp.example"]));
        assert!(!is_kept(&observed, START + DAY));
        observed.hold(name("more"), ours());
        assert!(!is_kept(&observed, START + DAY));
        assert!(is_kept(&observed, START + DAY));
    }
}
