//! Types of the problems that a CA answers with.

use std::fmt;

use crate::{observe::Fault, values::Retry};

/// Makes rows of types, each with the last part of its name and when the same may be asked again, into the enum and what
/// it answers, so that none can be left out.
macro_rules! problems {
    ($($(#[$doc:meta])* $problem:ident $word:literal $retry:ident,)*) => {
        /// The type of a problem document of ACME.
        ///
        /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7>
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Problem {
            $($(#[$doc])* $problem,)*
            /// Another type, by the last part of its name.
            Other(String),
        }

        impl Problem {
            /// The type with this last part of a name.
            pub fn of_word(word: &str) -> Self {
                match word {
                    $($word => Self::$problem,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// When the same may be asked again. What is not known may soon go away.
            pub fn retry(&self) -> Retry {
                match self {
                    $(Self::$problem => Retry::$retry,)*
                    Self::Other(_) => Retry::Backoff,
                }
            }
        }

        impl fmt::Display for Problem {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$problem => $word,)*
                    Self::Other(word) => word,
                })
            }
        }
    };
}

// `Daily` are those that seldom go away by asking again.
problems! {
    /// The account does not exist, or not any more.
    AccountDoesNotExist "accountDoesNotExist" Backoff,
    /// The certificate that an order is to replace has a successor already.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9773#section-7.4>
    AlreadyReplaced "alreadyReplaced" Backoff,
    /// The certificate is revoked already.
    AlreadyRevoked "alreadyRevoked" Backoff,
    /// The request for the certificate can't be used, for a weak key, say.
    BadCsr "badCSR" Daily,
    /// The nonce can't be used, or not any more.
    BadNonce "badNonce" Backoff,
    /// The key is of a type that the CA does not take.
    BadPublicKey "badPublicKey" Backoff,
    /// The reason for which a certificate is to be revoked is not taken.
    BadRevocationReason "badRevocationReason" Backoff,
    /// The request is signed by an algorithm that the CA does not take.
    BadSignatureAlgorithm "badSignatureAlgorithm" Backoff,
    /// CAA records forbid the CA to issue.
    Caa "caa" Backoff,
    /// Several problems, each with its own words.
    Compound "compound" Backoff,
    /// The CA could not connect to what it was to look at.
    Connection "connection" Backoff,
    /// The CA's look-up of a name failed.
    Dns "dns" Backoff,
    /// The CA takes only accounts that belong to one that was made elsewhere.
    ExternalAccountRequired "externalAccountRequired" Daily,
    /// The response that the CA saw does not fit its challenge.
    IncorrectResponse "incorrectResponse" Backoff,
    /// A contact of the account can't be used.
    InvalidContact "invalidContact" Backoff,
    /// The CA has no such profile.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-6.3>
    InvalidProfile "invalidProfile" Backoff,
    /// The request is not understood.
    Malformed "malformed" Backoff,
    /// The order is not as far as the request takes for granted.
    OrderNotReady "orderNotReady" Backoff,
    /// There were too many requests.
    RateLimited "rateLimited" Backoff,
    /// The CA does not issue for a name.
    RejectedIdentifier "rejectedIdentifier" Daily,
    /// The CA is broken.
    ServerInternal "serverInternal" Backoff,
    /// The CA met an error in TLS when it looked.
    Tls "tls" Backoff,
    /// The account may not do that.
    Unauthorized "unauthorized" Backoff,
    /// The CA can't use contacts with such an address.
    UnsupportedContact "unsupportedContact" Backoff,
    /// The CA does not issue for such identifiers.
    UnsupportedIdentifier "unsupportedIdentifier" Daily,
    /// Somebody has to visit a page of the CA first.
    UserActionRequired "userActionRequired" Backoff,
    /// The document names no type.
    Untyped "unknown" Backoff,
}

impl Problem {
    /// Whose fault it is. What is said about names, other CAs would say too.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Caa
            | Self::Compound
            | Self::Connection
            | Self::Dns
            | Self::IncorrectResponse
            | Self::RejectedIdentifier
            | Self::Tls
            | Self::Unauthorized => Fault::Names,
            Self::RateLimited => Fault::Limit,
            _ => Fault::Ca,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_not_known_keeps_its_word_and_may_soon_go_away() {
        let other = Problem::of_word("onHoliday");
        assert_eq!(other.to_string(), "onHoliday");
        assert_eq!(other.retry(), Retry::Backoff);
    }

    #[test]
    fn what_is_said_about_names_is_no_fault_of_the_ca() {
        for (word, expected) in [
            ("caa", Fault::Names),
            ("connection", Fault::Names),
            ("rejectedIdentifier", Fault::Names),
            ("unauthorized", Fault::Names),
            ("rateLimited", Fault::Limit),
            ("serverInternal", Fault::Ca),
            ("externalAccountRequired", Fault::Ca),
            ("accountDoesNotExist", Fault::Ca),
            ("onHoliday", Fault::Ca),
        ] {
            assert_eq!(Problem::of_word(word).fault(), expected, "{word}");
        }
    }

    #[test]
    fn what_a_ca_does_not_issue_for_is_asked_for_once_a_day() {
        for word in [
            "rejectedIdentifier",
            "unsupportedIdentifier",
            "badCSR",
            "externalAccountRequired",
        ] {
            let problem = Problem::of_word(word);
            assert_eq!(problem.to_string(), word);
            assert_eq!(problem.retry(), Retry::Daily, "{word}");
        }
    }
}
