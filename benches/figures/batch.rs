//! On a real CA of this machine: many certificates at once, from orders to files, beside what lego and certbot take for the
//! same in the same run; and the look before an order where DNS and web server are near.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        clock::SystemClock,
        disk::Folders,
        dns::DnsResolver,
        engine::RecordedEngine,
        https_proxy::HttpsProxy,
        probe::TcpProbe,
        visitor::TcpVisitor,
    },
    desire::Issuance,
    execute::{execute, preview},
    observe::{Attempt, SharedPath, Webroots},
    plan::{Action, Counts, NameVerdict, ORDERS_AT_ONCE, Obtain, SelfCheck, WebPorts, Why},
    ports::{Authorities, Authority, AuthorityError, Ports},
    values::{CertificateName, ChallengeType, Host, Issuer, KeyType, Secret, Timestamp},
};
use tokio::runtime::Builder;

use crate::{
    median,
    support::pebble::{Behaviour, Pebble},
    table::Table,
};

const MANY: usize = 200;
/// Others take seconds for each: they look whether the CA has seen a name every few seconds.
const FEW: usize = 20;
const ROUNDS: usize = 21;
/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";

/// Measures the batch, beside others, and the look.
pub fn measure(table: &mut Table) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let figure = format!("{MANY} certificates, {ORDERS_AT_ONCE} in flight");
    if Path::new(MEMORY).is_dir() {
        let took = runtime.block_on(Stage::new(Path::new(MEMORY)).ours());
        table.figure(format!("{figure}, state in memory"), "s", took, 3.0);
    }
    let stage = Stage::new(&std::env::temp_dir());
    // Each step is synced before the next one: that is the disk's time.
    let took = runtime.block_on(stage.ours());
    table.told(format!("{figure}, state on this disk"), "s", took);
    let others = |by: &str, many: usize, client: fn(&Stage, usize, usize) -> Command| {
        let told = format!("{many} certificates by {by}, {ORDERS_AT_ONCE} in flight");
        (told, stage.by(many, client))
    };
    for (told, took) in [others("lego", FEW, lego), others("certbot", FEW, certbot)] {
        table.told(told, "s", took);
    }
    let took = runtime.block_on(stage.look());
    table.figure("the look before an order, all near", "ms", took, 50.0);
}

/// A CA, and a web server that shows a folder for every name.
struct Stage {
    pebble: Pebble,
    folder: tempfile::TempDir,
    port: u16,
}

/// The one CA that there is, whatever the URL.
struct TheOne(Rc<AcmeAuthority>);

#[async_trait(?Send)]
impl Authorities for TheOne {
    fn at(&self, _: &str) -> Result<Rc<dyn Authority>, AuthorityError> {
        Ok(self.0.clone())
    }

    async fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError> {
        new_key(kind)
    }

    fn self_signed(
        &self,
        _: &Secret,
        _: &std::collections::BTreeSet<Host>,
        _: Timestamp,
    ) -> Result<String, AuthorityError> {
        unreachable!("a CA is asked")
    }
}

impl Stage {
    /// With all of its files in a folder in this one.
    fn new(within: &Path) -> Self {
        let folder = tempfile::tempdir_in(within).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = folder.path().join("web");
        thread::spawn(move || serve(&listener, &root));
        let pebble = Pebble::start(port, Behaviour::default());
        fs::write(folder.path().join("root.pem"), pebble.root()).unwrap();
        Self {
            pebble,
            folder,
            port,
        }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    fn ports(&self) -> Ports {
        let folders = Folders::new(self.path("certificates"), self.path("state"), |_| ());
        let folders = Rc::new(folders);
        let settings = AcmeSettings {
            ca_root_pem: Some(self.pebble.root()),
            agree_tos: true,
            email: None,
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: HttpsProxy::default(),
        };
        let clock = Rc::new(SystemClock);
        let directory = self.pebble.directory();
        let disk = folders.clone();
        let authority = AcmeAuthority::new(&directory, settings, disk, clock.clone(), |_| ());
        folders.ports(
            Rc::new(TheOne(Rc::new(authority.unwrap()))),
            Rc::new(RecordedEngine::read("[]", |_| ()).unwrap()),
            Rc::new(TcpProbe::new().unwrap()),
            clock,
            (
                Rc::new(DnsResolver::new(Some(self.pebble.dns()))),
                Rc::new(TcpVisitor::new().unwrap()),
            ),
        )
    }

    fn obtain(&self, name: &str, now: Timestamp) -> Obtain {
        let at = SocketAddr::from(([127, 0, 0, 1], self.port));
        Obtain {
            certificate: CertificateName::parse(name).unwrap(),
            names: [Host::parse(name).unwrap()].into(),
            issuance: Issuance {
                issuer: Issuer::Ca(self.pebble.directory()),
                challenge: ChallengeType::Http01,
                dns: None,
                key_type: KeyType::Ec256,
                profile: None,
            },
            why: Why::Missing,
            replaces: None,
            held_chain: 0,
            helper: None,
            webroots: Webroots {
                folders: [SharedPath::top(self.path("web"))].into(),
                proxies: [at].into(),
                dns: None,
            },
            attempt: Attempt::broken_off(now),
            counts: Counts {
                order: true,
                certificate: true,
                failures: true,
                project: None,
            },
            is_of_list: false,
            other_ca: None,
            record_wait: Duration::ZERO,
            self_check: None,
        }
    }

    /// Seconds from the first order to the last file, with the account, which is needed once.
    async fn ours(&self) -> f64 {
        let ports = self.ports();
        let began = Instant::now();
        let orders = (0..MANY).map(|number| {
            let obtain = self.obtain(&format!("n{number}.example"), ports.clock.now());
            let ports = ports.clone();
            async move {
                let mut action = Action::Obtain(Box::new(obtain));
                execute(&ports, &mut action).await.result.unwrap();
            }
        });
        let orders = stream::iter(orders).buffer_unordered(ORDERS_AT_ONCE);
        orders.collect::<Vec<()>>().await;
        let took = began.elapsed().as_secs_f64();
        let live = fs::read_dir(self.path("certificates/live")).unwrap();
        assert_eq!(live.count(), MANY);
        took
    }

    /// Seconds that a client takes, a process for each certificate, and so many at the same time.
    fn by(&self, many: usize, client: fn(&Self, usize, usize) -> Command) -> f64 {
        // Each place has an account of its own, which is not counted.
        for place in 0..ORDERS_AT_ONCE {
            run(client(self, place, many + place));
        }
        let (next, began) = (AtomicUsize::new(0), Instant::now());
        thread::scope(|scope| {
            for place in 0..ORDERS_AT_ONCE {
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= many {
                            break;
                        }
                        run(client(self, place, number));
                    }
                });
            }
        });
        began.elapsed().as_secs_f64()
    }

    /// Milliseconds.
    async fn look(&self) -> f64 {
        let ports = self.ports();
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let mut obtain = self.obtain("look.example", ports.clock.now());
            obtain.self_check = Some(SelfCheck {
                method: ChallengeType::Http01,
                is_public: false,
                is_resolver_named: true,
                is_by_thumbprint: false,
                was_validated: false,
                is_urgent: false,
                identities: &["ca.example"],
                ports: WebPorts {
                    http: self.port,
                    https: 1,
                },
            });
            let began = Instant::now();
            let verdicts = preview(&ports.issuing, &*ports.clock, &obtain).await;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
            let verdicts = verdicts.unwrap();
            let [(_, NameVerdict::Seen)] = &*verdicts else {
                panic!("{verdicts:?}")
            };
        }
        median(took)
    }
}

fn run(mut client: Command) {
    let output = client.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

fn lego(stage: &Stage, place: usize, number: usize) -> Command {
    let mut command = Command::new("lego");
    command
        .args(["--server", &stage.pebble.directory(), "--accept-tos"])
        .args(["--email", "me@shop.example", "--http", "--http.webroot"])
        .arg(stage.path("web"))
        .arg("--path")
        .arg(stage.path(&format!("lego{place}")))
        .args(["--domains", &format!("lego{number}.example"), "run"])
        .env("LEGO_CA_CERTIFICATES", stage.path("root.pem"));
    command
}

fn certbot(stage: &Stage, place: usize, number: usize) -> Command {
    let mut command = Command::new("certbot");
    command
        .args(["certonly", "--webroot", "--non-interactive", "--agree-tos"])
        .args(["--email", "me@shop.example", "-w"])
        .arg(stage.path("web"))
        .args(["--server", &stage.pebble.directory()])
        .args(["-d", &format!("certbot{number}.example")])
        .env("REQUESTS_CA_BUNDLE", stage.path("root.pem"));
    for kind in ["config", "work", "logs"] {
        let folder = stage.path(&format!("certbot{place}/{kind}"));
        command.arg(format!("--{kind}-dir")).arg(folder);
    }
    command
}

/// Shows the files of a folder.
fn serve(listener: &TcpListener, root: &Path) {
    for stream in listener.incoming().flatten() {
        let root = root.to_owned();
        thread::spawn(move || show(stream, &root));
    }
}

fn show(mut stream: TcpStream, root: &Path) {
    let (mut head, mut length) = ([0; 4096], 0);
    while !head[..length].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[length..]) {
            Ok(0) | Err(_) => return,
            Ok(more) => length += more,
        }
    }
    let head = String::from_utf8_lossy(&head[..length]);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match fs::read(root.join(path.trim_start_matches('/'))) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let begin = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may be gone.
    let _ = stream.write_all(&[begin.as_bytes(), &body].concat());
}
