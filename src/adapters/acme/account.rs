//! The account at the CA: found on disk or registered when first needed, its key on disk before the CA hears of it, and
//! registered again when the CA has lost it. Orders are not known here.

use std::{rc::Rc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountBuilder, AccountCredentials};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::timeout};

use super::{
    account_record::{AccountFile, AccountRecord},
    caller::{Caller, Repeat},
    error::CallError,
    external_account::{binding, refused},
    jws::SigningKey,
    library_key::LibraryKey,
    record::Recorder,
    signer::{DIRECTORY_LIFE, DirectoryUrls, SignedBy, Signer, location},
};
use crate::{
    adapters::http::HttpClient,
    observe::RefusedEmail,
    ports::{Accounts, AuthorityError, ExternalAccountFault, Problem, Remark, Remarks},
    values::{ExternalAccount, Secret},
};

/// When a directory that could not be read again is asked for next: the one that is known goes on meanwhile.
const DIRECTORY_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Time to wait for the URL of the terms: it is a help to readers of the message about them, and no more.
const TERMS_WITHIN: Duration = Duration::from_secs(10);

/// True if a CA that works objects to an e-mail address that it was given.
fn is_about_email(problem: &AuthorityError) -> bool {
    matches!(problem, AuthorityError::Refused { problem, .. } if *problem != Problem::ServerInternal)
}

/// True if a CA makes no account without a contact.
fn demands_contact(failure: &CallError) -> bool {
    let problems = [Problem::InvalidContact, Problem::UnsupportedContact];
    problems.iter().any(|problem| failure.is_refusal(problem))
}

/// The account as it is used, with the directory that was read for it.
struct Opened {
    account: Rc<Account>,
    /// The record on disk when it was opened.
    kept: Option<AccountRecord>,
    /// When the directory is to be read again, by the clock that nobody sets.
    read_again: Duration,
}

/// The account, shared by all orders.
pub(super) struct Registration {
    caller: Caller,
    http: HttpClient,
    pub(super) file: AccountFile,
    remarks: Remarks,
    agree_tos: bool,
    email: Option<String>,
    external_account: Option<ExternalAccount>,
    signer: Rc<Signer>,
    /// Locked while it is looked for, so that orders that begin together register once.
    current: Mutex<Option<Opened>>,
}

impl Registration {
    /// Nothing is read or asked yet.
    pub(super) fn new(
        caller: Caller,
        http: HttpClient,
        accounts: Rc<dyn Accounts>,
        remarks: Remarks,
        agree_tos: bool,
        email: Option<String>,
        external_account: Option<ExternalAccount>,
    ) -> Self {
        Self {
            signer: Rc::new(Signer::new(caller.clone(), http.clone())),
            external_account,
            file: AccountFile::new(caller.clone(), accounts, remarks),
            caller,
            http,
            remarks,
            agree_tos,
            email,
            current: Mutex::default(),
        }
    }

    /// Makes calls to the CA.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Signs what the library can't ask.
    pub(super) fn signer(&self) -> Rc<Signer> {
        self.signer.clone()
    }

    /// The account; from disk or new when it is needed for the first time. Its directory is a day old at most, where the
    /// CA can be asked for it. Another process may have given it another key, or given it up: what lies on disk counts.
    pub(super) async fn account(&self) -> Result<Rc<Account>, AuthorityError> {
        let mut current = self.current.lock().await;
        if let Some(opened) = current.as_mut().filter(|opened| !self.is_outdated(opened)) {
            if opened.read_again <= self.caller.clock.elapsed() {
                self.read_again(opened).await;
            }
            return Ok(opened.account.clone());
        }
        let _hold = self.file.hold().await?;
        let account = self.open_kept().await?;
        Ok(current.insert(self.opened(account)).account.clone())
    }

    /// True if the record on disk differs from the one that was opened. An unreadable record is not known to differ.
    fn is_outdated(&self, opened: &Opened) -> bool {
        match (self.file.read(), &opened.kept) {
            (Ok(Some(now)), Some(kept)) => !now.opens_as(kept),
            (Ok(now), kept) => now.is_some() != kept.is_some(),
            (Err(_), _) => false,
        }
    }

    /// The account on disk; a new one where there is none.
    async fn open_kept(&self) -> Result<Account, AuthorityError> {
        let record = match self.file.usable()? {
            Some(record) => record,
            None => self.new_key().await?,
        };
        let Some(url) = record.url.clone() else {
            return self.register(record.key).await;
        };
        let record = self.settled(record).await?;
        let account = self.open(&url, &record.key).await?;
        self.tell_email(&url, record).await?;
        Ok(account)
    }

    fn opened(&self, account: Account) -> Opened {
        Opened {
            account: Rc::new(account),
            kept: self.file.read().ok().flatten(),
            read_again: self.caller.clock.elapsed() + DIRECTORY_LIFE,
        }
    }

    /// Has the next use look at what lies on disk, after that was changed here.
    pub(super) async fn forget_opened(&self) {
        *self.current.lock().await = None;
    }

    /// Opens the same account by the directory as it is now. A failure to read it changes nothing: an order that has no
    /// answer, either, reports the reason. Orders under way continue with the URLs that they have.
    async fn read_again(&self, opened: &mut Opened) {
        opened.read_again = self.caller.clock.elapsed() + DIRECTORY_AGAIN;
        let Some(key) = self.key() else { return };
        if let Ok(account) = self.open(opened.account.id(), &key).await {
            *opened = self.opened(account);
        }
    }

    /// Another account in place of one that the CA does not know any more, with the same key. Orders that find out
    /// together register once.
    pub(super) async fn replacement(
        &self,
        lost: &Rc<Account>,
    ) -> Result<Rc<Account>, AuthorityError> {
        let mut current = self.current.lock().await;
        if let Some(opened) = current
            .as_ref()
            .filter(|opened| !Rc::ptr_eq(&opened.account, lost))
        {
            return Ok(opened.account.clone());
        }
        let _hold = self.file.hold().await?;
        if current
            .take()
            .is_some_and(|opened| self.is_outdated(&opened))
        {
            let account = self.open_kept().await?;
            return Ok(current.insert(self.opened(account)).account.clone());
        }
        let record = match self.file.usable()? {
            Some(record) => record,
            None => self.new_key().await?,
        };
        let account = self.register(record.key).await?;
        (self.remarks)(Remark::AccountLost {
            directory: self.caller.directory.clone(),
            lost: lost.id().to_owned(),
            account: account.id().to_owned(),
        });
        Ok(current.insert(self.opened(account)).account.clone())
    }

    /// Where the terms are that must be agreed to before an account can be had; `None` when nothing is in the way.
    pub(super) async fn terms_to_agree(&self) -> Option<String> {
        // What can't be read is told by the order that needs it, not taken for missing consent.
        let registered = || match self.file.read() {
            Ok(record) => record.is_some_and(|record| record.url.is_some()),
            Err(_) => true,
        };
        match self.agree_tos || registered() {
            true => None,
            false => Some(self.terms().await),
        }
    }

    /// The e-mail address of the settings, if the CA did not take it. An unreadable record is reported by the order
    /// that needs it.
    pub(super) fn refused_email(&self) -> Option<RefusedEmail> {
        self.file.refused(self.email.as_ref())
    }

    /// Where the CA's terms are; its directory where it can't be asked soon, or does not say.
    async fn terms(&self) -> String {
        let directory = timeout(TERMS_WITHIN, self.signer.directory()).await;
        let terms = directory.ok().and_then(Result::ok);
        let terms = terms.and_then(|directory| directory.terms());
        terms.unwrap_or_else(|| self.caller.directory.clone())
    }

    /// The builder that opens the account with this key, and the key for the library.
    fn builder(&self, key: &Secret) -> Result<(AccountBuilder, LibraryKey), AuthorityError> {
        let key = LibraryKey::of(key)?;
        let thumbprint = key.own.as_ref().map(|own| own.thumbprint());
        self.caller.thumbprint.replace(thumbprint);
        let builder = Account::builder_with_http(Box::new(Recorder {
            http: self.http.clone(),
            is_closed: self.caller.gate.flag(),
            own_key: key.own.clone(),
        }));
        Ok((builder, key))
    }

    async fn open(&self, url: &str, key: &Secret) -> Result<Account, AuthorityError> {
        let opened = self.caller.call(Repeat::Safe, async || {
            let (builder, key) = self
                .builder(key)
                .map_err(|_| instant_acme::Error::KeyRejected)?;
            let directory = self.caller.directory.clone();
            builder.from_parts(url.to_owned(), key.der, directory).await
        });
        Ok(opened.await?.0)
    }

    /// Registers the key, or finds the account that it opened before a crash.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1>
    pub(super) async fn register(&self, key: Secret) -> Result<Account, AuthorityError> {
        self.check_terms().await?;
        let signing = SigningKey::of_pem(&key)?;
        let directory = self.signer.directory().await.map_err(CallError::for_all)?;
        let (url, email) = self.new_account(&directory, &signing).await?;
        let account = self.open_at(&url, &key, &directory).await?;
        let record = AccountRecord {
            url: Some(url.clone()),
            email,
            ..AccountRecord::of_key(key)
        };
        self.file.keep(&record)?;
        (self.remarks)(Remark::AccountRegistered {
            directory: self.caller.directory.clone(),
            account: url.clone(),
        });
        self.tell_email(&url, record).await?;
        Ok(account)
    }

    /// Finds the account of this key, or makes it, and returns its URL and the e-mail address that the CA got with it.
    ///
    /// A key that the CA gave out at its web site makes one account alone: an account that it made before a crash is
    /// looked for without it. An e-mail address is sent afterwards, since one that is refused is no reason to have no
    /// account; but some CAs demand one.
    async fn new_account(
        &self,
        directory: &DirectoryUrls,
        key: &SigningKey,
    ) -> Result<(String, Option<String>), AuthorityError> {
        let mut payload = json!({"termsOfServiceAgreed": true});
        if let Some(external) = &self.external_account {
            let existing = json!({"onlyReturnExisting": true});
            match self.post_account(directory, key, &existing).await {
                Ok(url) => return Ok((url, None)),
                Err(failure) if failure.is_refusal(&Problem::AccountDoesNotExist) => {}
                Err(failure) => return Err(failure.for_all().into()),
            }
            payload["externalAccountBinding"] = binding(external, key, &directory.new_account)?;
        } else if directory.is_external_account_required() {
            return Err(AuthorityError::ExternalAccount {
                directory: self.caller.directory.clone(),
                fault: ExternalAccountFault::Missing,
                detail: String::new(),
            });
        }
        let made = self.post_account(directory, key, &payload).await;
        let (made, email) = match (made, &self.email) {
            (Err(failure), Some(email)) if demands_contact(&failure) => {
                payload["contact"] = json!([format!("mailto:{email}")]);
                let made = self.post_account(directory, key, &payload).await;
                (made, Some(email.clone()))
            }
            (made, _) => (made, None),
        };
        let external = self.external_account.as_ref();
        let url = made.map_err(|failure| refused(failure, &self.caller.directory, external))?;
        Ok((url, email))
    }

    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3>
    pub(super) async fn post_account(
        &self,
        directory: &DirectoryUrls,
        key: &SigningKey,
        payload: &Value,
    ) -> Result<String, CallError> {
        let (by, url, text) = (
            SignedBy::Key(key),
            &directory.new_account,
            payload.to_string(),
        );
        // The same key has the same account, however often it is asked for.
        let posted = self.signer.post(by, url, &text, Repeat::Safe);
        let answer = posted.await?;
        location(&answer, &self.caller.directory).map_err(CallError::of)
    }

    /// The account with this URL, by a directory that was just read.
    async fn open_at(
        &self,
        url: &str,
        key: &Secret,
        directory: &DirectoryUrls,
    ) -> Result<Account, AuthorityError> {
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            Caller::ours("the account can't be used", error)
        };
        let (builder, key) = self.builder(key)?;
        let credentials = json!({
            "id": url,
            "key_pkcs8": URL_SAFE_NO_PAD.encode(key.der.secret_pkcs8_der()),
            "urls": directory.whole,
        });
        let credentials: AccountCredentials =
            serde_json::from_value(credentials).map_err(|error| AuthorityError::NotAcme {
                directory: self.caller.directory.clone(),
                problem: format!("its directory can't be used: {error}"),
            })?;
        let opened = builder.from_credentials(credentials).await;
        opened.map_err(|error| unusable(error.into()))
    }

    /// Tells the CA the e-mail address of the settings where it has another, or none. One that it does not take costs
    /// nothing but that it can't write: no certificate waits for it. Only the next process sends it again, and the
    /// refusal is kept as long as the address is set.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.2>
    pub(super) async fn tell_email(
        &self,
        url: &str,
        record: AccountRecord,
    ) -> Result<(), AuthorityError> {
        if record.email == self.email {
            return Ok(());
        }
        let contact = self.email.as_ref().map(|email| format!("mailto:{email}"));
        let contacts: Vec<_> = contact.into_iter().collect();
        let (payload, signing) = (
            json!({"contact": contacts}),
            SigningKey::of_pem(&record.key)?,
        );
        let (by, text) = (SignedBy::Account(url, &signing), payload.to_string());
        let told = self.signer.post(by, url, &text, Repeat::Safe).await;
        let (email, refused) = match (told.map_err(AuthorityError::from), &self.email) {
            (Ok(_), _) => (self.email.clone(), None),
            (Err(problem), Some(email)) if is_about_email(&problem) => {
                let refused = RefusedEmail {
                    email: email.clone(),
                    problem: problem.to_string(),
                };
                (record.email.clone(), Some(refused))
            }
            (Err(problem), _) => {
                (self.remarks)(Remark::EmailUntold {
                    directory: self.caller.directory.clone(),
                    problem: problem.to_string(),
                });
                return Ok(());
            }
        };
        self.file.keep(&AccountRecord {
            email,
            refused,
            ..record
        })
    }

    async fn check_terms(&self) -> Result<(), AuthorityError> {
        match self.agree_tos {
            true => Ok(()),
            false => Err(AuthorityError::Terms {
                terms: self.terms().await,
            }),
        }
    }

    /// A key that is on disk before anybody hears of it.
    pub(super) async fn new_key(&self) -> Result<AccountRecord, AuthorityError> {
        self.check_terms().await?;
        let record = AccountRecord::of_key(account_key()?);
        self.file.keep(&record)?;
        Ok(record)
    }

    /// The account's URL on disk. An unreadable record is reported by the order that needs it.
    pub(super) fn account_url(&self) -> Option<String> {
        self.file.read().ok().flatten()?.url
    }

    /// The thumbprint of the account's key on disk, where the CA has that key for sure.
    pub(super) fn thumbprint(&self) -> Option<String> {
        let record = self.file.read().ok().flatten()?;
        let is_certain = record.url.is_some() && record.next.is_none();
        let key = is_certain.then(|| SigningKey::of_pem(&record.key).ok())?;
        Some(key?.thumbprint())
    }

    /// The account's key on disk. An unreadable record is reported by the order that needs it.
    pub(super) fn key(&self) -> Option<Secret> {
        Some(self.file.read().ok().flatten()?.key)
    }
}

/// A new key for an account, which nobody has heard of.
///
/// # Errors
/// When the system gives no random numbers.
pub(super) fn account_key() -> Result<Secret, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
    let key = key.map_err(|error| Caller::ours("no key for an account can be made", error))?;
    Ok(Secret::new(key.serialize_pem()))
}
