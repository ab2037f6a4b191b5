use std::fmt;

use serde::Serialize;

/// The reason why something is done. A closed set: log, command plans, status and metrics print these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There is none yet.
    Missing,
    /// It does not cover the names that are wanted now.
    NamesChanged,
    /// It comes from somebody else than is asked now.
    SourceChanged,
    /// It has another kind of key than is wanted now.
    KeyTypeChanged,
    /// Its CA was asked for another profile than is wanted now.
    ProfileChanged,
    /// Most of its life is over.
    RenewalDue,
    /// Its CA says that it is to be renewed now.
    CaSuggests,
    /// Somebody wishes it, though it is not due.
    Asked,
    /// Files differ from what they should be.
    ContentChanged,
    /// A file that stays while its successor is held back leads to what is not the site's any more.
    LeadsElsewhere,
    /// A certificate that it serves is a new one.
    CertificateChanged,
    /// A signal was not sent yet.
    SignalOwed,
    /// It is not known yet whether what lies there was taken up.
    ProofOwed,
    /// It was started again, and its requests do not go by address yet.
    GateClosed,
    /// The consumer ended before it showed what it was given.
    ConsumerDied,
}

impl Why {
    /// True if anything in the consumer's folders changes by it.
    pub(super) fn changes_folders(self) -> bool {
        matches!(
            self,
            Self::ContentChanged | Self::CertificateChanged | Self::LeadsElsewhere
        )
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::NamesChanged => "names changed",
            Self::SourceChanged => "source changed",
            Self::KeyTypeChanged => "key type changed",
            Self::ProfileChanged => "profile changed",
            Self::RenewalDue => "renewal due",
            Self::CaSuggests => "its CA suggests it",
            Self::Asked => "asked for",
            Self::ContentChanged => "configuration changed",
            Self::LeadsElsewhere => "an older file leads elsewhere",
            Self::CertificateChanged => "certificate changed",
            Self::SignalOwed => "signal owed",
            Self::ProofOwed => "proof owed",
            Self::GateClosed => "gate closed",
            Self::ConsumerDied => "ended before proof",
        })
    }
}
