//! The challenges by which a CA sees that a name is ours.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::AuthorityError;
use crate::values::{ChallengeType, Host};

/// A CA's offer for one name that has to be proven.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.4>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The name.
    pub name: Host,
    /// The response to show for each type of challenge that can be met.
    pub responses: BTreeMap<ChallengeType, Response>,
    /// The types of all challenges, for people.
    pub types: String,
}

impl Offer {
    /// The challenge of this type.
    ///
    /// # Errors
    /// When the CA does not offer it.
    pub fn challenge(mut self, kind: ChallengeType) -> Result<Challenge, AuthorityError> {
        match self.responses.remove(&kind) {
            Some(response) => Ok(Challenge {
                name: self.name,
                response,
            }),
            None => Err(AuthorityError::NoChallenge {
                name: self.name,
                kind,
                offered: self.types,
            }),
        }
    }
}

/// The challenge that was chosen for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The name it is about.
    pub name: Host,
    /// The response that must be seen before the CA is asked to look.
    pub response: Response,
}

/// A response for which a CA looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A text at `/.well-known/acme-challenge/TOKEN` of the name.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
    Http {
        /// The CA's token; base64url, so a plain file name.
        token: String,
        /// The key authorization: what must be read there.
        body: String,
    },
    /// A TXT record in DNS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
    Txt {
        /// Where the CA looks, without a dot at its end: `_acme-challenge.NAME`, also for the wildcard `*.NAME`.
        name: String,
        /// The record's whole text: the digest of the key authorization, in base64url.
        value: String,
    },
}

impl Response {
    /// The TXT record that proves a name by this key authorization.
    pub fn txt(name: &Host, key_authorization: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, key_authorization.as_bytes());
        Self::Txt {
            name: txt_name(name),
            value: URL_SAFE_NO_PAD.encode(digest),
        }
    }

    /// The record of it that is written before it is shown, with this table `[dns.NAME]` where it is a TXT record.
    pub fn shown(&self, dns: Option<&str>) -> ShownResponse {
        match self {
            Self::Http { token, .. } => ShownResponse::Http {
                token: token.clone(),
            },
            Self::Txt { name, value } => ShownResponse::Txt {
                dns: dns.unwrap_or_default().to_owned(),
                name: name.clone(),
                value: value.clone(),
            },
        }
    }
}

/// Where a CA looks for the TXT record of a name, without a dot at the end.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
pub fn txt_name(name: &Host) -> String {
    let name = name.as_str();
    format!(
        "_acme-challenge.{}",
        name.strip_prefix("*.").unwrap_or(name)
    )
}

/// A response that was shown, or may have been, as it stands on record: whoever goes on after a crash takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownResponse {
    /// A text at a web server.
    Http {
        /// The CA's token, by which it is found again.
        token: String,
    },
    /// A TXT record.
    Txt {
        /// The table `[dns.NAME]` that has set it.
        dns: String,
        /// Where the CA looks for it.
        name: String,
        /// Its text.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_wildcard_are_proven_at_the_same_place_by_the_digest_in_base64url() {
        for name in ["shop.example", "*.shop.example"] {
            let name = Host::parse(name).expect("a name");
            // printf evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.x | openssl dgst -sha256 -binary | basenc --base64url
            let authorization = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.x";
            let expected = Response::Txt {
                name: "_acme-challenge.shop.example".to_owned(),
                value: "sSjqz16--btBqr9pzKc1HXPzMN6GLEnsqGlgZrzaIjc".to_owned(),
            };
            assert_eq!(Response::txt(&name, authorization), expected);
        }
    }

    #[test]
    fn the_challenge_of_a_type_is_chosen_or_what_is_offered_instead_is_told() {
        let name = Host::parse("shop.example").expect("a name");
        let response = Response::Http {
            token: "t".into(),
            body: "t.thumbprint".into(),
        };
        let offer = |types: &str, responses| Offer {
            name: name.clone(),
            responses,
            types: types.to_owned(),
        };
        let both = BTreeMap::from([(ChallengeType::Http01, response.clone())]);
        let chosen = offer("http-01, dns-01", both).challenge(ChallengeType::Http01);
        let expected = Challenge {
            name: name.clone(),
            response,
        };
        assert_eq!(chosen.expect("it is offered"), expected);
        for (types, told) in [
            ("dns-01", "it offers dns-01"),
            ("", "it offers nothing for this name"),
        ] {
            let refused = offer(types, BTreeMap::new()).challenge(ChallengeType::Http01);
            assert_eq!(
                refused.expect_err("it is not offered").to_string(),
                format!("the CA does not let shop.example be proven by http-01; {told}")
            );
        }
    }
}
