//! The CA's adapter against a real CA, and against one that behaves badly.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use http::Request;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        http::{HttpClient, HttpError, Limits, RootsError},
        x509,
    },
    observe::{Attempt, HeldCertificate, Holder, Installed, Source},
    ports::{Authority, AuthorityError, Challenge, Clock, Disk, DiskError, NewCertificate, Order, OrderRecord},
    values::{CertificateName, ContainerName, Digest, FileName, Host, KeyType, Retry, Secret, Timestamp},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use support::{
    canned::{Canned, Reply},
    fake_ca::{FakeCa, Twist},
    pebble::{BLOCKED, Behaviour, Pebble},
};

/// The disk as far as accounts go: a stand-in, in memory. Nothing else of it is asked for by the CA's adapter.
#[derive(Default)]
struct AccountsOnly {
    accounts: RefCell<BTreeMap<String, Secret>>,
    /// Everything that was kept, in order.
    kept: RefCell<Vec<String>>,
}

#[rustfmt::skip]
impl Disk for AccountsOnly {
    fn account(&self, directory: &str) -> Result<Option<Secret>, DiskError> {
        Ok(self.accounts.borrow().get(directory).cloned())
    }
    fn keep_account(&self, directory: &str, account: &Secret) -> Result<(), DiskError> {
        self.kept.borrow_mut().push(account.expose().to_owned());
        self.accounts.borrow_mut().insert(directory.to_owned(), account.clone());
        Ok(())
    }
    fn held(&self) -> Result<(BTreeMap<CertificateName, HeldCertificate>, Vec<DiskError>), DiskError> { unreachable!() }
    fn store_certificate(&self, _: &NewCertificate<'_>) -> Result<HeldCertificate, DiskError> { unreachable!() }
    fn attempts(&self) -> Result<BTreeMap<CertificateName, Attempt>, DiskError> { unreachable!() }
    fn note_attempt(&self, _: &CertificateName, _: &Attempt) -> Result<(), DiskError> { unreachable!() }
    fn forget_attempts(&self, _: &CertificateName) -> Result<(), DiskError> { unreachable!() }
    fn order(&self, _: &CertificateName) -> Result<Option<OrderRecord>, DiskError> { unreachable!() }
    fn keep_order(&self, _: &CertificateName, _: &OrderRecord) -> Result<(), DiskError> { unreachable!() }
    fn drop_order(&self, _: &CertificateName) -> Result<(), DiskError> { unreachable!() }
    fn holders(&self) -> Result<BTreeMap<Host, Holder>, DiskError> { unreachable!() }
    fn keep_holders(&self, _: &BTreeMap<Host, Holder>) -> Result<(), DiskError> { unreachable!() }
    fn publish(&self, _: &Path, _: &Challenge) -> Result<(), DiskError> { unreachable!() }
    fn withdraw(&self, _: &Path, _: &Challenge) -> Result<(), DiskError> { unreachable!() }
    fn installed(&self, _: &ContainerName, _: &Path, _: Option<&Path>) -> Result<Installed, DiskError> { unreachable!() }
    fn keep_installed(&self, _: &ContainerName, _: &Installed) -> Result<(), DiskError> { unreachable!() }
    fn install(&self, _: &Path, _: &BTreeMap<FileName, String>, _: &BTreeSet<FileName>) -> Result<(), DiskError> { unreachable!() }
    fn deliver(&self, _: &Path, _: &CertificateName, _: Digest) -> Result<(), DiskError> { unreachable!() }
    fn keep_status(&self, _: &str) -> Result<(), DiskError> { unreachable!() }
    fn breathe(&self, _: Timestamp) -> Result<(), DiskError> { unreachable!() }
}

/// The true time, and true waiting.
struct RealClock;

#[async_trait(?Send)]
impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "certificates of a real CA are valid at the true time only")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis().try_into().unwrap())
    }
    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// A clock that moves only when somebody waits, and remembers how long.
struct MovedClock {
    now: Cell<Timestamp>,
    slept: RefCell<Vec<Duration>>,
}

#[async_trait(?Send)]
impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        self.now.get()
    }
    async fn sleep(&self, length: Duration) {
        self.slept.borrow_mut().push(length);
        self.now.set(self.now.get() + length);
    }
}

/// A webroot that is served at a port of its own, whatever the host name.
#[derive(Clone)]
struct Webroot {
    port: u16,
    responses: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Webroot {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webroot = Self { port: listener.local_addr().unwrap().port(), responses: Arc::default() };
        let responses = webroot.responses.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let token = line.split_whitespace().nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
                let found = responses.lock().unwrap().get(token).cloned();
                let (status, body) = found.map_or((404, String::new()), |body| (200, body));
                let answer =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        webroot
    }

    fn publish(&self, challenges: &[Challenge]) {
        let mut responses = self.responses.lock().unwrap();
        responses.extend(challenges.iter().map(|challenge| (challenge.token.clone(), challenge.response.clone())));
    }
}

/// A CA, a webroot, and what is on disk.
struct Bench {
    pebble: Pebble,
    webroot: Webroot,
    disk: Rc<AccountsOnly>,
}

impl Bench {
    async fn start(behaviour: Behaviour) -> Self {
        let webroot = Webroot::start().await;
        Self { pebble: Pebble::start(webroot.port, behaviour), webroot, disk: Rc::default() }
    }

    fn settings(&self) -> AcmeSettings {
        AcmeSettings {
            directory: self.pebble.directory(),
            ca_root_pem: Some(self.pebble.root()),
            agree_tos: true,
            email: None,
        }
    }

    /// As a process that was just started sees the CA.
    fn authority(&self) -> AcmeAuthority {
        AcmeAuthority::new(self.settings(), self.disk.clone(), Rc::new(RealClock)).unwrap()
    }

    async fn issue(&self, authority: &AcmeAuthority, names: &[&str]) -> Result<(String, Secret), AuthorityError> {
        let names = asked(names);
        let key = new_key(KeyType::Ec256)?;
        let mut order = authority.order(&names, None).await?;
        Ok((self.finish(&mut *order, &key, &names).await?, key))
    }

    async fn finish(
        &self,
        order: &mut dyn Order,
        key: &Secret,
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError> {
        self.webroot.publish(&order.challenges().await?);
        order.authorize().await?;
        order.finalize(key, names).await
    }

    fn account_url(&self) -> Option<String> {
        let text = self.disk.accounts.borrow().values().next()?.expose().to_owned();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["url"].as_str().map(str::to_owned)
    }

    fn count(&self, request: &str) -> usize {
        self.pebble.requests().iter().filter(|seen| seen.contains(request)).count()
    }
}

fn asked(names: &[&str]) -> BTreeSet<Host> {
    names.iter().map(|name| Host::parse(name).unwrap()).collect()
}

fn check(chain: &str, key: &Secret, names: &[&str]) {
    let (name, names, now) = (CertificateName::parse("new").unwrap(), asked(names), RealClock.now());
    let new = NewCertificate { name: &name, names: &names, key, chain, source: Source::Provided, now };
    let checked = x509::check_new(&new).unwrap();
    assert!(checked.issuer.starts_with("Pebble Intermediate CA"), "{}", checked.issuer);
}

#[tokio::test]
async fn a_certificate_is_issued_for_one_name_and_for_several_with_as_few_requests_as_can_be() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    for names in [&["shop.example"][..], &["a.example", "b.example", "c.example", "d.example", "e.example"]] {
        let before = bench.pebble.requests().len();
        let (chain, key) = bench.issue(&authority, names).await.unwrap();
        check(&chain, &key, names);
        // The account costs three, once; looking at an order once more costs one each time the CA was not done yet.
        let account = if before == 0 { 3 } else { 0 };
        let requests = bench.pebble.requests().split_off(before);
        let looks = requests.iter().filter(|request| request.contains("/my-order/")).count();
        assert_eq!(requests.len() - looks + 2 - account, 2 * names.len() + 6, "{requests:#?}");
        assert!(looks <= 6, "{requests:#?}");
    }
}

#[tokio::test]
async fn every_key_type_gets_its_certificate() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    for (_, key_type) in KeyType::WORDS {
        let (names, key) = (asked(&["shop.example"]), new_key(key_type).unwrap());
        let mut order = authority.order(&names, None).await.unwrap();
        let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
        check(&chain, &key, &["shop.example"]);
    }
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn an_address_gets_its_certificate_like_a_name() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = ["127.0.0.1", "shop.example"];
    let (chain, key) = bench.issue(&bench.authority(), &names).await.unwrap();
    check(&chain, &key, &names);
}

#[tokio::test]
async fn a_profile_that_the_ca_does_not_have_is_told_before_anything_is_ordered() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example"]);
    let refused = bench.authority().order(&names, Some("shortlived")).await.map(drop).unwrap_err();
    let told =
        r#"the CA refuses (invalidProfile): "shortlived" was asked for, and the CA has no profiles; leave profile out"#;
    assert_eq!(refused.to_string(), told);
    assert_eq!(bench.count("/order-plz"), 0);
}

#[tokio::test]
async fn of_several_names_only_the_wrong_one_is_named() {
    let bench = Bench::start(Behaviour::default()).await;
    bench.pebble.break_dns("wrong.example").await;
    let names = ["right.example", "wrong.example"];
    let failed = bench.issue(&bench.authority(), &names).await.unwrap_err();
    assert_eq!(failed.retry(), Retry::Backoff);
    let AuthorityError::Validation(problems) = &failed else { panic!("{failed:?}") };
    assert_eq!(problems.keys().map(Host::as_str).collect::<Vec<_>>(), ["wrong.example"], "{problems:?}");
    assert!(problems.values().all(|problem| problem.contains("could not resolve")), "{problems:?}");
}

#[tokio::test]
async fn a_response_that_is_not_there_is_told_in_the_words_of_the_ca() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let mut order = authority.order(&asked(&["shop.example"]), None).await.unwrap();
    assert_eq!(order.challenges().await.unwrap().len(), 1);
    let failed = order.authorize().await.unwrap_err();
    let AuthorityError::Validation(problems) = &failed else { panic!("{failed:?}") };
    assert!(problems.values().all(|problem| problem.contains("404") && problem.contains("(unauthorized)")), "{failed}");
    assert!(authority.resume(order.url()).await.unwrap().is_none(), "an invalid order can't be resumed");
}

#[tokio::test]
async fn a_name_that_the_ca_rejects_waits_for_another_input() {
    let bench = Bench::start(Behaviour::default()).await;
    let failed = bench.issue(&bench.authority(), &[BLOCKED]).await.unwrap_err();
    let AuthorityError::Refused { kind, detail } = &failed else { panic!("{failed:?}") };
    assert_eq!(kind, "rejectedIdentifier");
    assert!(detail.contains(BLOCKED), "{detail}");
    assert_eq!(failed.retry(), Retry::WhenInputChanges);
}

#[tokio::test]
async fn a_ca_that_refuses_every_other_nonce_loses_no_certificate() {
    let bench = Bench::start(Behaviour { nonce_reject: 50, ..Behaviour::default() }).await;
    let authority = bench.authority();
    for number in 0..20 {
        let names = [format!("a{number}.example"), format!("b{number}.example")];
        let names = names.each_ref().map(String::as_str);
        let (chain, key) = bench.issue(&authority, &names).await.unwrap();
        check(&chain, &key, &names);
    }
}

#[tokio::test]
async fn an_order_is_resumed_at_every_step_with_its_key() {
    let bench = Bench::start(Behaviour::default()).await;
    let names = asked(&["shop.example"]);
    for steps in 0..4 {
        let (url, key) = {
            let authority = bench.authority();
            let key = new_key(KeyType::Ec256).unwrap();
            let mut order = authority.order(&names, None).await.unwrap();
            if steps > 0 {
                bench.webroot.publish(&order.challenges().await.unwrap());
            }
            if steps > 1 {
                order.authorize().await.unwrap();
            }
            if steps > 2 {
                order.finalize(&key, &names).await.unwrap();
            }
            (order.url().to_owned(), key)
        };
        let orders = bench.count("POST /order-plz");
        let finalized = bench.count("/finalize-order/");
        let mut order = bench.authority().resume(&url).await.unwrap().unwrap();
        let chain = bench.finish(&mut *order, &key, &names).await.unwrap();
        check(&chain, &key, &["shop.example"]);
        assert_eq!(bench.count("POST /order-plz"), orders, "resuming makes no second order");
        assert_eq!(bench.count("/finalize-order/") - finalized, usize::from(steps < 3));
    }
    assert_eq!(bench.count("/sign-me-up"), 1, "every process used the account on disk");
}

#[tokio::test]
async fn an_order_with_nothing_left_to_prove_needs_no_challenge() {
    let bench = Bench::start(Behaviour { authorization_reuse: 100, ..Behaviour::default() }).await;
    let authority = bench.authority();
    let names = asked(&["shop.example"]);
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    let mut order = authority.order(&names, None).await.unwrap();
    assert_eq!(order.challenges().await.unwrap(), []);
    order.authorize().await.unwrap();
    let key = new_key(KeyType::Ec256).unwrap();
    check(&order.finalize(&key, &names).await.unwrap(), &key, &["shop.example"]);
}

#[tokio::test]
async fn an_order_that_the_ca_does_not_know_can_not_be_resumed() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let url = format!("{}/my-order/none", bench.pebble.directory().trim_end_matches("/dir"));
    assert!(authority.resume(&url).await.unwrap().is_none());
}

#[tokio::test]
async fn four_orders_that_begin_together_share_one_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let issued = try_join_all(names.iter().map(|name| bench.issue(&authority, std::slice::from_ref(name)))).await;
    for ((chain, key), name) in issued.unwrap().iter().zip(&names) {
        check(chain, key, &[name]);
    }
    assert_eq!(bench.count("/sign-me-up"), 1);
}

#[tokio::test]
async fn an_account_that_the_ca_has_lost_is_registered_again_once() {
    let mut bench = Bench::start(Behaviour::default()).await;
    let authority = bench.authority();
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    let url = authority.order(&asked(&["shop.example"]), None).await.unwrap().url().to_owned();
    bench.pebble.restart();
    assert!(authority.resume(&url).await.unwrap().is_none(), "the order went with the account");
    let names = ["a.example", "b.example", "c.example", "d.example"];
    for issued in join_all(names.iter().map(|name| bench.issue(&authority, std::slice::from_ref(name)))).await {
        issued.unwrap();
    }
    assert_eq!(bench.count("/sign-me-up"), 2, "once before and once after the loss");
    bench.issue(&bench.authority(), &["shop.example"]).await.unwrap();
    assert_eq!(bench.count("/sign-me-up"), 2, "the new one is on disk");
}

#[tokio::test]
async fn a_crash_while_registering_leaves_no_second_account() {
    let bench = Bench::start(Behaviour::default()).await;
    bench.issue(&bench.authority(), &["shop.example"]).await.unwrap();
    let account = bench.account_url().unwrap();
    let first = bench.disk.kept.borrow()[0].clone();
    assert!(first.contains(r#""url":null"#) && first.contains("PRIVATE KEY"), "the key comes first");
    bench.disk.accounts.borrow_mut().insert(bench.pebble.directory(), Secret::new(first));
    bench.issue(&bench.authority(), &["shop.example"]).await.unwrap();
    assert_eq!(bench.account_url().unwrap(), account);
}

#[tokio::test]
async fn a_contact_is_left_with_the_account() {
    let bench = Bench::start(Behaviour::default()).await;
    let settings = AcmeSettings { email: Some("harbour@shop.example".to_owned()), ..bench.settings() };
    let authority = AcmeAuthority::new(settings, bench.disk.clone(), Rc::new(RealClock)).unwrap();
    bench.issue(&authority, &["shop.example"]).await.unwrap();
    assert_eq!(bench.count("/my-account/"), 1);
}

#[tokio::test]
async fn terms_are_agreed_to_before_anything_is_kept_or_asked() {
    let bench = Bench::start(Behaviour::default()).await;
    let without = || {
        let settings = AcmeSettings { agree_tos: false, ..bench.settings() };
        AcmeAuthority::new(settings, bench.disk.clone(), Rc::new(RealClock)).unwrap()
    };
    let terms = without().terms_to_agree().await.unwrap();
    assert!(terms.starts_with("data:text/plain"), "{terms}");
    let failed = bench.issue(&without(), &["shop.example"]).await.unwrap_err();
    assert!(matches!(&failed, AuthorityError::Terms { terms: named } if *named == terms), "{failed:?}");
    assert!(bench.disk.kept.borrow().is_empty());
    assert_eq!(bench.count("/sign-me-up"), 0);
    assert_eq!(bench.authority().terms_to_agree().await, None);
    bench.issue(&bench.authority(), &["shop.example"]).await.unwrap();
    assert_eq!(without().terms_to_agree().await, None, "an account is an agreement");
    bench.issue(&without(), &["shop.example"]).await.unwrap();
}

/// An authority at a server that behaves badly, and a clock that does not keep us waiting.
fn authority_at(server: &Canned) -> (AcmeAuthority, Rc<MovedClock>) {
    let settings = AcmeSettings {
        directory: server.url("/dir"),
        ca_root_pem: Some(server.root.clone()),
        agree_tos: true,
        email: None,
    };
    let now = Timestamp::parse("2026-11-22T18:00:00Z").unwrap();
    let clock = Rc::new(MovedClock { now: Cell::new(now), slept: RefCell::default() });
    let authority = AcmeAuthority::new(settings, Rc::new(AccountsOnly::default()), clock.clone());
    (authority.unwrap(), clock)
}

/// How an order at a server that answers everything with `reply` fails.
async fn failure(reply: Reply) -> (String, AuthorityError) {
    let server = Canned::start(move |_, _, _| reply.clone()).await;
    let failed = authority_at(&server).0.order(&asked(&["shop.example"]), None).await.map(drop).unwrap_err();
    (server.url("/dir"), failed)
}

/// All steps of an issuance at a fake CA; its "chain", or what went wrong, and the pauses made.
async fn issue_at(ca: &FakeCa) -> (Result<String, AuthorityError>, Vec<Duration>) {
    let (authority, clock) = authority_at(&ca.server);
    let names = asked(&["shop.example"]);
    let steps = async {
        let key = new_key(KeyType::Ec256)?;
        let mut order = authority.order(&names, None).await?;
        assert_eq!(order.challenges().await?.len(), 1);
        order.authorize().await?;
        order.finalize(&key, &names).await
    };
    let result = steps.await;
    (result, clock.slept.take())
}

fn problem(status: u16, kind: &str) -> Reply {
    let body = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "no"}}"#);
    Reply::new(status, &["Content-Type: application/problem+json"], &body)
}

#[tokio::test]
async fn a_lost_answer_leads_to_the_same_end_wherever_it_is_lost() {
    let whole = FakeCa::start(|_, _, _| Twist::Nothing).await;
    assert_eq!(issue_at(&whole).await.0.unwrap(), "the chain");
    for lost in 0..whole.total() {
        for twist in [Twist::After(Reply::Cut), Twist::Instead(Reply::Cut)] {
            let told = format!("request {lost}, {twist:?}");
            let ca = FakeCa::start(move |_, _, total| if total == lost { twist.clone() } else { Twist::Nothing }).await;
            let (result, _) = issue_at(&ca).await;
            assert_eq!(ca.count("POST /order"), 1, "{told}");
            match ca.asked(lost).as_str() {
                // Whether the CA has made an order can't be found out, so none is made over it at once.
                "POST /order" => {
                    assert!(matches!(result, Err(AuthorityError::Unreachable { .. })), "{told}: {result:?}");
                    assert_eq!(ca.total(), lost + 1, "{told}");
                }
                _ => assert_eq!(result.unwrap(), "the chain", "{told}"),
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_given_up() {
    let ca = FakeCa::start(|asked, _, _| match asked {
        "POST /authorization/1" => Twist::Instead(Reply::Cut),
        _ => Twist::Nothing,
    })
    .await;
    assert!(matches!(issue_at(&ca).await.0, Err(AuthorityError::Unreachable { .. })));
    assert_eq!(ca.count("POST /authorization/1"), 3);
}

#[tokio::test]
async fn a_ca_that_never_ends_is_asked_less_and_less_and_then_given_up() {
    let ca = FakeCa::start(|asked, _, _| match asked {
        "POST /challenge/1" => Twist::Instead(Reply::new(
            200,
            &["Replay-Nonce: bm9uY2U"],
            r#"{"type": "http-01", "url": "x", "status": "processing", "token": "dG9rZW4"}"#,
        )),
        _ => Twist::Nothing,
    })
    .await;
    let (result, slept) = issue_at(&ca).await;
    assert!(matches!(result, Err(AuthorityError::TooSlow { limit, .. }) if limit == Duration::from_secs(300)));
    let millis = slept.iter().map(Duration::as_millis).collect::<Vec<_>>();
    assert_eq!(millis[..8], [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert!((300_000..=305_000).contains(&millis.iter().sum::<u128>()), "{millis:?}");
}

#[tokio::test]
async fn a_ca_is_asked_again_when_it_says_but_not_much_later() {
    let ca = FakeCa::start(|asked, before, _| {
        let pending = r#"{"status": "pending", "authorizations": [], "finalize": "x"}"#;
        let wait = match before {
            0 => "Retry-After: 3",
            1 => "Retry-After: 86400",
            2 => "Retry-After: Sun, 22 Nov 2026 18:01:13 GMT",
            _ => return Twist::Nothing,
        };
        match asked {
            "POST /order/1" => Twist::Instead(Reply::new(200, &["Replay-Nonce: bm9uY2U", wait], pending)),
            _ => Twist::Nothing,
        }
    })
    .await;
    let (result, slept) = issue_at(&ca).await;
    assert_eq!(result.unwrap(), "the chain");
    assert_eq!(slept, [3, 60, 10].map(Duration::from_secs));
}

#[tokio::test]
async fn an_order_that_is_finalized_too_early_is_finalized_again_once() {
    for refusals in [1, 2] {
        let ca = FakeCa::start(move |asked, before, _| match asked {
            "POST /finalize/1" if before < refusals => Twist::Instead(problem(403, "orderNotReady")),
            _ => Twist::Nothing,
        })
        .await;
        let (result, _) = issue_at(&ca).await;
        match refusals {
            1 => assert_eq!(result.unwrap(), "the chain"),
            _ => assert!(matches!(result, Err(AuthorityError::Refused { kind, .. }) if kind == "orderNotReady")),
        }
        assert_eq!(ca.count("POST /finalize/1"), 2);
    }
}

#[tokio::test]
async fn a_ca_that_becomes_busy_in_the_middle_is_not_asked_on() {
    for step in [
        "HEAD /nonce",
        "POST /account",
        "POST /order",
        "POST /authorization/1",
        "POST /challenge/1",
        "POST /finalize/1",
    ] {
        let busy = Reply::new(503, &["Retry-After: 60"], "<html>busy");
        let ca = FakeCa::start(move |asked, _, _| match asked == step {
            true => Twist::Instead(busy.clone()),
            false => Twist::Nothing,
        })
        .await;
        let failed = issue_at(&ca).await.0.unwrap_err();
        assert!(matches!(failed.retry(), Retry::NotBefore(_)), "{step}: {failed:?}");
        assert_eq!(ca.count(step), 1, "{step}");
    }
}

#[tokio::test]
async fn challenges_that_can_not_be_met_are_refused() {
    let offer = |kind: &str, token: &str| {
        Reply::new(
            200,
            &["Replay-Nonce: bm9uY2U"],
            &format!(
                r#"{{"status": "pending", "identifier": {{"type": "dns", "value": "shop.example"}},
                    "challenges": [{{"type": "{kind}", "url": "x", "status": "pending", "token": "{token}"}}]}}"#
            ),
        )
    };
    for (kind, token, expected) in [
        ("dns-01", "dG9rZW4", "for shop.example it offers only dns-01, which quaymaster can't answer"),
        ("http-01", "../../etc/passwd", "a token is not base64url"),
        ("http-01", "", "a token is not base64url"),
    ] {
        let reply = offer(kind, token);
        let ca = FakeCa::start(move |asked, _, _| match asked {
            "POST /authorization/1" => Twist::Instead(reply.clone()),
            _ => Twist::Nothing,
        })
        .await;
        let told = issue_at(&ca).await.0.unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn a_ca_that_is_busy_says_until_when() {
    for (wait, seconds) in [("Retry-After: 120", 120), ("Retry-After: Sun, 22 Nov 2026 19:00:00 GMT", 3600)] {
        let until = Timestamp::parse("2026-11-22T18:00:00Z").unwrap() + Duration::from_secs(seconds);
        let limited = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders"}"#;
        let (_, failed) = failure(Reply::new(429, &[wait, "Content-Type: application/problem+json"], limited)).await;
        assert_eq!(failed.retry(), Retry::NotBefore(until), "{failed:?}");
        let (_, failed) = failure(Reply::new(503, &[wait], "<html><h1>Slow down</h1>")).await;
        assert!(matches!(&failed, AuthorityError::Busy { status: 503, detail, .. } if detail.contains("Slow down")));
        assert_eq!(failed.retry(), Retry::NotBefore(until), "{failed:?}");
    }
}

#[tokio::test]
async fn what_is_no_ca_is_told_apart_from_one_that_is_out_of_reach() {
    for reply in
        [Reply::new(400, &[], "<html>what?"), Reply::new(200, &[], "<html>what?"), Reply::new(404, &[], "<html>what?")]
    {
        let (url, failed) = failure(reply).await;
        assert!(matches!(failed, AuthorityError::NotAcme { .. }), "{failed:?}");
        let told = failed.to_string();
        assert!(told.contains(&url) && told.contains("<html>what?"), "{told}");
    }
    let (_, failed) = failure(Reply::new(200, &[], r#"{"hello": "world"}"#)).await;
    assert!(matches!(&failed, AuthorityError::NotAcme { problem, .. } if problem.contains("newNonce")), "{failed:?}");
    let (_, failed) = failure(Reply::new(301, &["Location: https://127.0.0.1/"], "")).await;
    assert!(matches!(&failed, AuthorityError::NotAcme { problem, .. } if problem.contains("301")), "{failed:?}");
    let (_, failed) = failure(Reply::Cut).await;
    assert!(matches!(failed, AuthorityError::Unreachable { .. }), "{failed:?}");
}

fn request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn requests_are_bounded_in_time_and_size_and_say_who_asks() {
    let limits = Limits { whole: Duration::from_millis(200), body: 1000, ..Limits::default() };
    let server = Canned::start(|_, path, head| match path {
        "/hang" => Reply::Hang,
        "/slow-body" => Reply::Bytes("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc".to_owned()),
        "/cut" => Reply::Cut,
        path if path.starts_with("/long") => Reply::new(200, &[], &"x".repeat(path.len() - 6 + 1000)),
        _ => Reply::new(200, &[], head),
    })
    .await;
    let client = HttpClient::new(Some(&server.root), limits).unwrap();
    let send = async |path: &str| client.send(request(&server.url(path))).await;
    let hang = tokio::time::timeout(Duration::from_secs(10), send("/hang"));
    assert!(matches!(hang.await.unwrap(), Err(HttpError::Silent(limit)) if limit == limits.whole));
    assert!(matches!(send("/slow-body").await, Err(HttpError::Cut(_))));
    assert!(matches!(send("/cut").await, Err(HttpError::Cut(_))));
    assert_eq!(send("/long/").await.unwrap().body().len(), 1000);
    assert!(matches!(send("/long/x").await, Err(HttpError::TooLong(1000))));
    let seen = String::from_utf8(send("/").await.unwrap().body().to_vec()).unwrap();
    assert!(
        seen.contains(concat!("user-agent: quaymaster/", env!("CARGO_PKG_VERSION"), " instant-acme/0.8\r\n")),
        "{seen}"
    );
    assert!(seen.contains("accept-language: en\r\n"), "{seen}");
}

#[tokio::test]
async fn only_known_servers_are_trusted_and_only_over_tls() {
    let server = Canned::start(|_, _, _| Reply::new(200, &[], "hello")).await;
    let other = support::canned::server_certificate().root;
    let refusal = async |roots: Option<&str>, url: &str| {
        let client = HttpClient::new(roots, Limits::default()).unwrap();
        client.send(request(url)).await.map(|answer| answer.status())
    };
    for roots in [None, Some(other.as_str())] {
        assert!(matches!(refusal(roots, &server.url("/")).await, Err(HttpError::Connect(_))));
    }
    assert!(matches!(refusal(None, &format!("http://{}/", server.at)).await, Err(HttpError::Connect(_))));
    let both = format!("{other}{}", server.root);
    assert!(refusal(Some(&both), &server.url("/")).await.is_ok(), "every certificate of the file is a root");
    assert!(matches!(HttpClient::new(Some(""), Limits::default()), Err(RootsError::None)));
    let broken = both.replace("MII", "!!!");
    assert!(matches!(HttpClient::new(Some(&broken), Limits::default()), Err(RootsError::Unreadable(_))));
}
