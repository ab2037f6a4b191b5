//! How a CA can be shown that a name is ours.

use std::collections::BTreeMap;

use super::AuthorityError;
use crate::values::{ChallengeType, Host};

/// What a CA offers for one name that has to be proven.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.4>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The name.
    pub name: Host,
    /// What has to be shown for each type of challenge that can be met.
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
    /// What must be seen before the CA is told to look.
    pub response: Response,
}

/// What a CA has to see.
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
}

impl Response {
    /// The CA's token, by which the response is found again.
    pub fn token(&self) -> &str {
        match self {
            Self::Http { token, .. } => token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
