//! Those who issue certificates.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use thiserror::Error;

use super::{Offer, Problem};
use crate::{
    observe::{ClockGap, Fault, RefusedEmail, SuggestedWindow},
    values::{
        CertificateId, ChallengeType, Host, KeyType, Profile, Retry, Secret, Timestamp, preset_at,
    },
};

/// Those who issue certificates, and the keys that these are for.
#[async_trait(?Send)]
pub trait Authorities {
    /// The CA with this directory URL; nothing is asked yet.
    fn at(&self, directory: &str) -> Result<Rc<dyn Authority>, AuthorityError>;

    /// A new private key for a certificate. A long one takes seconds, in which others go on.
    async fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError>;

    /// A certificate for these names that is signed by its own key, in PEM.
    fn self_signed(
        &self,
        key: &Secret,
        names: &BTreeSet<Host>,
        now: Timestamp,
    ) -> Result<String, AuthorityError>;
}

/// A CA, and the account there.
#[async_trait(?Send)]
pub trait Authority {
    /// The URL of its directory: what it is known by.
    fn directory(&self) -> &str;

    /// The terms that still have to be agreed to: `None` when the settings agree or an account exists, else the URL of
    /// the CA's terms, or its directory where it can't be asked.
    async fn terms_to_agree(&self) -> Option<String>;

    /// The e-mail address of the settings, if this CA got it and does not take it.
    fn refused_email(&self) -> Option<RefusedEmail>;

    /// The URL of our account there, as far as it is written down here; nobody is asked.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3>
    fn account_url(&self) -> Option<String>;

    /// The thumbprint by which the key of our account there is known, as far as that is written down here; nobody is asked.
    /// None without an account, and while its key is being changed.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.1>
    fn thumbprint(&self) -> Option<String>;

    /// The gap between our clock and the CA's, by the last answer with a date, where it is too large to order anything.
    fn clock_gap(&self) -> Option<ClockGap>;

    /// Gets everything ready that a new order needs: the account, and clocks that agree. What follows at once is the
    /// order itself.
    async fn prepare(&self) -> Result<(), AuthorityError>;

    /// Asks for a certificate. What the CA answers is what was asked.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.4>
    async fn order(&self, asked: &AskedOrder<'_>) -> Result<Box<dyn Order>, AuthorityError>;

    /// Goes on with an order made earlier for these names; `None` when it can't be used any more.
    async fn resume(
        &self,
        url: &str,
        names: &BTreeSet<Host>,
    ) -> Result<Option<Box<dyn Order>>, AuthorityError>;

    /// Asks when a certificate that this CA has issued is to be renewed; not more than once a second, whoever asks.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9773#section-4>
    async fn renewal_info(&self, id: &CertificateId) -> RenewalAnswer;
}

/// The content of a new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedOrder<'a> {
    /// The names of the certificate.
    pub names: &'a BTreeSet<Host>,
    /// The kind of certificate, by the CA's word. Where it has no such kind, its usual one is asked for, unless the
    /// profile is required.
    pub profile: Option<&'a Profile>,
    /// The certificate of this CA that the new one takes the place of. Where the CA has anything against that, the same is
    /// asked for without.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9773#section-5>
    pub replaces: Option<&'a CertificateId>,
}

impl<'a> AskedOrder<'a> {
    /// A certificate for these names, of the CA's usual kind.
    pub fn of(names: &'a BTreeSet<Host>) -> Self {
        Self {
            names,
            profile: None,
            replaces: None,
        }
    }
}

/// A CA's answer about the renewal of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalAnswer {
    /// The answer itself.
    pub said: RenewalSaid,
    /// Its Retry-After, if it sent one.
    pub retry_after: Option<Duration>,
}

/// See [`RenewalAnswer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalSaid {
    /// When it should be; nobody has looked yet whether that makes sense.
    Window(SuggestedWindow),
    /// It says nothing about renewals at all.
    NotOffered,
    /// Nothing that can be understood about this certificate; why.
    Nothing(String),
    /// It can't be asked now, for others neither; why.
    Unavailable(String),
}

/// An order at the CA, from new to its certificate.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.3>
#[async_trait(?Send)]
pub trait Order {
    /// Where it can be found again.
    fn url(&self) -> &str;

    /// The CA's offers for each name that has to be proven; empty when every name is authorized already.
    async fn offers(&mut self) -> Result<Vec<Offer>, AuthorityError>;

    /// Tells the CA to look at the challenges of this type, and waits until each name is authorized. Errors have each
    /// name's own problem.
    async fn authorize(&mut self, kind: ChallengeType) -> Result<(), AuthorityError>;

    /// Asks for the certificate of `key` and waits for it: the chain in PEM, leaf first. Used on an order that already
    /// has its certificate it only fetches it.
    async fn finalize(
        &mut self,
        key: &Secret,
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError>;

    /// The same with a signing request in DER, whose key is known to who made it alone.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc2986>
    async fn finalize_request(
        &mut self,
        request: &[u8],
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError>;
}

/// The scope of a CA's pause: everything that it does not want to be asked while it is busy, or limits requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The same once more: its limits are those of names, most often.
    Request,
    /// New orders of this account, for whatever names.
    Account,
    /// Anything.
    Ca,
}

/// The reason why the CA did not do what was asked.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// It can't be reached, or breaks off.
    #[error(
        "the CA at {directory} can't be reached; see whether it is up, and the way to it open (DNS, firewall, HTTPS_PROXY)"
    )]
    Unreachable {
        /// The CA's directory URL.
        directory: String,
        /// The error of the attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is there and too busy, or limits how often we may ask.
    #[error("the CA at {directory} asks quaymaster to wait ({status}): {detail}")]
    Busy {
        /// The CA's directory URL.
        directory: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        detail: String,
        /// Its Retry-After, if it sent one.
        not_before: Option<Timestamp>,
        /// For what that is.
        scope: Scope,
    },
    /// It answers with something that is no ACME.
    #[error(
        "what answers at {directory} does not speak ACME: {problem}; is `ca` the URL of a directory?"
    )]
    NotAcme {
        /// The CA's directory URL.
        directory: String,
        /// The problem with the answer.
        problem: String,
    },
    /// It refuses, with a problem document.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7>
    #[error("the CA refuses ({problem}): {detail}")]
    Refused {
        /// The type of the problem.
        problem: Problem,
        /// Its words.
        detail: String,
    },
    /// It gave an order up and does not say why.
    #[error("the CA has given the order up without a reason")]
    GivenUp,
    /// It does not offer the challenge that was chosen.
    #[error("the CA does not let {name} be proven by {kind}; {}", offers(.offered))]
    NoChallenge {
        /// The name.
        name: Host,
        /// The chosen type.
        kind: ChallengeType,
        /// The types that it offers.
        offered: String,
    },
    /// It has no such profile: it was not asked, since one that has none might say nothing and issue something else.
    #[error("the CA has no profile {profile:?}; {}", has(.offered))]
    NoProfile {
        /// The one that was asked for.
        profile: String,
        /// Those that it has.
        offered: Vec<String>,
    },
    /// It answers with an order for something else than was asked: no certificate is asked for by it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.4>
    #[error(
        "the CA answers with an order for {answered} instead of {asked}; no certificate was asked for by it: report it \
         to whoever runs the CA"
    )]
    OtherOrder {
        /// The names in the request.
        asked: String,
        /// The names in the order.
        answered: String,
    },
    /// It looked at the names and did not find what it needs.
    #[error("the CA could not validate {}", each(.0))]
    Validation(BTreeMap<Host, String>),
    /// It took too long.
    #[error("the CA did not finish {what} within {limit:?}")]
    TooSlow {
        /// The awaited thing.
        what: &'static str,
        /// The longest time for it.
        limit: Duration,
    },
    /// Our clock and its clock are too far apart: what it issues would count as expired, or as not valid yet.
    #[error(
        "the clock of this machine says {}, which is {gap} the clock of the CA at {directory}; nothing was ordered: \
         set the clock, best by NTP",
        gap.ours
    )]
    WrongClock {
        /// The CA's directory URL.
        directory: String,
        /// Both clocks.
        gap: ClockGap,
    },
    /// Its terms have not been agreed to.
    #[error(
        "the terms of the CA have not been agreed to; read {terms}, then set agree-tos to true, or where a label chose this CA, \
         agree-tos = true in its table [ca.NAME]; where no CA is to be asked, set ca to self-signed"
    )]
    Terms {
        /// Where they are.
        terms: String,
    },
    /// It takes accounts alone that belong to one that was made at its web site.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4>
    #[error("{}", fault.told(directory, detail))]
    ExternalAccount {
        /// The CA's directory URL.
        directory: String,
        /// The fault in it.
        fault: ExternalAccountFault,
        /// The CA's words.
        detail: String,
    },
    /// Something on our side of the exchange: a key, a request, an account on disk.
    #[error("{what}")]
    Ours {
        /// The attempted work.
        what: String,
        /// The error behind it, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// The fault in the settings of an external account, to which ours is to belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalAccountFault {
    /// Nothing is set.
    Missing,
    /// The settings differ from what the CA gave out.
    Wrong,
    /// The settings made an account before, and make no other.
    Used,
}

impl ExternalAccountFault {
    fn told(self, directory: &str, detail: &str) -> String {
        let ca = match preset_at(directory) {
            Some(preset) => format!("[ca.{}]", preset.name),
            None => format!("the table [ca.NAME] whose directory is {directory}"),
        };
        match self {
            Self::Missing => format!(
                "the CA takes accounts alone that belong to one at its web site: make one there, and write the key that it \
                 gives out as eab-key-id and eab-key-file into {ca}"
            ),
            Self::Wrong => format!(
                "the CA does not know the key of its web site that is set, or it does not fit: compare eab-key-id and eab-key \
                 in {ca} with what the CA gave out; it says: {detail}"
            ),
            Self::Used => format!(
                "the key of the CA's web site made an account before and makes no other: have the CA give out a new one, and \
                 write it as eab-key-id and eab-key into {ca}; it says: {detail}"
            ),
        }
    }
}

fn each(problems: &BTreeMap<Host, String>) -> String {
    problems
        .iter()
        .map(|(name, problem)| format!("{name}: {problem}"))
        .collect::<Vec<_>>()
        .join("; ")
}

fn offers(types: &str) -> String {
    match types {
        "" => "it offers nothing for this name".to_owned(),
        types => format!("it offers {types}"),
    }
}

fn has(profiles: &[String]) -> String {
    match profiles {
        [] => "it has none: leave profile out".to_owned(),
        some => format!("it has {}", some.join(", ")),
    }
}

impl AuthorityError {
    /// True if the CA is there and rejects the request, so that something has to change.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::GivenUp
                | Self::NoChallenge { .. }
                | Self::NoProfile { .. }
                | Self::OtherOrder { .. }
                | Self::Validation(_)
                | Self::ExternalAccount { .. }
        )
    }

    /// Whose fault it is: only what is the CA's own may be asked of another one.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { problem, .. } => problem.fault(),
            Self::Validation(_) => Fault::Names,
            Self::WrongClock { .. } => Fault::Here,
            Self::Busy {
                status,
                scope: Scope::Request,
                ..
            } if *status < 500 => Fault::Limit,
            // What is ours of these is about this CA alone: the account there, the agreement to its terms.
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::NotAcme { .. }
            | Self::GivenUp
            | Self::NoChallenge { .. }
            | Self::NoProfile { .. }
            | Self::OtherOrder { .. }
            | Self::TooSlow { .. }
            | Self::Terms { .. }
            | Self::ExternalAccount { .. }
            | Self::Ours { .. } => Fault::Ca,
        }
    }

    /// The CA that is not to be asked for other certificates, either, and until when, if it says so. Our account there is
    /// the only one.
    pub fn busy(&self) -> Option<(&str, Option<Timestamp>)> {
        match self {
            Self::Busy {
                directory,
                not_before,
                scope: Scope::Ca | Scope::Account,
                ..
            } => Some((directory, *not_before)),
            _ => None,
        }
    }

    /// When the same may be asked again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy {
                not_before: Some(time),
                ..
            } => Retry::NotBefore(*time),
            Self::Refused { problem, .. } => problem.retry(),
            // What has to change is a setting, and another is tried at once.
            Self::ExternalAccount { .. } => Retry::Daily,
            Self::WrongClock { gap, .. } => Retry::NotBefore(gap.until()),
            // The agreement is a setting, and no part of what is asked for: an order that waited for it goes on by itself.
            _ => Retry::Backoff,
        }
    }
}
