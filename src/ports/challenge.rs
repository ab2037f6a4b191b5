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
        /// Its text.
        proof: TxtProof,
    },
}

/// The text of a TXT record that proves a name.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtProof {
    /// The record's whole text: the digest of the key authorization, in base64url.
    pub value: String,
    /// The key authorization, for programs that make the text of it themselves. Nothing where the text alone is known.
    pub key_authorization: Option<String>,
}

impl TxtProof {
    /// The text that this key authorization makes.
    pub fn of(key_authorization: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, key_authorization.as_bytes());
        Self {
            value: URL_SAFE_NO_PAD.encode(digest),
            key_authorization: Some(key_authorization.to_owned()),
        }
    }

    /// A text of which nothing more is known.
    pub fn of_value(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            key_authorization: None,
        }
    }
}

impl Response {
    /// The TXT record that proves a name by this key authorization.
    pub fn txt(name: &Host, key_authorization: &str) -> Self {
        Self::Txt {
            name: txt_name(name),
            proof: TxtProof::of(key_authorization),
        }
    }

    /// The record of it that is written before it is shown, with this table `[dns.NAME]` where it is a TXT record.
    pub fn shown(&self, dns: Option<&str>) -> ShownResponse {
        match self {
            Self::Http { token, .. } => ShownResponse::Http {
                token: token.clone(),
            },
            Self::Txt { name, proof } => ShownResponse::Txt {
                dns: dns.unwrap_or_default().to_owned(),
                name: name.clone(),
                proof: proof.clone(),
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

/// What a TXT record says by which a CA may validate names for an account, as often as that asks for it.
///
/// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-dns-persist-02>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandingProof<'p> {
    /// The domain by which such records name the CA.
    pub issuer: &'p str,
    /// The beginning of the URIs by which they name accounts; none where the CA wants the account's own URL, as the draft had it
    /// before.
    pub hash_prefix: Option<&'p str>,
    /// The account's URL.
    pub account: &'p str,
    /// The thumbprint of the account's key.
    pub thumbprint: &'p str,
}

impl StandingProof<'_> {
    /// Where the CA looks for the proof of a name, without a dot at the end.
    pub fn place(name: &str) -> String {
        format!("_validation-persist.{name}")
    }

    /// The record's text for this name, which may hold for all names below it, too.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-dns-persist-02#section-4.1>
    pub fn text(&self, name: &str, is_wildcard: bool) -> String {
        let account = match self.hash_prefix {
            Some(prefix) => format!("{prefix}sha-256/{}", self.hash(name)),
            None => self.account.to_owned(),
        };
        let policy = if is_wildcard { "; policy=wildcard" } else { "" };
        format!("{}; accounturi={account}{policy}", self.issuer)
    }

    /// The digest that binds the account, by its key and its URL, to the name.
    fn hash(&self, name: &str) -> String {
        let mut hashed = digest::Context::new(&digest::SHA256);
        // No name of DNS has more than 255 bytes.
        hashed.update(&[u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        for part in [name, self.thumbprint, self.account] {
            hashed.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(hashed.finish())
    }
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
        proof: TxtProof,
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
                proof: TxtProof {
                    value: "sSjqz16--btBqr9pzKc1HXPzMN6GLEnsqGlgZrzaIjc".to_owned(),
                    key_authorization: Some(authorization.to_owned()),
                },
            };
            assert_eq!(Response::txt(&name, authorization), expected);
        }
    }

    #[test]
    fn a_standing_proof_names_the_account_by_a_hash_for_the_name_or_by_its_url() {
        // The example of the draft, section 10.2.
        let proof = StandingProof {
            issuer: "authority.example",
            hash_prefix: Some("https://ca.example/account-hash/"),
            account: "https://ca.example/acct/123",
            thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        };
        assert_eq!(
            proof.text("example.com", false),
            "authority.example; accounturi=https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
        );
        assert!(
            proof
                .text("example.com", true)
                .ends_with("-kw; policy=wildcard")
        );
        assert_eq!(
            StandingProof::place("example.com"),
            "_validation-persist.example.com"
        );
        let earlier = StandingProof {
            hash_prefix: None,
            ..proof
        };
        assert_eq!(
            earlier.text("example.com", false),
            "authority.example; accounturi=https://ca.example/acct/123"
        );
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
