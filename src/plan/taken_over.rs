//! Certificates that somebody obtained by a command: in whose place a daemon uses them.

use super::renewal;
use crate::{
    desire::{Desired, Wanted},
    observe::{HeldCertificate, Observed, Subject, TakenOver},
    values::{CertificateName, Host, Timestamp},
};

/// The certificates that this one becomes, and why it does not become others that are wanted for its names. Nothing while an
/// order for one of them runs: what comes of that is waited for.
pub fn taken_over(
    new: &HeldCertificate,
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> Option<TakenOver> {
    let mut over = TakenOver::default();
    for (name, wanted) in desired.certificates.iter() {
        let is_on_it = |host: &Host| new.names.contains(host.as_str());
        if wanted.names.is_empty() || !wanted.names.iter().all(is_on_it) {
            continue;
        }
        if observed
            .under_way
            .contains(&Subject::Certificate(name.clone()))
        {
            return None;
        }
        match refusal(new, name, wanted, observed, now) {
            None => drop(over.taken.insert(name.clone())),
            Some(why) => drop(over.refused.insert(name.clone(), why)),
        }
    }
    Some(over)
}

/// Why a certificate does not take the place of the one that is wanted, if it does not.
fn refusal(
    new: &HeldCertificate,
    name: &CertificateName,
    wanted: &Wanted,
    observed: &Observed,
    now: Timestamp,
) -> Option<String> {
    if let Some(helper) = &wanted.helper {
        return Some(format!("the container {helper} obtains it"));
    }
    if let Some(why) = renewal::changed(new, wanted) {
        // It would be ordered anew at once.
        return Some(format!("labels and settings ask for another one: {why}"));
    }
    let held = observed.held.get(name).and_then(|held| held.lasting())?;
    let has = |host: &Host| held.names.contains(host.as_str());
    let is_good = held.is_valid_at(now)
        && renewal::changed(held, wanted).is_none()
        && wanted.names.iter().all(has);
    let until = held.not_after;
    let is_enough = is_good && until >= new.not_after;
    is_enough.then(|| format!("the one that is there is valid as long, until {until}"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        desire::tests::{own, proxy},
        fixtures,
        observe::Source,
        plan::tests::{START, desired, shop},
        values::KeyType,
    };

    fn name() -> CertificateName {
        CertificateName::parse("shop.example").expect("a name")
    }

    /// One that the CA of these worlds has issued for these names.
    fn issued(names: &[&str], desired: &Desired) -> HeldCertificate {
        let wanted = &desired.certificates.get(&name()).expect("it is wanted");
        HeldCertificate {
            source: Source::from(&wanted.issuance.issuer),
            key_type: Some(wanted.issuance.key_type),
            ..fixtures::held(names)
        }
    }

    fn over(
        change: impl FnOnce(&mut HeldCertificate, &mut Observed),
        names: &[&str],
    ) -> Option<TakenOver> {
        let desired = desired([own(), proxy(), shop()]);
        let mut new = issued(names, &desired);
        let mut observed = Observed::default();
        change(&mut new, &mut observed);
        taken_over(&new, &desired, &observed, START)
    }

    #[test]
    fn one_that_was_obtained_by_hand_takes_the_place_of_each_that_its_names_cover() {
        let taken = BTreeSet::from([name()]);
        for names in [&["shop.example"][..], &["shop.example", "www.shop.example"]] {
            let over = over(|_, _| (), names).expect("nothing is under way");
            assert_eq!((&over.taken, over.refused.len()), (&taken, 0), "{names:?}");
        }
        let other = over(|_, _| (), &["www.shop.example"]).expect("nothing is under way");
        assert!(other.is_unwanted());
        // A wildcard is another certificate than the one that is wanted: an order would follow.
        let wildcard = over(|_, _| (), &["*.example"]).expect("nothing is under way");
        assert!(wildcard.is_unwanted());
    }

    #[test]
    fn one_that_would_be_ordered_anew_at_once_or_is_no_better_is_refused_with_the_reason() {
        let refused = |change: &dyn Fn(&mut HeldCertificate, &mut Observed)| {
            let over = over(|new, observed| change(new, observed), &["shop.example"]);
            let over = over.expect("nothing is under way");
            assert!(over.taken.is_empty());
            over.refused[&name()].clone()
        };
        let other_ca = refused(&|new, _| {
            new.source = Source::Acme("https://other.example/dir".to_owned());
        });
        assert!(
            other_ca.starts_with("labels and settings ask"),
            "{other_ca}"
        );
        refused(&|new, _| new.key_type = Some(KeyType::Rsa4096));
        refused(&|new, _| new.profile = Some("shortlived".to_owned()));
        let as_long = refused(&|new, observed| observed.hold(name(), new.clone()));
        assert!(as_long.contains("is valid as long"), "{as_long}");
    }

    #[test]
    fn one_that_lasts_longer_or_replaces_a_fallback_is_taken_and_an_order_under_way_is_waited_for()
    {
        let held = |not_after: Duration, source: Option<Source>| {
            over(
                |new, observed| {
                    let held = HeldCertificate {
                        not_after: new.not_after - not_after,
                        source: source.unwrap_or_else(|| new.source.clone()),
                        ..new.clone()
                    };
                    observed.hold(name(), held);
                },
                &["shop.example"],
            )
        };
        for over in [
            held(Duration::from_secs(1), None),
            held(Duration::ZERO, Some(Source::Fallback)),
        ] {
            let over = over.expect("nothing is under way");
            assert_eq!(over.taken, [name()].into(), "{over:?}");
        }
        let busy = over(
            |_, observed| {
                observed.under_way.insert(Subject::Certificate(name()));
            },
            &["shop.example"],
        );
        assert_eq!(busy, None);
    }
}
