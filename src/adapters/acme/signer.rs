//! Requests that are signed here: by an account, or by any other key. Registration with an external account, revocation by
//! the certificate's key, a change of the account's key and alternate chains are what the library can't do.
//!
//! They use the same gate and the same words for errors as those of the library.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555#section-6>

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, header::CONTENT_TYPE};
use instant_acme::{Error, Problem as Document};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    caller::{Caller, Repeat},
    error::CallError,
    jws::{SigningKey, signed},
    record::Recorder,
};
use crate::{adapters::http::HttpClient, ports::AuthorityError};

/// The greatest age of the CA's directory: profiles come and go, and URLs move.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
pub(super) const DIRECTORY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of times that one signing is repeated with the nonce of the refusal before.
const NONCES: u32 = 3;

/// The URLs that a CA's directory names, and what it says of itself. What it does not have is none.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DirectoryUrls {
    new_nonce: String,
    /// Where accounts are made.
    pub(super) new_account: String,
    /// All of it, as it came: `whole["revokeCert"]` is where certificates are revoked.
    #[serde(skip)]
    pub(super) whole: Value,
}

impl DirectoryUrls {
    /// True if the CA takes only accounts that belong to one that was made elsewhere.
    pub(super) fn is_external_account_required(&self) -> bool {
        self.whole["meta"]["externalAccountRequired"] == true
    }

    /// Where one of its resources is.
    ///
    /// # Errors
    /// When the CA has none such.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-9.7.5>
    pub(super) fn resource(&self, name: &str, directory: &str) -> Result<String, AuthorityError> {
        let found = self.whole[name].as_str();
        found
            .map(str::to_owned)
            .ok_or_else(|| AuthorityError::NotAcme {
                directory: directory.to_owned(),
                problem: format!("its directory has no {name}"),
            })
    }

    /// The domains by which CAA records name the CA.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
    pub(super) fn caa_identities(&self) -> Vec<String> {
        super::directory::caa_identities(&self.whole)
    }

    /// The URL of the terms that an account agrees to.
    pub(super) fn terms(&self) -> Option<String> {
        let terms = self.whole["meta"]["termsOfService"].as_str();
        terms.map(str::to_owned)
    }
}

/// Who signs a request.
#[derive(Clone, Copy)]
pub(super) enum SignedBy<'a> {
    /// The account with this URL, by its key.
    Account(&'a str, &'a SigningKey),
    /// A key that stands in the request itself: of an account that is made, or of a certificate.
    Key(&'a SigningKey),
}

/// Signs requests to one CA and sends them.
pub(super) struct Signer {
    caller: Caller,
    recorder: Recorder,
    /// The directory, and when it was read by the clock that nobody sets.
    known: RefCell<Option<(Rc<DirectoryUrls>, Duration)>>,
}

impl Signer {
    /// Nothing is asked yet.
    pub(super) fn new(caller: Caller, http: HttpClient) -> Self {
        let is_closed = caller.gate.flag();
        Self {
            caller,
            recorder: Recorder {
                http,
                is_closed,
                own_key: None,
            },
            known: RefCell::default(),
        }
    }

    /// The CA's directory, a day old at most.
    ///
    /// # Errors
    /// When it can't be had, or lacks what every request needs.
    pub(super) async fn directory(&self) -> Result<Rc<DirectoryUrls>, CallError> {
        let now = self.caller.clock.elapsed();
        if let Some((known, read)) = &*self.known.borrow()
            && now.saturating_sub(*read) < DIRECTORY_LIFE
        {
            return Ok(known.clone());
        }
        let read = async || self.read_directory().await;
        let (directory, _) = self.caller.call(Repeat::Safe, read).await?;
        let directory = Rc::new(directory);
        *self.known.borrow_mut() = Some((directory.clone(), now));
        Ok(directory)
    }

    /// Signs this text for this URL and posts it. An empty text only asks for what is there. A nonce that the CA refuses is
    /// replaced, and the text signed anew.
    ///
    /// # Errors
    /// When no answer comes, or one that is no success.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.3>
    pub(super) async fn post(
        &self,
        by: SignedBy<'_>,
        url: &str,
        payload: &str,
        repeat: Repeat,
    ) -> Result<Response<Bytes>, CallError> {
        let directory = self.directory().await?;
        let sent = async || self.send(by, &directory.new_nonce, url, payload).await;
        Ok(self.caller.call(repeat, sent).await?.0)
    }

    async fn read_directory(&self) -> Result<DirectoryUrls, Error> {
        let request = Request::get(&self.caller.directory).body(Bytes::new())?;
        let body = success(self.recorder.exchange(request).await?)?.into_body();
        let whole: Value = serde_json::from_slice(&body)?;
        let mut read: DirectoryUrls = serde_json::from_slice(&body)?;
        read.whole = whole;
        Ok(read)
    }

    async fn send(
        &self,
        by: SignedBy<'_>,
        new_nonce: &str,
        url: &str,
        payload: &str,
    ) -> Result<Response<Bytes>, Error> {
        let request = Request::builder().method(Method::HEAD).uri(new_nonce);
        let answer = self.recorder.exchange(request.body(Bytes::new())?).await?;
        let mut nonce = nonce(&answer).ok_or(Error::Str("a nonce is missing"))?;
        let mut left = NONCES;
        loop {
            let request = Request::post(url).header(CONTENT_TYPE, "application/jose+json");
            let body = by.signs(&nonce, url, payload)?;
            let answer = self.recorder.exchange(request.body(body.into())?).await?;
            left -= 1;
            let next = self::nonce(&answer);
            match (success(answer), next) {
                (Err(Error::Api(problem)), Some(next)) if is_bad_nonce(&problem) && left > 0 => {
                    nonce = next;
                }
                (result, _) => return result,
            }
        }
    }
}

impl SignedBy<'_> {
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.2>
    fn signs(&self, nonce: &str, url: &str, payload: &str) -> Result<String, Error> {
        let (key, mut header) = match self {
            Self::Account(kid, key) => (key, json!({"kid": kid})),
            Self::Key(key) => (key, json!({"jwk": key.jwk()})),
        };
        header["alg"] = key.algorithm().into();
        header["nonce"] = nonce.into();
        header["url"] = url.into();
        signed(&header, payload, |text| key.sign(text)).map_err(|_| Error::Crypto)
    }
}

fn is_bad_nonce(problem: &Document) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.ends_with(":badNonce")
}

/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.5.1>
fn nonce(answer: &Response<Bytes>) -> Option<String> {
    let nonce = answer.headers().get("replay-nonce")?.to_str().ok()?;
    Some(nonce.to_owned())
}

/// An answer that is a success; else the problem in it.
fn success(answer: Response<Bytes>) -> Result<Response<Bytes>, Error> {
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(serde_json::from_slice::<Document>(answer.body())?.into()),
    }
}

/// Where the CA says that what it made is.
///
/// # Errors
/// When it does not say.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3>
pub(super) fn location(
    answer: &Response<Bytes>,
    directory: &str,
) -> Result<String, AuthorityError> {
    let location = answer.headers().get(http::header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    location
        .map(str::to_owned)
        .ok_or_else(|| AuthorityError::NotAcme {
            directory: directory.to_owned(),
            problem: format!("an answer with status {} and no Location", answer.status()),
        })
}
