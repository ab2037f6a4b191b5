//! The stand-ins for the rest of the program beside the CA's adapter, and a real CA to set it upon.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        clock::SystemClock,
        https_proxy::HttpsProxy,
        x509,
    },
    observe::Source,
    ports::{
        AccountHold, Accounts, AsideReason, AskedOrder, Authority, AuthorityError, Clock,
        DiskError, NewCertificate, Offer, Order, Response,
    },
    values::{CertificateName, ChallengeType, Host, KeyType, Secret, Timestamp},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use crate::support::pebble::{Behaviour, Pebble};

/// Accounts in memory, where a disk would keep them.
#[derive(Default)]
pub struct AccountsOnly {
    pub accounts: RefCell<BTreeMap<String, Secret>>,
    /// Everything that was kept, in order.
    pub kept: RefCell<Vec<String>>,
    /// The account that another process keeps there after somebody has looked.
    pub meanwhile: RefCell<Option<Secret>>,
    /// Number of times that something can still be kept; always where it is none.
    pub room: Cell<Option<usize>>,
}

impl Accounts for AccountsOnly {
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError> {
        let found = self.accounts.borrow().get(directory).cloned();
        if let Some(other) = self.meanwhile.take() {
            let mut accounts = self.accounts.borrow_mut();
            accounts.insert(directory.to_owned(), other);
        }
        Ok(found)
    }

    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError> {
        if let Some(room) = self.room.get() {
            let left = room.checked_sub(1);
            self.room.set(Some(left.unwrap_or_default()));
            left.ok_or_else(|| DiskError::Io {
                doing: "write",
                path: PathBuf::from("account.json"),
                source: std::io::Error::other("the disk is full"),
            })?;
        }
        self.kept.borrow_mut().push(account.expose().to_owned());
        let mut accounts = self.accounts.borrow_mut();
        accounts.insert(directory.to_owned(), account.clone());
        Ok(())
    }

    fn set_account_aside(
        &self,
        directory: &str,
        reason: AsideReason,
    ) -> Result<PathBuf, DiskError> {
        self.accounts.borrow_mut().remove(directory);
        Ok(PathBuf::from(format!("account.json.{}", reason.ending())))
    }

    fn hold_account(&self, _directory: &str) -> Result<Option<AccountHold>, DiskError> {
        Ok(Some(AccountHold::of(())))
    }
}

/// The true time, and true waiting.
pub struct RealClock;

#[async_trait(?Send)]
impl Clock for RealClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates of a real CA are valid at the true time only"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }
    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// A clock that moves only when somebody waits, and remembers how long.
pub struct MovedClock {
    pub now: Cell<Timestamp>,
    pub slept: RefCell<Vec<Duration>>,
    /// Time by which somebody sets the time of day back during the next pause.
    pub set_back: Cell<Duration>,
}

impl MovedClock {
    pub fn at(now: Timestamp) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(now),
            slept: RefCell::default(),
            set_back: Cell::default(),
        })
    }
}

#[async_trait(?Send)]
impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.now.get()
    }
    fn elapsed(&self) -> Duration {
        self.slept.borrow().iter().sum()
    }
    async fn sleep(&self, length: Duration) {
        self.slept.borrow_mut().push(length);
        self.now.set(self.now.get() + length - self.set_back.take());
    }
}

/// A webroot that is served at a port of its own, whatever the host name.
#[derive(Clone)]
pub struct Webroot {
    pub port: u16,
    responses: Arc<Mutex<BTreeMap<String, String>>>,
    /// True if it lets its clients wait.
    pub is_held: Arc<AtomicBool>,
}

impl Webroot {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webroot = Self {
            port: listener.local_addr().unwrap().port(),
            responses: Arc::default(),
            is_held: Arc::default(),
        };
        let (responses, is_held) = (webroot.responses.clone(), webroot.is_held.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                while is_held.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let token = line
                    .split_whitespace()
                    .nth(1)
                    .and_then(|path| path.rsplit('/').next())
                    .unwrap_or_default();
                let found = responses.lock().unwrap().get(token).cloned();
                let (status, body) = found.map_or((404, String::new()), |body| (200, body));
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        webroot
    }

    pub fn publish(&self, offers: Vec<Offer>) {
        let mut responses = self.responses.lock().unwrap();
        for offer in offers {
            let chosen = offer.challenge(ChallengeType::Http01).unwrap();
            if let Response::Http { token, body } = chosen.response {
                responses.insert(token, body);
            }
        }
    }
}

/// A CA, a webroot, and what is on disk.
pub struct Bench {
    pub pebble: Pebble,
    pub webroot: Webroot,
    pub disk: Rc<AccountsOnly>,
}

impl Bench {
    pub async fn start(behaviour: Behaviour) -> Self {
        let webroot = Webroot::start().await;
        Self {
            pebble: Pebble::start(webroot.port, behaviour),
            webroot,
            disk: Rc::default(),
        }
    }

    pub fn settings(&self) -> AcmeSettings {
        AcmeSettings {
            ca_root_pem: Some(self.pebble.root()),
            agree_tos: true,
            email: None,
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: HttpsProxy::default(),
        }
    }

    /// As a process that was just started sees the CA.
    pub fn authority(&self) -> AcmeAuthority {
        self.authority_with(self.settings())
    }

    pub fn authority_with(&self, settings: AcmeSettings) -> AcmeAuthority {
        AcmeAuthority::new(
            &self.pebble.directory(),
            settings,
            self.disk.clone(),
            Rc::new(RealClock),
            |_| (),
        )
        .unwrap()
    }

    pub async fn issue(
        &self,
        authority: &AcmeAuthority,
        names: &[&str],
    ) -> Result<(String, Secret), AuthorityError> {
        let names = asked(names);
        let key = new_key(KeyType::Ec256)?;
        let mut order = authority.order(&AskedOrder::of(&names)).await?;
        Ok((self.finish(&mut *order, &key, &names).await?, key))
    }

    pub async fn finish(
        &self,
        order: &mut dyn Order,
        key: &Secret,
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError> {
        self.webroot.publish(order.offers().await?);
        order.authorize(ChallengeType::Http01).await?;
        order.finalize(key, names).await
    }

    pub fn account_url(&self) -> Option<String> {
        let text = self
            .disk
            .accounts
            .borrow()
            .values()
            .next()?
            .expose()
            .to_owned();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["url"].as_str().map(str::to_owned)
    }

    pub fn count(&self, request: &str) -> usize {
        self.pebble
            .requests()
            .iter()
            .filter(|seen| seen.contains(request))
            .count()
    }
}

/// Number of requests of an issuance, where the CA was done at the second look at the order: each time that it was not
/// done yet costs one look more.
pub fn counted(requests: &[String]) -> usize {
    requests.len() - looks(requests) + 2
}

/// Number of these requests that are looks at an order.
pub fn looks(requests: &[String]) -> usize {
    requests
        .iter()
        .filter(|request| request.contains("/my-order/"))
        .count()
}

pub fn asked(names: &[&str]) -> BTreeSet<Host> {
    names
        .iter()
        .map(|name| Host::parse(name).unwrap())
        .collect()
}

pub fn check(chain: &str, key: &Secret, names: &[&str]) {
    let (name, names, now) = (
        CertificateName::parse("new").unwrap(),
        asked(names),
        RealClock.now(),
    );
    let new = NewCertificate {
        profile: None,
        name: &name,
        names: &names,
        key,
        chain,
        source: Source::Provided,
        now,
    };
    let checked = x509::check_new(&new).unwrap();
    assert!(
        checked.issuer.starts_with("Pebble Intermediate CA"),
        "{}",
        checked.issuer
    );
}
