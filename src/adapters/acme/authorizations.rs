//! An order's authorizations, looked at one by one. Each look walks from the first, since the library's own walk leaves
//! out what failed; what was fetched before costs nothing again.

use std::collections::BTreeMap;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, Authorizations, ChallengeHandle, ChallengeStatus,
    ChallengeType as Named, Error, Identifier, Order, OrderState,
};

use super::{
    error::{detail, kind, told, words},
    record::printable,
};
use crate::{
    ports::{AuthorityError, Offer, Problem, Response},
    values::{ChallengeType, Host},
};

/// Names of files have up to 255 bytes, and something is added to this one while it is written. Tokens have some 43.
const LONGEST_TOKEN: usize = 200;

/// Number of types of challenges that are shown, and characters of each.
const TYPES: (usize, usize) = (20, 40);

/// The content of an authorization.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.4>
pub(super) struct Authorization {
    /// The name it is about.
    pub(super) name: Host,
    /// The status that it reached.
    pub(super) status: AuthorizationStatus,
    /// The challenges that can be met.
    pub(super) challenges: BTreeMap<ChallengeType, OfferedChallenge>,
    /// The types of all challenges, for people.
    pub(super) types: String,
    /// The CA's problem with it.
    pub(super) problem: Option<String>,
}

impl Authorization {
    /// The CA's offer for the name.
    pub(super) fn offer(self) -> Offer {
        let challenges = self.challenges.into_iter();
        Offer {
            name: self.name,
            responses: challenges
                .map(|(kind, challenge)| (kind, challenge.response))
                .collect(),
            types: self.types,
        }
    }

    /// The challenge of this type.
    pub(super) fn challenge(
        mut self,
        kind: ChallengeType,
    ) -> Result<OfferedChallenge, AuthorityError> {
        let challenge = self.challenges.remove(&kind);
        challenge.ok_or(AuthorityError::NoChallenge {
            name: self.name,
            kind,
            offered: self.types,
        })
    }
}

/// A challenge as the CA offers it.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8>
pub(super) struct OfferedChallenge {
    /// The URL at which the CA is asked to look.
    pub(super) url: String,
    /// True if the CA was not asked to look yet.
    pub(super) pending: bool,
    /// The response that it has to see.
    response: Response,
}

/// The name in the protocol's library for a type of challenge.
fn named(kind: ChallengeType) -> Named {
    match kind {
        ChallengeType::Http01 => Named::Http01,
        ChallengeType::Dns01 => Named::Dns01,
    }
}

/// The authorization number `index` of a walk that was just begun.
async fn nth<'w>(
    walk: &'w mut Authorizations<'_>,
    index: usize,
) -> Result<AuthorizationHandle<'w>, Error> {
    for _ in 0..index {
        walk.next().await.transpose()?;
    }
    let found = walk.next().await;
    found.ok_or(Error::Str("an authorization is missing"))?
}

/// Looks at the authorization number `index` of an order. Its challenges are answered by this thumbprint, where the library
/// does not know the account's key.
pub(super) async fn look(
    order: &mut Order,
    index: usize,
    thumbprint: Option<&str>,
) -> Result<Authorization, Error> {
    let mut walk = order.authorizations();
    let handle = nth(&mut walk, index).await?;
    let name = Host::parse(&handle.identifier().to_string());
    let name = name.map_err(|_| Error::Str("an authorization is for no host"))?;
    let status = handle.status;
    let (types, problem) = (types(&handle), problem(&handle));
    let mut challenges = BTreeMap::new();
    for (_, kind) in ChallengeType::WORDS {
        let offered = challenge(order, (index, kind), (&name, thumbprint)).await?;
        challenges.extend(offered.map(|offered| (kind, offered)));
    }
    Ok(Authorization {
        name,
        status,
        challenges,
        types,
        problem,
    })
}

/// The challenge of this type of the authorization number `index`, in a walk of its own: the library gives one a walk.
async fn challenge(
    order: &mut Order,
    (index, kind): (usize, ChallengeType),
    (name, thumbprint): (&Host, Option<&str>),
) -> Result<Option<OfferedChallenge>, Error> {
    let mut walk = order.authorizations();
    let mut handle = nth(&mut walk, index).await?;
    handle
        .challenge(named(kind))
        .map(|challenge| offered(name, &challenge, kind, thumbprint))
        .transpose()
}

/// Tells the CA to look at the challenge of this type of the authorization number `index`.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.5.1>
pub(super) async fn answer(
    order: &mut Order,
    index: usize,
    kind: ChallengeType,
) -> Result<(), Error> {
    let mut walk = order.authorizations();
    let mut handle = nth(&mut walk, index).await?;
    let mut challenge = handle
        .challenge(named(kind))
        .ok_or(Error::Str("a challenge is missing"))?;
    challenge.set_ready().await
}

fn offered(
    name: &Host,
    challenge: &ChallengeHandle<'_>,
    kind: ChallengeType,
    thumbprint: Option<&str>,
) -> Result<OfferedChallenge, Error> {
    Ok(OfferedChallenge {
        url: challenge.url.clone(),
        pending: challenge.status == ChallengeStatus::Pending,
        response: response(name, challenge, kind, thumbprint)?,
    })
}

/// The response that the CA has to see for a challenge.
fn response(
    name: &Host,
    challenge: &ChallengeHandle<'_>,
    kind: ChallengeType,
    thumbprint: Option<&str>,
) -> Result<Response, Error> {
    let token = challenge.token.clone();
    // It becomes the name of a file.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if token.is_empty() || !token.chars().all(plain) {
        return Err(Error::Str("a token is not base64url"));
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Error::Str("a token is too long for the name of a file"));
    }
    let authorization = match thumbprint {
        None => challenge.key_authorization().as_str().to_owned(),
        Some(thumbprint) => format!("{token}.{thumbprint}"),
    };
    Ok(match kind {
        ChallengeType::Http01 => Response::Http {
            token,
            body: authorization,
        },
        ChallengeType::Dns01 => Response::txt(name, &authorization),
    })
}

fn types(handle: &AuthorizationHandle<'_>) -> String {
    let types = handle
        .challenges
        .iter()
        .map(|challenge| match &challenge.r#type {
            Named::Http01 => "http-01",
            Named::Dns01 => "dns-01",
            Named::TlsAlpn01 => "tls-alpn-01",
            Named::Unknown(other) => other.as_str(),
            _ => "another",
        });
    let types = types.take(TYPES.0).map(|word| printable(word, TYPES.1));
    types.collect::<Vec<_>>().join(", ")
}

fn problem(handle: &AuthorizationHandle<'_>) -> Option<String> {
    let tried = handle
        .challenges
        .iter()
        .find_map(|challenge| Some((&challenge.r#type, challenge.error.as_ref()?)));
    match handle.status {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => None,
        _ if tried.is_some() => tried.map(|(way, problem)| {
            let kind = kind(problem);
            let words = told(&kind, problem.detail.as_deref());
            format!("{words}{}", remedy(&kind, way))
        }),
        AuthorizationStatus::Invalid => Some("the CA gives no reason".to_owned()),
        AuthorizationStatus::Revoked => Some("its authorization was revoked".to_owned()),
        AuthorizationStatus::Expired => Some("its authorization has expired".to_owned()),
        AuthorizationStatus::Deactivated => Some("its authorization was given up".to_owned()),
    }
}

/// What to do where a CA that looked at a name in this way saw this; nothing where its words have to be enough.
fn remedy(seen: &Problem, way: &Named) -> &'static str {
    match (seen, way) {
        (Problem::Caa, _) => {
            "; let the CAA records of the name allow this CA: `quaymaster records NAME` prints the line"
        }
        (Problem::Dns, _) => {
            "; look at the DNS records of the name, and at DNSSEC where its zone is signed"
        }
        (
            Problem::Connection | Problem::IncorrectResponse | Problem::Unauthorized,
            Named::Http01,
        ) => {
            "; let the A and AAAA records of the name lead to this machine, and port 80 be open to the server that answers here"
        }
        (Problem::IncorrectResponse | Problem::Unauthorized, Named::Dns01) => {
            "; let each DNS server of the zone show the TXT record: `quaymaster records --try NAME` tries that"
        }
        _ => "",
    }
}

/// The problem of an invalid order: each name's own from its authorization, else the order's.
pub(super) fn verdict(state: &OrderState, mut names: BTreeMap<Host, String>) -> AuthorityError {
    if names.is_empty() {
        let about = state.error.iter().flat_map(|problem| &problem.subproblems);
        names = about
            .filter_map(|about| Some((host(about.identifier.as_ref()?)?, words(about))))
            .collect();
    }
    match &state.error {
        _ if !names.is_empty() => AuthorityError::Validation(names),
        Some(problem) => AuthorityError::Refused {
            problem: kind(problem),
            detail: detail(problem),
        },
        None => AuthorityError::GivenUp,
    }
}

fn host(identifier: &Identifier) -> Option<Host> {
    match identifier {
        Identifier::Dns(name) => Host::parse(name).ok(),
        Identifier::Ip(address) => Some(Host::from(*address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(error: &str) -> OrderState {
        let text = format!(
            r#"{{"status": "invalid", "authorizations": [], "finalize": "x", "error": {error}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_name_is_told_its_own_problem() {
        let order = invalid(
            r#"{"type": "x:compound", "detail": "some failed", "subproblems": [
                {"type": "x:dns", "detail": "no address", "identifier": {"type": "dns", "value": "a.example"}}]}"#,
        );
        let name = |word| Host::parse(word).unwrap();
        let seen = BTreeMap::from([(name("b.example"), "refused (connection)".to_owned())]);
        let told = verdict(&order, seen).to_string();
        assert_eq!(
            told,
            "the CA could not validate b.example: refused (connection)"
        );
        let told = verdict(&order, BTreeMap::new()).to_string();
        assert_eq!(
            told,
            "the CA could not validate a.example: no address (dns)"
        );
    }

    #[test]
    fn what_a_ca_saw_comes_with_what_to_do_where_that_is_known() {
        for (seen, way, expected) in [
            (Problem::Connection, Named::Http01, "lead to this machine"),
            (Problem::Unauthorized, Named::Http01, "lead to this machine"),
            (
                Problem::Unauthorized,
                Named::Dns01,
                "`quaymaster records --try NAME`",
            ),
            (Problem::Caa, Named::Dns01, "CAA records"),
            (Problem::Dns, Named::Http01, "DNS records of the name"),
        ] {
            let told = remedy(&seen, &way);
            assert!(told.starts_with("; ") && told.contains(expected), "{told}");
        }
        assert_eq!(remedy(&Problem::ServerInternal, &Named::Http01), "");
    }

    #[test]
    fn an_order_that_fails_as_a_whole_is_a_refusal() {
        let told = |error| verdict(&invalid(error), BTreeMap::new()).to_string();
        assert_eq!(
            told(r#"{"type": "x:caa", "detail": "forbidden"}"#),
            "the CA refuses (caa): forbidden"
        );
        assert_eq!(
            told("null"),
            "the CA has given the order up without a reason"
        );
    }
}
