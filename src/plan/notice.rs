use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::selection::{is_covered, reader_in_need};
use crate::{
    desire::Desired,
    observe::{HeldCertificate, Observed, Shelf, Source},
    values::{CertificateName, ContainerName, Timestamp},
};

/// How long before its end a certificate of the user's is told: this share of its life, and no longer than that.
const LAST_SHARE: u32 = 6;
const LONGEST_NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What the user should know about a certificate of their own that a label makes use of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Notice {
    /// The certificate.
    pub certificate: CertificateName,
    /// The folder it lies in: `provided` or `live`.
    pub folder: String,
    /// What is to be known.
    pub about: About,
}

/// What is to be known about a certificate of the user's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// It runs out soon, and nobody but the user renews it.
    EndsSoon(Timestamp),
    /// It has run out.
    Ended(Timestamp),
    /// It is not valid yet.
    BeginsLater(Timestamp),
    /// It does not cover what labels want under its name: these names.
    LacksNames(BTreeSet<String>),
    /// The certificate of its issuer is not there: this one.
    LacksIssuer(String),
    /// This consumer needs a `fullchain.pem` and a `privkey.pem`.
    InParts(ContainerName),
    /// A consumer can't read it as it is written.
    Irregular {
        /// Which.
        consumer: ContainerName,
        /// What stands there.
        problem: String,
    },
}

/// What is to be told at `now`: nothing about a certificate that no label has a use for.
pub(super) fn notices(desired: &Desired, observed: &Observed, now: Timestamp) -> BTreeSet<Notice> {
    let placed = observed
        .held
        .iter()
        .filter(|(_, held)| held.source == Source::Provided);
    let mut notices = BTreeSet::new();
    for (name, held) in observed.provided.iter().chain(placed) {
        let notice = |about| Notice {
            certificate: name.clone(),
            folder: held.shelf.folder().to_owned(),
            about,
        };
        let is_of_use = || {
            desired
                .certificates
                .values()
                .any(|wanted| is_covered(&wanted.names, held))
        };
        if desired.certificates.contains_key(name) || is_of_use() {
            notices.extend(about(name, held, desired, now).into_iter().map(notice));
        }
    }
    notices
}

fn about(
    name: &CertificateName,
    held: &HeldCertificate,
    desired: &Desired,
    now: Timestamp,
) -> Vec<About> {
    let life = held.not_after.since(held.not_before);
    let notice = (life / LAST_SHARE).min(LONGEST_NOTICE);
    let time = match (held.is_valid_at(now), held.not_after.since(now)) {
        (false, Duration::ZERO) => Some(About::Ended(held.not_after)),
        (false, _) => Some(About::BeginsLater(held.not_before)),
        (true, left) => (left <= notice).then_some(About::EndsSoon(held.not_after)),
    };
    let wanted = desired
        .certificates
        .get(name)
        .into_iter()
        .flat_map(|wanted| &wanted.names);
    let lacking: BTreeSet<_> = wanted
        .filter(|name| !held.covers(name))
        .map(ToString::to_string)
        .collect();
    let lacks = (!lacking.is_empty()).then_some(About::LacksNames(lacking));
    let unread = reader_in_need(held, desired).map(|consumer| unread(held, consumer.clone()));
    let alone = held
        .lacks_issuer
        .then(|| About::LacksIssuer(held.issuer.clone()));
    let others = lacks.into_iter().chain(alone).chain(unread);
    time.into_iter().chain(others).collect()
}

fn unread(held: &HeldCertificate, consumer: ContainerName) -> About {
    match &held.irregular {
        Some(problem) if held.shelf != Shelf::ProvidedInParts => About::Irregular {
            consumer,
            problem: problem.clone(),
        },
        _ => About::InParts(consumer),
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            certificate,
            folder,
            about,
        } = self;
        write!(f, "your certificate {folder}/{certificate} ")?;
        match about {
            About::EndsSoon(end) => {
                write!(
                    f,
                    "runs out at {end} and is renewed by nobody but you; put a newer one there"
                )
            }
            About::Ended(end) => write!(
                f,
                "ran out at {end}; a valid one is served in its place, and obtained where there is none. Put a newer one \
                 there or take it away"
            ),
            About::BeginsLater(begin) => {
                write!(f, "is not valid before {begin}; is the clock right?")
            }
            About::LacksNames(names) => {
                let names = names
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                write!(
                    f,
                    "is not for {names}; put one there that is, or take it away"
                )
            }
            About::LacksIssuer(issuer) => write!(
                f,
                "comes without the certificate of its issuer, {issuer}: clients refuse it unless they have that one \
                 already; write the chain behind the certificate"
            ),
            About::InParts(consumer) => write!(
                f,
                "has no fullchain.pem and privkey.pem, which {consumer} reads there; write the certificate and its chain \
                 into the one, as with `cat cert.pem chain.pem > fullchain.pem`, and the key into the other"
            ),
            About::Irregular { consumer, problem } => write!(
                f,
                "can't be read by {consumer}, which reads it as it lies there: {problem}. Write it anew with `openssl \
                 x509` or `openssl pkey`, each marker on a line of its own, without blank lines between or a password; until \
                 then one of ours is served"
            ),
        }
    }
}
