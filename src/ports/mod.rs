//! The outside as the line sees it: the engine, the CA, folders by concern, the network, the clock; their errors, and when
//! each error may be tried again. Adapters implement these; nothing else has effects. A file a port, and one file of
//! `adapters` that implements it.

mod account_desk;
mod accounts;
mod attempts;
mod authority;
mod certificates;
mod challenge;
mod consumers;
mod disk_error;
mod engine;
mod hand_orders;
mod helper_lists;
mod history;
mod imports;
mod ledger;
mod notifier;
mod orders;
mod pages;
mod probe;
mod problem;
mod records;
mod remark;
mod resolver;
mod responder;
mod row;
mod templates;
mod visitor;
mod vitals;
mod wishes;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use async_trait::async_trait;

use crate::values::{ContainerName, EngineName, Timestamp};
pub use account_desk::{
    AccountDesk, AccountStatus, KeptAccount, RegisteredAccount, RegistrationOutcome, Revocation,
    Revoked, RolledOver, SeenAccount,
};
pub use accounts::{AccountHold, Accounts, AsideReason};
pub use attempts::{AttemptRecords, Attempts};
pub use authority::{
    AskedOrder, Authorities, Authority, AuthorityError, ExternalAccountFault, Order, RenewalAnswer,
    RenewalSaid, Scope,
};
pub use certificates::{CertificateStore, Certificates, NewCertificate, Repair};
pub use challenge::{Challenge, Offer, Response, ShownResponse, StandingProof, TxtProof, txt_name};
pub use consumers::{
    CertificatePlace, Change, ConsumerFolders, ConsumerPlace, DefaultPlace, Item, Parcel, Spot,
};
pub use disk_error::DiskError;
pub use engine::{DetailedEngine, Engine, EngineError, Ran};
pub use hand_orders::{
    CertificateKey, HandOrders, Hands, IssuedCertificate, IssuedFiles, IssuedKey, Waited,
};
pub use helper_lists::{HelperLists, ListPlace};
pub use history::{FoundEntries, Histories};
pub use imports::{
    ClientCertificate, ClientFolder, ImportOutcome, ImportedCertificate, Imports, LeftThere,
    Standing,
};
pub use ledger::{Ledgers, WrittenLedger};
pub use notifier::{Message, NewsBooks, Notifier, NotifierError};
pub use orders::{OrderRecord, Orders};
pub use pages::{Pages, Pieces, ShownPage};
pub use probe::{Page, Probe, ProbeError, Served};
pub use problem::Problem;
pub use records::{GoodTemplates, Records};
pub use remark::{Remark, Remarks};
pub use resolver::Resolver;
pub use responder::{CHALLENGE_PATH, NotServed, RecordFault, Responder, ResponseFault};
pub(crate) use row::events;
pub use templates::{
    FetchError, NamedFiles, TargetFiles, TemplateFiles, TemplateTexts, TemplateUrls,
};
pub use visitor::{Answered, Visitor};
pub use vitals::Vitals;
pub use wishes::{ObtainedPair, Wishes};

/// Everything outside, handed to the loop and to the actions.
#[derive(Clone)]
pub struct Ports {
    /// The ports for obtaining a certificate.
    pub issuing: Issuing,
    /// The Docker engine that has no name.
    pub engine: Rc<dyn Engine>,
    /// The engines that have one.
    pub other_engines: BTreeMap<EngineName, Rc<dyn Engine>>,
    /// Folders of consumers.
    pub folders: Rc<dyn ConsumerFolders>,
    /// The lists of helpers.
    pub lists: Rc<dyn HelperLists>,
    /// The records that last over a restart.
    pub records: Rc<dyn Records>,
    /// The daemon's signs of life.
    pub vitals: Rc<dyn Vitals>,
    /// The wishes of people, for whoever works on our state.
    pub wishes: Rc<dyn Wishes>,
    /// Connections that prove what is served.
    pub probe: Rc<dyn Probe>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
}

impl Ports {
    /// The engine that a container is on.
    ///
    /// # Errors
    /// When it is none of those in the settings.
    pub fn engine_of(&self, container: &ContainerName) -> Result<&dyn Engine, EngineError> {
        let Some(name) = container.engine() else {
            return Ok(&*self.engine);
        };
        let named = EngineName::parse(name).ok();
        let engine = named.and_then(|name| self.other_engines.get(&name));
        let engine = engine.ok_or_else(|| EngineError::NotFollowed(name.to_owned()))?;
        Ok(&**engine)
    }
}

/// The ports for obtaining a certificate; an engine is no part of them.
#[derive(Clone)]
pub struct Issuing {
    /// Those who issue certificates.
    pub authorities: Rc<dyn Authorities>,
    /// Where certificates are stored.
    pub certificates: Rc<dyn CertificateStore>,
    /// Records of tries.
    pub attempts: Rc<dyn Attempts>,
    /// Orders that are under way.
    pub orders: Rc<dyn Orders>,
    /// The requests to CAs that limit them.
    pub ledger: Rc<dyn Ledgers>,
    /// Those who show responses to challenges.
    pub responder: Rc<dyn Responder>,
    /// DNS, as a CA would ask it.
    pub resolver: Rc<dyn Resolver>,
    /// Web servers, as a CA would ask them.
    pub visitor: Rc<dyn Visitor>,
}

/// Now, and waiting.
#[async_trait(?Send)]
pub trait Clock {
    /// The time of day, which somebody may set: for what is written down or dated by others.
    fn now(&self) -> Timestamp;
    /// The time since a moment that stays the same while the program runs. It never goes back: for lengths of time.
    fn elapsed(&self) -> Duration;
    /// Waits.
    async fn sleep(&self, length: Duration);
}
