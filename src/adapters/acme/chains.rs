//! The chain that is taken of those that a CA offers for one certificate: its usual one, or the one that ends at the root
//! that the settings name. Nothing that goes wrong here costs the certificate: then it has the usual chain.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555#section-7.4.2>

use std::{iter, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response, header::LINK};
use tokio::time::timeout;
use url::Url;

use super::{
    caller::{Caller, Repeat},
    jws::SigningKey,
    record::printable,
    signer::{SignedBy, Signer},
};
use crate::{
    adapters::x509,
    observe::Source,
    ports::{AuthorityError, Remark, Remarks},
    values::Secret,
};

/// Number of chains that are asked for in addition to the usual one: CAs have one or two others, and each costs a
/// request.
const MOST_ALTERNATES: usize = 5;

/// The longest time for all of that: the certificate is there, and waits to be served.
const CHOSEN_WITHIN: Duration = Duration::from_secs(60);

/// Number of characters of a root's name that are shown: more than a common name may have.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#appendix-A.1>
const LONGEST_NAME: usize = 80;

/// The choice of a chain for the certificates of one account.
pub(super) struct ChainChoice {
    pub(super) caller: Caller,
    pub(super) remarks: Remarks,
    pub(super) signer: Rc<Signer>,
    /// The URL of the account that has ordered the certificate.
    pub(super) account: String,
    /// The account's key; none where it can't be read.
    pub(super) key: Option<Secret>,
    /// The root at which the chain is to end.
    pub(super) wanted: String,
}

/// The findings on the way to the wanted chain.
struct Offers<'a> {
    /// The key of the certificate, where that is ours.
    key: Option<&'a Secret>,
    /// The certificate itself, in DER.
    leaf: Vec<u8>,
    /// The names of the roots, for people.
    roots: Vec<String>,
    /// The reason why a chain can't be had or used.
    problem: Option<String>,
}

impl ChainChoice {
    /// The chain that is taken for the certificate at this URL: of several that fit the first, and the usual one where none
    /// does.
    pub(super) async fn chosen(&self, usual: String, key: Option<&Secret>, url: &str) -> String {
        // What is no chain is told by who checks it.
        let Ok((leaf, root)) = x509::leaf_and_root(&usual) else {
            return usual;
        };
        if root == self.wanted {
            return usual;
        }
        let mut offers = Offers {
            key,
            leaf,
            roots: vec![printable(&root, LONGEST_NAME)],
            problem: None,
        };
        let fitting = timeout(CHOSEN_WITHIN, self.fitting(url, &mut offers)).await;
        let problem = match fitting {
            Ok(Ok(Some(chain))) => return chain,
            Ok(Ok(None)) => offers.problem,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(format!("it has not sent all within {CHOSEN_WITHIN:?}")),
        };
        (self.remarks)(Remark::ChainMissing {
            directory: self.caller.directory.clone(),
            chain: self.wanted.clone(),
            offered: offers.roots,
            problem,
        });
        usual
    }

    /// The first alternate chain that ends at the root that is wanted.
    async fn fitting(&self, url: &str, offers: &mut Offers<'_>) -> Result<Option<String>, String> {
        let told = |error: AuthorityError| error.to_string();
        let unreadable = "the key of the account can't be read from disk";
        let key = self.key.as_ref().ok_or_else(|| unreadable.to_owned())?;
        let key = SigningKey::of_pem(key).map_err(told)?;
        let usual = self.asked(&key, url).await.map_err(told)?;
        for alternate in alternates(usual.headers(), url) {
            let answer = match self.asked(&key, alternate.as_str()).await {
                Ok(answer) => answer,
                Err(error) => {
                    offers.problem = Some(error.to_string());
                    continue;
                }
            };
            let chain = String::from_utf8_lossy(answer.body()).into_owned();
            if let Some(chain) = self.taken(chain, offers) {
                return Ok(Some(chain));
            }
        }
        Ok(None)
    }

    /// A chain, if it is the one that is wanted and can be used; what else it is goes to the offers.
    fn taken(&self, chain: String, offers: &mut Offers<'_>) -> Option<String> {
        let (leaf, root) = match x509::leaf_and_root(&chain) {
            Ok(ends) => ends,
            Err(error) => {
                offers.problem = Some(format!("a chain can't be read: {error}"));
                return None;
            }
        };
        offers.roots.push(printable(&root, LONGEST_NAME));
        if root != self.wanted {
            return None;
        }
        let unusable = "the chain that ends there can't be used";
        if leaf != offers.leaf {
            offers.problem = Some(format!("{unusable}: it is of another certificate"));
            return None;
        }
        let source = Source::Acme(self.caller.directory.clone());
        let checked = match offers.key {
            Some(key) => x509::check(&chain, key, source).map(drop),
            None => x509::check_links(&chain),
        };
        match checked {
            Ok(()) => Some(chain),
            Err(error) => {
                offers.problem = Some(format!("{unusable}: {error}"));
                None
            }
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.3>
    async fn asked(&self, key: &SigningKey, url: &str) -> Result<Response<Bytes>, AuthorityError> {
        let by = SignedBy::Account(&self.account, key);
        let answer = self.signer.post(by, url, "", Repeat::Safe).await;
        answer.map_err(AuthorityError::from)
    }
}

/// The URLs of the other chains in the answer for the certificate at this URL, each once.
fn alternates(headers: &HeaderMap, at: &str) -> Vec<Url> {
    let Ok(base) = Url::parse(at) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let texts = headers.get_all(LINK).into_iter();
    for text in texts.filter_map(|text| text.to_str().ok()) {
        for target in alternate_targets(text) {
            let url = base.join(target).ok();
            let is_other = |url: &Url| url.scheme() == "https" && *url != base;
            found.extend(url.filter(|url| is_other(url) && !found.contains(url)));
        }
    }
    found.truncate(MOST_ALTERNATES);
    found
}

/// The targets of the links of one header, as far as they are alternates.
///
/// <https://www.rfc-editor.org/rfc/rfc8288#section-3>
fn alternate_targets(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let links = iter::from_fn(move || {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let parameters;
        (parameters, rest) = at_unquoted(after, ',');
        Some((target, parameters))
    });
    links.filter_map(|(target, parameters)| is_alternate(parameters).then_some(target))
}

/// True if the first relation in these parameters of a link is `alternate`.
///
/// <https://www.rfc-editor.org/rfc/rfc8288#section-3.3>
fn is_alternate(parameters: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let parameter;
        (parameter, rest) = at_unquoted(rest, ';');
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let mut words = value.trim().trim_matches('"').split_ascii_whitespace();
            return words.any(|word| word.eq_ignore_ascii_case("alternate"));
        }
    }
    false
}

/// The text before and after the first such character that is not in quotes; all of it where there is none.
fn at_unquoted(text: &str, wanted: char) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == wanted && !is_quoted => return (&text[..at], &text[at + c.len_utf8()..]),
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "https://ca.example/certificate/1";

    /// The alternates in these headers.
    fn found(texts: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(LINK, text.parse().unwrap());
        }
        let found = alternates(&headers, AT);
        found.into_iter().map(String::from).collect()
    }

    #[test]
    fn alternates_are_found_in_any_form_that_links_have() {
        for (texts, expected) in [
            (&[][..], &[][..]),
            (
                &[
                    "<https://ca.example/dir>;rel=\"index\"",
                    "<https://ca.example/certificate/1/1>;rel=\"alternate\"",
                    "<https://ca.example/certificate/1/2> ; title=\"a, b; <c>\" ; REL=Alternate",
                ],
                &[
                    "https://ca.example/certificate/1/1",
                    "https://ca.example/certificate/1/2",
                ],
            ),
            (
                &[
                    "</a>;rel=\"up\", </b>;rel=\"alternate\",<1/c>; rel=\"up alternate\", <?d>;rel=alternate",
                ],
                &[
                    "https://ca.example/b",
                    "https://ca.example/certificate/1/c",
                    "https://ca.example/certificate/1?d",
                ],
            ),
            // Of several relations in one link the first counts.
            (&["</a>;rel=up;rel=alternate"], &[]),
            (
                &["</a>;rel=\"not-alternate\", </b>;x=\"\\\";rel=alternate\""],
                &[],
            ),
            // The usual one, the same once more, and what is not asked over https.
            (
                &[
                    "<>;rel=alternate, <1>;rel=alternate, </a>;rel=alternate, </a>;rel=alternate, <http://ca.example/b>;rel=alternate",
                ],
                &["https://ca.example/a"],
            ),
            (
                &[
                    "<https://ca.example/a;rel=alternate",
                    "rel=alternate",
                    "<",
                    "<>",
                    "\"<",
                    ">;,\\",
                ],
                &[],
            ),
        ] {
            assert_eq!(found(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn no_more_than_five_alternates_are_asked_for() {
        let text = "</1>;rel=alternate, </2>;rel=alternate, </3>;rel=alternate, </4>;rel=alternate";
        let more = "</5>;rel=alternate, </6>;rel=alternate, </7>;rel=alternate";
        let found = found(&[text, more]);
        assert_eq!(found.len(), 5);
        assert_eq!(found.last().unwrap(), "https://ca.example/5");
    }
}
