//! The CA, over ACME.
//!
//! instant-acme signs and speaks; here it is given an HTTP client with limits, errors that say what happened, calls that
//! are repeated, a polling that knows every status, and an account whose key is on disk before the CA hears of it.
//!
//! <https://www.rfc-editor.org/rfc/rfc8555>

mod account;
mod account_record;
mod authorities;
mod authorizations;
mod ca_clock;
mod ca_gate;
mod caller;
mod chains;
mod desk;
mod directory;
mod error;
mod external_account;
mod jws;
mod key_change;
mod library_key;
mod new_order;
mod order;
mod pace;
mod patience;
mod profiles;
mod record;
mod registering;
mod renewal_info;
mod revocation;
mod signer;
mod signing_request;
mod thumbprint;

use std::{cell::Cell, collections::BTreeSet, rc::Rc};

use crate::{
    adapters::{
        http::{HttpClient, Limits},
        https_proxy::HttpsProxy,
    },
    observe::{ClockGap, RefusedEmail},
    ports::{
        Accounts, AskedOrder, Authority, AuthorityError, Clock, Order, Remarks, RenewalAnswer,
    },
    values::{CertificateId, ExternalAccount, Host},
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri};
use instant_acme::{Account, OrderStatus};

pub use authorities::{AcmeAuthorities, new_key, self_signed};

pub use desk::kept_account;
pub use directory::Directory;
pub use thumbprint::thumbprint;

use account::Registration;
use caller::{Caller, Repeat};
use chains::ChainChoice;
use order::AcmeOrder;
use pace::Pace;
use profiles::Profiles;
pub(super) use record::RetryAfter;
use renewal_info::RenewalReader;

/// The settings of a CA.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// Roots that are trusted in addition to the usual ones, in PEM.
    pub ca_root_pem: Option<String>,
    /// True if its terms are agreed to.
    pub agree_tos: bool,
    /// Where it may write to.
    pub email: Option<String>,
    /// Number of new orders that it takes in any second; none where it does not say.
    pub orders_per_second: Option<u32>,
    /// The account at its web site to which ours is to belong.
    pub external_account: Option<ExternalAccount>,
    /// The root at which the chain ends that is taken of those that it offers; its usual one where nothing is said.
    pub chain: Option<String>,
    /// The proxy for requests to it, where these are not direct.
    pub https_proxy: HttpsProxy,
}

/// A CA that speaks ACME, and our account there.
pub struct AcmeAuthority {
    caller: Caller,
    registration: Registration,
    http: HttpClient,
    pace: Pace,
    renewals: RenewalReader,
    profiles: Profiles,
    remarks: Remarks,
    chain: Option<String>,
    /// True if it has not confirmed which certificate an order replaces: then later orders do not say it.
    ignores_replaces: Cell<bool>,
}

impl AcmeAuthority {
    /// Sets up what is needed to ask the CA with this directory URL; nothing is asked yet.
    ///
    /// # Errors
    /// When the directory is no https URL that can be asked, or the roots can't be read.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
    pub fn new(
        directory: &str,
        settings: AcmeSettings,
        accounts: Rc<dyn Accounts>,
        clock: Rc<dyn Clock>,
        remarks: Remarks,
    ) -> Result<Self, AuthorityError> {
        if !directory.starts_with("https://") {
            let what =
                format!("the CA {directory:?} can't be asked: its URL must begin with https://");
            return Err(AuthorityError::Ours { what, source: None });
        }
        // The library takes for granted that a request to it can be made.
        directory.parse::<Uri>().map_err(|error| {
            Caller::ours(&format!("the CA {directory:?} can't be asked"), error)
        })?;
        let http = client(&settings)?;
        let caller = Caller {
            directory: directory.to_owned(),
            clock,
            ca_clock: Rc::default(),
            gate: Rc::default(),
            thumbprint: Rc::default(),
        };
        let registration = Registration::new(
            caller.clone(),
            http.clone(),
            accounts,
            remarks,
            settings.agree_tos,
            settings.email,
            settings.external_account,
        );
        Ok(Self {
            caller,
            registration,
            http,
            pace: Pace::new(settings.orders_per_second),
            renewals: RenewalReader::new(),
            profiles: Profiles::new(directory.to_owned(), remarks),
            remarks,
            chain: settings.chain,
            ignores_replaces: Cell::new(false),
        })
    }

    /// Which chain is taken for an order of this account.
    fn chain_choice(&self, account: &Account) -> Option<ChainChoice> {
        let wanted = self.chain.clone()?;
        Some(ChainChoice {
            caller: self.caller.clone(),
            remarks: self.remarks,
            signer: self.registration.signer(),
            account: account.id().to_owned(),
            key: self.registration.key(),
            wanted,
        })
    }

    /// Finds out whether our clock is right enough for what the CA issues. The last answer shows it; where that is too
    /// old, or showed another time, the directory is read again. A CA that does not give its time is believed.
    async fn compare_clocks(&self) -> Result<(), AuthorityError> {
        self.caller.check_gate()?;
        let Caller {
            directory,
            clock,
            ca_clock,
            ..
        } = &self.caller;
        let is_known = ca_clock.is_fresh(&**clock) && ca_clock.gap().is_none();
        if !is_known
            && let Ok(request) = Request::get(directory).body(Bytes::new())
            && let Ok(answer) = self.http.send(request).await
        {
            ca_clock.take(record::date(answer.headers()), &**clock);
        }
        match ca_clock.gap() {
            Some(gap) => Err(AuthorityError::WrongClock {
                directory: directory.clone(),
                gap,
            }),
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Authority for AcmeAuthority {
    fn directory(&self) -> &str {
        &self.caller.directory
    }

    async fn terms_to_agree(&self) -> Option<String> {
        self.registration.terms_to_agree().await
    }

    fn refused_email(&self) -> Option<RefusedEmail> {
        self.registration.refused_email()
    }

    fn account_url(&self) -> Option<String> {
        self.registration.account_url()
    }

    fn thumbprint(&self) -> Option<String> {
        self.registration.thumbprint()
    }

    fn clock_gap(&self) -> Option<ClockGap> {
        self.caller.ca_clock.gap()
    }

    async fn prepare(&self) -> Result<(), AuthorityError> {
        self.registration.account().await?;
        self.compare_clocks().await
    }

    async fn order(&self, asked: &AskedOrder<'_>) -> Result<Box<dyn Order>, AuthorityError> {
        let account = self.registration.account().await?;
        self.compare_clocks().await?;
        let order = self.place_as_taken(&account, asked).await?;
        Ok(Box::new(order))
    }

    async fn resume(
        &self,
        url: &str,
        names: &BTreeSet<Host>,
    ) -> Result<Option<Box<dyn Order>>, AuthorityError> {
        let account = self.registration.account().await?;
        self.compare_clocks().await?;
        let found = self
            .caller
            .call(Repeat::Safe, async || account.order(url.to_owned()).await)
            .await;
        match found {
            Ok((order, answer)) => {
                let choice = self.chain_choice(&account);
                let mut order = AcmeOrder::new(order, answer, self.caller.clone(), choice);
                let is_usable =
                    order.status() != OrderStatus::Invalid && order.check(names).is_ok();
                Ok(is_usable.then(|| -> Box<dyn Order> { Box::new(order) }))
            }
            // Unknown, another account's, or an account that is gone itself: in each case a new order tells more.
            Err(failure) if failure.is_final() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn renewal_info(&self, id: &CertificateId) -> RenewalAnswer {
        self.renewals.read(&self.caller, &self.http, id).await
    }
}

fn client(settings: &AcmeSettings) -> Result<HttpClient, AuthorityError> {
    let roots = settings.ca_root_pem.as_deref();
    let client = HttpClient::new(roots, &settings.https_proxy, Limits::default());
    client.map_err(|error| Caller::ours("connections to the CA can't be set up", error))
}
