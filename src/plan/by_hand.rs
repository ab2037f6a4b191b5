//! Orders that somebody makes by commands: what is asked for, with no container that wants it.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use thiserror::Error;

use super::{Counts, Obtain, SelfCheckRule, Why, ledger::names_digest, self_check::first_check};
use crate::{
    desire::Issuance,
    observe::{Attempt, SharedPath, Webroots},
    values::{CaLimits, CertificateName, Digest, Host, Profile, Timestamp},
};

/// The most names on one certificate at the CAs that we know.
///
/// <https://letsencrypt.org/docs/rate-limits/>
const MOST_NAMES: usize = 100;

/// A request for a certificate by commands.
#[derive(Clone, Debug)]
pub struct AskedByHand {
    /// The names, in whatever order.
    pub names: BTreeSet<Host>,
    /// Who is asked, and for what kind of certificate.
    pub issuance: Issuance,
    /// The folder of a web server into which responses are put, if there is one.
    pub webroot: Option<PathBuf>,
    /// The rule for looks before orders.
    pub self_check: SelfCheckRule,
    /// Time that a TXT record stands before the CA is asked to look, at least.
    pub record_wait: Duration,
    /// The limits of the CA.
    pub limits: CaLimits,
}

/// The reason why an order can't be made by hand; no CA was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotByHand {
    /// No CA does it that way.
    #[error(
        "{0} can't be validated by {1}, because CAs validate wildcards only by dns-01; add --method dns"
    )]
    Wildcard(Host, String),
    /// More than a certificate has.
    #[error("{0} names are too many: a certificate has at most {MOST_NAMES}")]
    TooMany(usize),
    /// None at all.
    #[error("name at least one host")]
    NoName,
}

/// Makes the order, and the word under which it is kept: the same for the same names of the same CA.
///
/// # Errors
/// Says what no CA would do.
pub fn by_hand(asked: &AskedByHand, now: Timestamp) -> Result<(String, Obtain), NotByHand> {
    let AskedByHand {
        names,
        issuance,
        webroot,
        self_check,
        record_wait,
        limits,
    } = asked;
    let first = names.first().ok_or(NotByHand::NoName)?;
    if names.len() > MOST_NAMES {
        return Err(NotByHand::TooMany(names.len()));
    }
    let mut wildcards = names.iter().filter(|name| name.is_wildcard());
    if let Some(wildcard) = wildcards.next()
        && !issuance.challenge.proves_wildcards()
    {
        let challenge = issuance.challenge.to_string();
        return Err(NotByHand::Wildcard(wildcard.clone(), challenge));
    }
    let ca = issuance.issuer.to_string();
    let profile = issuance.profile.as_ref().map(Profile::to_string);
    let which = Digest::of_parts([names_digest(names).to_string(), ca]);
    let certificate = CertificateName::from(first);
    let word = format!("{:.200}-{}", certificate.as_str(), which.short());
    // The kind of key is chosen when the certificate is asked for: another one leaves what was proven as it is.
    let kind = [which.to_string(), profile.unwrap_or_default()];
    let mut attempt = Attempt::broken_off(now);
    attempt.asked = Digest::of_parts(kind);
    let folders = webroot.iter().map(SharedPath::top).collect();
    let obtain = Obtain {
        certificate,
        names: names.clone(),
        issuance: issuance.clone(),
        why: Why::Asked,
        replaces: None,
        held_chain: 0,
        webroots: Webroots {
            folders,
            dns: issuance.dns.clone(),
            ..Webroots::default()
        },
        helper: None,
        attempt,
        counts: Counts {
            order: limits.orders.is_some(),
            certificate: limits.same_names.is_some(),
            failures: limits.failures.is_some(),
            project: None,
        },
        is_of_list: false,
        other_ca: None,
        record_wait: *record_wait,
        self_check: first_check(*self_check, &issuance.issuer, issuance.challenge),
    };
    Ok((word, obtain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{ChallengeType, Issuer, KeyType};

    fn planned(
        names: &[&str],
        change: impl FnOnce(&mut AskedByHand),
    ) -> Result<(String, Obtain), NotByHand> {
        let mut asked = AskedByHand {
            names: names
                .iter()
                .map(|name| Host::parse(name).expect("a name"))
                .collect(),
            issuance: Issuance {
                issuer: Issuer::Ca("https://ca.example/dir".to_owned()),
                challenge: ChallengeType::Http01,
                dns: None,
                key_type: KeyType::Ec256,
                profile: None,
            },
            webroot: None,
            self_check: SelfCheckRule {
                is_on: true,
                is_resolver_named: false,
                is_by_thumbprint: false,
                is_by_listener: false,
            },
            record_wait: Duration::ZERO,
            limits: CaLimits::NONE,
        };
        change(&mut asked);
        by_hand(&asked, Timestamp::from_seconds(1))
    }

    #[test]
    fn the_same_names_have_the_same_order_however_they_are_written() {
        let [one, other] = [
            &["b.example", "A.example."][..],
            &["a.example", "B.EXAMPLE", "a.example"],
        ]
        .map(|names| planned(names, |_| ()).expect("it can be asked for"));
        assert_eq!(one, other);
        assert!(one.0.starts_with("a.example-"), "{}", one.0);
        let longer = planned(&["a.example"], |_| ()).expect("it can be asked for");
        let elsewhere = planned(&["a.example", "b.example"], |asked| {
            asked.issuance.issuer = Issuer::Ca("https://other.example/dir".to_owned());
        });
        assert_ne!(one.0, longer.0);
        assert_ne!(one.0, elsewhere.expect("it can be asked for").0);
    }

    #[test]
    fn another_kind_of_key_leaves_the_order_as_it_is_and_another_profile_does_not() {
        let asked = |change: fn(&mut AskedByHand)| {
            let (_, obtain) = planned(&["a.example"], change).expect("it can be asked for");
            obtain.attempt.asked
        };
        let usual = asked(|_| ());
        assert_eq!(
            usual,
            asked(|asked| asked.issuance.key_type = KeyType::Rsa4096)
        );
        let other = asked(|asked| asked.issuance.profile = "shortlived".parse().ok());
        assert_ne!(usual, other);
    }

    #[test]
    fn what_no_ca_does_is_refused_at_once() {
        let wildcard = planned(&["a.example", "*.a.example"], |_| ());
        let told = wildcard.expect_err("no CA does that").to_string();
        assert_eq!(
            told,
            "*.a.example can't be validated by http-01, because CAs validate wildcards only by dns-01; add --method dns"
        );
        planned(&["a.example", "*.a.example"], |asked| {
            asked.issuance.challenge = ChallengeType::Dns01;
        })
        .expect("that is how it is done");
        assert_eq!(planned(&[], |_| ()), Err(NotByHand::NoName));
        let many: Vec<_> = (0..101)
            .map(|number| format!("n{number}.example"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(planned(&many, |_| ()), Err(NotByHand::TooMany(101)));
    }

    #[test]
    fn names_are_looked_at_where_what_is_seen_from_here_counts() {
        for (directory, is_resolver_named, is_looked_at) in [
            ("https://ca.example/dir", false, false),
            ("https://ca.example/dir", true, true),
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                false,
                true,
            ),
        ] {
            let planned = planned(&["a.example"], |asked| {
                asked.issuance.issuer = Issuer::Ca(directory.to_owned());
                asked.self_check.is_resolver_named = is_resolver_named;
            });
            let (_, obtain) = planned.expect("it can be asked for");
            assert_eq!(obtain.self_check.is_some(), is_looked_at, "{directory}");
        }
    }
}
