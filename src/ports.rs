//! The outside as the line sees it: the engine, the CA, the disk, the network, the clock; their errors, and when each
//! error may be tried again. Adapters implement these; nothing else has effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use thiserror::Error;

use crate::{
    observe::{Attempt, Container, Detail, EngineEvent, HeldCertificate, Holder, Installed, Shelf, Source, Wish},
    values::{
        CertificateName, ContainerId, ContainerName, Digest, FileName, Host, KeyType, Retry, Secret, Signal, Timestamp,
    },
};

/// Everything outside, handed to the loop and to the actions.
#[derive(Clone)]
pub struct Ports {
    /// The Docker engine.
    pub engine: Rc<dyn Engine>,
    /// Those who issue certificates.
    pub authorities: Rc<dyn Authorities>,
    /// Our folders and those of consumers.
    pub disk: Rc<dyn Disk>,
    /// What people ask of whoever works on our state.
    pub wishes: Rc<dyn Wishes>,
    /// Connections that prove what is served.
    pub probe: Rc<dyn Probe>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
}

/// The Docker engine, or what speaks its API.
#[async_trait(?Send)]
pub trait Engine {
    /// Opens the stream of events. It is open, and misses nothing from here on, when this returns: list only after it.
    ///
    /// The stream ends with an error or when the engine closes it; both mean a gap.
    async fn events(&self) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError>;

    /// All containers with a label that begins with `prefix` and a dot, running or not, each as inspect tells it.
    async fn containers(&self, prefix: &str) -> Result<Vec<Container>, EngineError>;

    /// One container by id or name; `None` when there is none.
    async fn inspect(&self, container: &str) -> Result<Option<Container>, EngineError>;

    /// Sends a signal to the container's first process.
    async fn kill(&self, container: &ContainerId, signal: Signal) -> Result<(), EngineError>;

    /// Runs words in the container, without a shell, and waits for their end.
    ///
    /// # Errors
    /// When they could not be run; what they did shows in the code.
    async fn exec(&self, container: &ContainerId, words: &[String]) -> Result<Ran, EngineError>;

    /// Ends the container and starts it again.
    async fn restart(&self, container: &ContainerId) -> Result<(), EngineError>;

    /// Whether the engine still answers, within a few seconds; an open event stream alone does not tell.
    async fn ping(&self) -> Result<(), EngineError>;
}

/// What came of words that were run in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code.
    pub code: i64,
    /// What they wrote to both streams, at most 64 KiB, with what is no UTF-8 replaced.
    pub output: String,
}

/// An engine that also tells what only the command `render` shows, environments among it.
#[async_trait(?Send)]
pub trait DetailedEngine: Engine {
    /// All containers, running or not.
    async fn details(&self) -> Result<Vec<Detail>, EngineError>;

    /// One container by id or name; `None` when there is none.
    async fn detail(&self, container: &str) -> Result<Option<Detail>, EngineError>;
}

/// Those who issue certificates, and the keys that these are for.
pub trait Authorities {
    /// The CA with this directory URL; nothing is asked yet.
    fn at(&self, directory: &str) -> Result<Rc<dyn Authority>, AuthorityError>;

    /// A new private key for a certificate.
    fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError>;

    /// A certificate for these names that is signed by its own key, in PEM.
    fn self_signed(&self, key: &Secret, names: &BTreeSet<Host>, now: Timestamp) -> Result<String, AuthorityError>;
}

/// A CA, and the account there.
#[async_trait(?Send)]
pub trait Authority {
    /// The URL of its directory: what it is known by.
    fn directory(&self) -> &str;

    /// Whether terms still have to be agreed to: `None` when the settings agree or an account exists, else where the
    /// CA says its terms are, or its directory where it can't be asked.
    async fn terms_to_agree(&self) -> Option<String>;

    /// Asks for a certificate with these names, of the kind that the CA calls `profile`.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.4>
    async fn order(&self, names: &BTreeSet<Host>, profile: Option<&str>) -> Result<Box<dyn Order>, AuthorityError>;

    /// Goes on with an order made earlier; `None` when it can't be used any more.
    async fn resume(&self, url: &str) -> Result<Option<Box<dyn Order>>, AuthorityError>;
}

/// An order at the CA, from new to its certificate.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.3>
#[async_trait(?Send)]
pub trait Order {
    /// Where it can be found again.
    fn url(&self) -> &str;

    /// What must be visible before the CA is told to look; empty when every name is authorized already.
    async fn challenges(&mut self) -> Result<Vec<Challenge>, AuthorityError>;

    /// Tells the CA to look, and waits until each name is authorized. Errors tell each name's own problem.
    async fn authorize(&mut self) -> Result<(), AuthorityError>;

    /// Asks for the certificate of `key` and waits for it: the chain in PEM, leaf first. Used on an order that already
    /// has its certificate it only fetches it.
    async fn finalize(&mut self, key: &Secret, names: &BTreeSet<Host>) -> Result<String, AuthorityError>;
}

/// An http-01 challenge: at `/.well-known/acme-challenge/TOKEN` of the name, the response must be read.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The name it is about.
    pub name: Host,
    /// The CA's token; base64url, so a plain file name.
    pub token: String,
    /// The key authorization: what must be read there.
    pub response: String,
}

/// Our folders, and those of consumers as far as they are mounted here.
pub trait Disk {
    /// Looks at all certificates, ours and the user's; changes nothing.
    ///
    /// # Errors
    /// When a folder can't be listed: nothing is known then, also not that there are none.
    fn certificates(&self) -> Result<Certificates, DiskError>;

    /// Mends what a look found. What is as it should be by now is left alone.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails.
    fn mend(&self, name: &CertificateName, repair: &Repair) -> Result<(), DiskError>;

    /// Begins to watch `provided/`, and tells when something there may have changed, until it can't watch any more.
    /// Misses nothing from here on: look after it.
    fn provided_changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;

    /// Checks key, names and chain, stores them as a new version with a second copy, and links it in one rename.
    ///
    /// # Errors
    /// Nothing that was live before has changed when it fails. A valid certificate that is not ours is never replaced.
    fn store_certificate(&self, new: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError>;

    /// The failures on record.
    fn attempts(&self) -> Result<AttemptRecords, DiskError>;
    /// Writes an attempt down, so that a crash can't forget it.
    fn note_attempt(&self, name: &CertificateName, attempt: &Attempt) -> Result<(), DiskError>;
    /// Forgets the attempts after a success.
    fn forget_attempts(&self, name: &CertificateName) -> Result<(), DiskError>;

    /// The order that was under way for a certificate, with a key that can be used.
    fn order(&self, name: &CertificateName) -> Result<Option<OrderRecord>, DiskError>;
    /// Writes an order down, key first, before the CA hears of it.
    fn keep_order(&self, name: &CertificateName, record: &OrderRecord) -> Result<(), DiskError>;
    /// Forgets an order that is finished or can't be.
    fn drop_order(&self, name: &CertificateName) -> Result<(), DiskError>;

    /// Which project has which host, as it was kept.
    fn holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError>;
    /// Keeps which project has which host.
    fn keep_holders(&self, holders: &BTreeMap<Host, Holder>) -> Result<(), DiskError>;

    /// The account at a CA: the text that was kept.
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError>;
    /// Keeps the account at a CA.
    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError>;
    /// Puts an account that can't be used away under another name, which is told: its key may still be wanted.
    fn set_account_aside(&self, directory: &str) -> Result<PathBuf, DiskError>;

    /// Makes a challenge's response readable in a webroot.
    fn publish(&self, webroot: &Path, challenge: &Challenge) -> Result<(), DiskError>;
    /// Takes the response to this token away again, also one half written; one that is not there is fine.
    fn withdraw(&self, webroot: &Path, token: &str) -> Result<(), DiskError>;

    /// What lies in a consumer's folders: our record of it, corrected by a look at the files themselves.
    fn installed(&self, place: &Place<'_>) -> Result<Installed, DiskError>;
    /// Puts everything new beside its place, where the consumer does not read it: a full disk is found out before
    /// anything has changed.
    fn stage(&self, place: &Place<'_>, change: &Change<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and with it what is there now, so that it can come back; then puts what was staged into
    /// its place, each in one rename. What an open journal holds from before stays in it.
    fn switch(&self, place: &Place<'_>, change: &Change<'_>, record: &Installed) -> Result<(), DiskError>;
    /// Brings back what the journal holds.
    fn take_back(&self, place: &Place<'_>) -> Result<(), DiskError>;
    /// Writes the record down, and closes the journal unless it says that it is open. Then takes away what is left of
    /// earlier copies of the certificates in `tidy` and in the journal that is closed, and all of those that the record
    /// does not name.
    fn keep_installed(
        &self,
        place: &Place<'_>,
        record: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<(), DiskError>;
    /// Takes away what a crash in the midst of that left of them.
    fn tidy(&self, place: &Place<'_>) -> Result<(), DiskError>;

    /// Writes the status document, whole.
    fn keep_status(&self, document: &str) -> Result<(), DiskError>;
    /// Leaves a sign of life for `health`.
    fn breathe(&self, now: Timestamp) -> Result<(), DiskError>;
}

/// The folders of a consumer, as far as they are mounted here.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose they are.
    pub consumer: &'a ContainerName,
    /// Where rendered files go.
    pub config: &'a Path,
    /// Where copies of just its own certificates go; none where it reads our folder.
    pub certificates: Option<&'a Path>,
}

/// What is changed in a consumer's folders.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Files to write, with their texts.
    pub write: &'a BTreeMap<FileName, String>,
    /// Files to take away.
    pub remove: &'a BTreeSet<FileName>,
    /// Held certificates to copy.
    pub deliver: &'a BTreeMap<CertificateName, Digest>,
}

/// What a look at the folders of certificates found.
#[derive(Debug, Default)]
pub struct Certificates {
    /// Those in `live/` that pass their checks; in place of one that does not, its second copy where that does.
    pub held: BTreeMap<CertificateName, HeldCertificate>,
    /// Those in `provided/` that pass their checks.
    pub provided: BTreeMap<CertificateName, HeldCertificate>,
    /// What is to be mended.
    pub repairs: BTreeMap<CertificateName, Repair>,
    /// Those that are there and that the system did not let us read: what was known of them before still counts.
    pub unread: BTreeSet<(Shelf, CertificateName)>,
    /// What is wrong with those in `live/` that can neither be served nor mended.
    pub wrecks: BTreeMap<CertificateName, DiskError>,
    /// What else is wrong.
    pub faults: Vec<DiskError>,
}

/// The record of each certificate that was tried, or why it can't be read.
pub type AttemptRecords = BTreeMap<CertificateName, Result<Attempt, DiskError>>;

/// What is to be mended about a certificate.
#[derive(Debug)]
pub enum Repair {
    /// The live one can't be used; its second copy can.
    Live {
        /// What is wrong with the live one.
        problem: DiskError,
    },
    /// The live one is whole; its second copy is missing, damaged, or of an older one.
    Copy,
}

/// Renewals that people wish for, as they lie in state.
pub trait Wishes {
    /// All that lie there, and what is wrong with the others.
    ///
    /// # Errors
    /// When they can't be listed.
    fn wishes(&self) -> Result<(BTreeMap<CertificateName, Wish>, Vec<DiskError>), DiskError>;
    /// Leaves a wish, or writes down what became of it.
    fn keep_wish(&self, name: &CertificateName, wish: &Wish) -> Result<(), DiskError>;
    /// Takes a wish away; one that is not there is fine.
    fn drop_wish(&self, name: &CertificateName) -> Result<(), DiskError>;
}

/// Templates by name (`nginx/site.conf`): the text of each, or why it can't be read.
pub type TemplateTexts = BTreeMap<String, Result<String, String>>;

/// The user's folder of templates.
pub trait TemplateFiles {
    /// What lies there now; `None` when there is no such folder.
    ///
    /// # Errors
    /// When the folder as a whole can't be used.
    fn texts(&self) -> Result<Option<TemplateTexts>, DiskError>;

    /// Begins to watch, and tells when something there may have changed, until it can't watch any more. Misses nothing
    /// from here on: read after it.
    fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;
}

/// Files that the user names one by one: a template, and what is rendered from it.
pub trait NamedFiles {
    /// The text that lies there; `None` when there is no such file.
    fn text(&self, path: &Path) -> Result<Option<String>, DiskError>;

    /// Puts a text there in one rename, with the mode of what it replaces, readable by everybody where there was none.
    fn replace(&self, path: &Path, text: &str) -> Result<(), DiskError>;

    /// Begins to watch the folder that a file lies in, and tells when something there may have changed, until it can't
    /// watch any more. Misses nothing from here on: read after it.
    fn changes(&self, path: &Path) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;
}

/// A certificate that was obtained and is not stored yet.
#[derive(Debug)]
pub struct NewCertificate<'a> {
    /// What it will be called.
    pub name: &'a CertificateName,
    /// The names it must cover.
    pub names: &'a BTreeSet<Host>,
    /// Its key in PEM.
    pub key: &'a Secret,
    /// Its chain in PEM, leaf first.
    pub chain: &'a str,
    /// Where it came from.
    pub source: Source,
    /// Now, for its dates.
    pub now: Timestamp,
}

/// An order that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// The key its certificate will have.
    pub key: Secret,
    /// What was asked for; another digest makes the order useless.
    pub asked: Digest,
    /// Where the CA keeps it; `None` until it has answered.
    pub url: Option<String>,
    /// Tokens of responses that were shown for it: whoever goes on after a crash takes them away.
    pub tokens: Vec<String>,
}

/// Connections that prove what is served. Nothing here trusts what it sees: it looks.
#[async_trait(?Send)]
pub trait Probe {
    /// The certificate that is served for `host` on a new TLS connection: for some name under a wildcard, and for an
    /// address to a client that sends no name.
    async fn certificate(&self, at: SocketAddr, host: &Host) -> Result<Served, ProbeError>;
    /// Whether somebody takes connections there; nothing is asked.
    async fn listens(&self, at: SocketAddr) -> Result<(), ProbeError>;
    /// What a plain HTTP request gets, at most 64 KiB of it.
    async fn page(&self, at: SocketAddr, host: &str, path: &str) -> Result<Page, ProbeError>;
}

/// A certificate as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its serial number in hexadecimal, lower case, no separators.
    pub serial: String,
}

/// An HTTP response as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The body, with what is no UTF-8 replaced.
    pub body: String,
}

/// Now, and waiting.
#[async_trait(?Send)]
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, length: Duration);
}

/// Why the engine did not do what was asked.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Nobody answers there.
    #[error("the Docker engine at {engine} can't be reached; is it running, and is its socket mounted?")]
    Unreachable {
        /// Where it should be.
        engine: String,
        /// What the attempt said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It, or a proxy before it, forbids the call.
    #[error("`{call}` is not allowed at {engine} (403); allow this call in the socket proxy, or use another socket")]
    Denied {
        /// Where it is.
        engine: String,
        /// Method and path.
        call: String,
    },
    /// It refuses the call.
    #[error("the Docker engine refuses `{call}` ({status}): {message}")]
    Refused {
        /// Method and path.
        call: String,
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// Its answer makes no sense here.
    #[error("the Docker engine's answer to `{call}` can't be understood: {problem}")]
    NotUnderstood {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It does not answer in time.
    #[error("the Docker engine at {engine} does not answer `{call}` within {limit:?}")]
    Silent {
        /// Where it is.
        engine: String,
        /// Method and path.
        call: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The address of the engine is none.
    #[error("{0:?} is no address of an engine; write unix:///var/run/docker.sock or tcp://host:port")]
    Address(String),
}

impl EngineError {
    /// When the same call may be made again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Address(_) => Retry::WhenInputChanges,
            _ => Retry::Backoff,
        }
    }
}

/// Why the CA did not do what was asked.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// It can't be reached, or breaks off.
    #[error("the CA at {directory} can't be reached")]
    Unreachable {
        /// The CA's directory URL.
        directory: String,
        /// What the attempt said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is there and too busy, or limits how often we may ask.
    #[error("the CA at {directory} asks us to wait ({status}): {detail}")]
    Busy {
        /// The CA's directory URL.
        directory: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        detail: String,
        /// Its Retry-After, if it sent one.
        not_before: Option<Timestamp>,
    },
    /// It answers with something that is no ACME.
    #[error("what answers at {directory} does not speak ACME: {problem}; is `ca` the URL of a directory?")]
    NotAcme {
        /// The CA's directory URL.
        directory: String,
        /// What came instead.
        problem: String,
    },
    /// It refuses, with a problem document.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7>
    #[error("the CA refuses ({kind}): {detail}")]
    Refused {
        /// The last part of the problem type, such as `rejectedIdentifier`.
        kind: String,
        /// Its words.
        detail: String,
    },
    /// It looked at the names and did not find what it needs.
    #[error("the CA could not validate {}", each(.0))]
    Validation(BTreeMap<Host, String>),
    /// It took too long.
    #[error("the CA did not finish {what} within {limit:?}")]
    TooSlow {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// Its terms have not been agreed to.
    #[error("the terms of the CA have not been agreed to; read {terms}, then set agree-tos to true")]
    Terms {
        /// Where they are.
        terms: String,
    },
    /// Something on our side of the exchange: a key, a request, an account on disk.
    #[error("{what}")]
    Ours {
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

fn each(problems: &BTreeMap<Host, String>) -> String {
    problems.iter().map(|(name, problem)| format!("{name}: {problem}")).collect::<Vec<_>>().join("; ")
}

impl AuthorityError {
    /// When the same may be asked again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { not_before: Some(time), .. } => Retry::NotBefore(*time),
            Self::Refused { kind, .. } => refusal_retry(kind),
            Self::Terms { .. } => Retry::WhenInputChanges,
            _ => Retry::Backoff,
        }
    }
}

/// Which problems of RFC 8555 can't go away by asking again. Everything else, unknown kinds too, may.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7>
fn refusal_retry(kind: &str) -> Retry {
    match kind {
        "rejectedIdentifier" | "unsupportedIdentifier" | "badCSR" | "externalAccountRequired" => {
            Retry::WhenInputChanges
        }
        _ => Retry::Backoff,
    }
}

/// Why something could not be read or written.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The system said no.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of ours is not as we wrote it.
    #[error("{} can't be understood: {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that others may read.
    #[error("{} may be read by others than its owner; take that right away with `chmod 600`", path.display())]
    Exposed {
        /// Its file.
        path: PathBuf,
    },
    /// A certificate that does not pass its checks.
    #[error("the certificate {name} is refused")]
    Certificate {
        /// Its name.
        name: String,
        /// Which check it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a look at a server showed nothing.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// No connection.
    #[error("{at} can't be reached")]
    Unreachable {
        /// Where.
        at: SocketAddr,
        /// What the attempt said.
        source: std::io::Error,
    },
    /// A connection, but not what was looked for.
    #[error("{at} answers, but {problem}")]
    Strange {
        /// Where.
        at: SocketAddr,
        /// What came instead.
        problem: String,
    },
}
