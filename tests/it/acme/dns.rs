//! Names that are proven by TXT records, set in a real DNS server by signed updates, for a real CA.

use std::{rc::Rc, time::Duration};

use async_trait::async_trait;
use quaymaster::{
    adapters::{
        clock::SystemClock,
        dns::{DnsOutside, DnsResolver, RecordResponder},
        https_proxy::HttpsProxy,
    },
    execute::{Learned, Outcome, execute},
    observe::Webroots,
    plan::{Action, Obtain},
    ports::{Challenge, Clock, Ports, Responder, Response, ShownResponse, TxtProof},
    values::{
        ChallengeType, DNS_PROVIDERS, DnsProvider, DnsSettings, Host, Retry, Secret, Timestamp,
        TsigAlgorithm,
    },
};

use super::{
    bench::Bench,
    obtain::{obtaining, ports},
};
use crate::support::{
    knot::{KEY, KEY_NAME, Knot},
    pebble::Behaviour,
    powerdns::{API_KEY, PowerDns},
    server::free_address,
};

pub const HOME: &str = "home";
pub const NAME: &str = "_acme-challenge.shop.example";

/// A clock that is wrong by so much.
struct Ahead(Duration);

#[async_trait(?Send)]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }

    async fn sleep(&self, length: Duration) {
        SystemClock.sleep(length).await;
    }
}

/// The table `[dns.home]` for this server.
pub fn home(knot: &Knot) -> DnsSettings {
    DnsSettings {
        provider: Some(DNS_PROVIDERS[0]),
        server: Some(knot.at.to_string()),
        key_name: Some(KEY_NAME.to_owned()),
        nameservers: vec![knot.at.to_string()],
        ..DnsSettings::default()
    }
}

fn provider(name: &str) -> Option<DnsProvider> {
    let row = DNS_PROVIDERS.iter().find(|row| row.name == name);
    assert!(row.is_some(), "{name}");
    row.copied()
}

/// Responder that sets records by this table. Names are looked up at this server.
pub fn responder(
    knot: &Knot,
    settings: &DnsSettings,
    key: &str,
    clock: Rc<dyn Clock>,
) -> RecordResponder {
    let settings = DnsSettings {
        key: Some(Secret::new(key)),
        ..settings.clone()
    };
    let outside = DnsOutside {
        resolver: Rc::new(DnsResolver::new(Some(knot.at))),
        clock,
        proxy: HttpsProxy::default(),
        is_in_container: false,
    };
    RecordResponder::new([(HOME, &settings)], &outside)
}

fn usual(knot: &Knot) -> RecordResponder {
    responder(knot, &home(knot), KEY, Rc::new(SystemClock))
}

pub fn challenge(host: &str, value: &str) -> Challenge {
    let Response::Txt { name, .. } = Response::txt(&Host::parse(host).unwrap(), "") else {
        panic!("a record")
    };
    Challenge {
        name: Host::parse(host).unwrap(),
        response: Response::Txt {
            name,
            proof: TxtProof::of_value(value),
        },
    }
}

pub fn at_home() -> Webroots {
    Webroots::of_dns(HOME)
}

/// Takes it away, which must go well.
async fn withdraw(responder: &RecordResponder, challenge: &Challenge) {
    let shown = challenge.response.shown(Some(HOME));
    let faults = responder.withdraw(&at_home(), &shown).await;
    assert!(faults.is_empty(), "{faults:?}");
}

/// The reason why a record can't be set.
async fn refused(responder: &RecordResponder, host: &str) -> String {
    let set = responder.publish(&at_home(), &challenge(host, "one")).await;
    set.expect_err("it can't be set").to_string()
}

#[tokio::test]
async fn records_at_one_name_come_and_go_each_for_itself() {
    let knot = Knot::start(&[("shop.example", "_acme-challenge TXT \"theirs\"")]);
    let responder = usual(&knot);
    let (apex, wildcard) = (
        challenge("shop.example", "apex"),
        challenge("*.shop.example", "wildcard"),
    );
    for one in [&apex, &wildcard, &apex] {
        responder.publish(&at_home(), one).await.unwrap();
    }
    assert_eq!(
        knot.asked(NAME, "TXT"),
        [r#""apex""#, r#""theirs""#, r#""wildcard""#]
    );
    for one in [&apex, &wildcard] {
        assert_eq!(responder.look(&at_home(), one).await, Ok(()));
    }
    for _ in 0..2 {
        withdraw(&responder, &apex).await;
        assert_eq!(knot.asked(NAME, "TXT"), [r#""theirs""#, r#""wildcard""#]);
    }
    let unseen = responder.look(&at_home(), &apex).await.unwrap_err();
    let expected = format!("does not show the TXT record of {NAME}");
    assert!(unseen.saw.contains(&expected), "{unseen}");
    withdraw(&responder, &wildcard).await;
    assert_eq!(knot.asked(NAME, "TXT"), [r#""theirs""#]);

    // Others show responses of their own kind alone.
    let http = ShownResponse::Http {
        token: "t".to_owned(),
    };
    assert!(responder.withdraw(&at_home(), &http).await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_key_name_algorithm_zone_or_clock_is_a_sentence_each() {
    let knot = Knot::start(&[("shop.example", ""), ("other.example", "")]);
    let other_key = "AAAAZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=";
    let usual = home(&knot);
    let renamed = DnsSettings {
        key_name: Some("quaymasters".to_owned()),
        ..usual.clone()
    };
    let stronger = DnsSettings {
        key_algorithm: TsigAlgorithm::Sha512,
        ..usual.clone()
    };
    let elsewhere = DnsSettings {
        zone: Some("other.example".to_owned()),
        ..usual.clone()
    };
    let above = DnsSettings {
        zone: Some("example".to_owned()),
        ..usual.clone()
    };
    let hour = Duration::from_secs(3600);
    let clock = |ahead| Rc::new(Ahead(ahead)) as Rc<dyn Clock>;
    for (settings, key, ahead, expected) in [
        (
            &usual,
            other_key,
            Duration::ZERO,
            "has another secret for the key quaymaster: copy it again, whole",
        ),
        (
            &renamed,
            KEY,
            Duration::ZERO,
            "does not know the key quaymasters with hmac-sha256: write key-name and",
        ),
        (
            &stronger,
            KEY,
            Duration::ZERO,
            "does not know the key quaymaster with hmac-sha512: write key-name and",
        ),
        (
            &elsewhere,
            KEY,
            Duration::ZERO,
            "_acme-challenge.shop.example, which is not in the zone other.example that the table names",
        ),
        (
            &above,
            KEY,
            Duration::ZERO,
            "is not the primary of the zone example: write the primary into `server`",
        ),
        (&usual, KEY, hour, "differ by more than 300 s"),
    ] {
        let told = refused(
            &responder(&knot, settings, key, clock(ahead)),
            "shop.example",
        )
        .await;
        assert!(told.contains(expected), "{told}");
        assert!(
            told.starts_with(
                "can't set the TXT record _acme-challenge.shop.example by [dns.home]: "
            ),
            "{told}"
        );
        assert!(!told.contains(KEY) && !told.contains(other_key), "{told}");
    }
    assert_eq!(knot.asked(NAME, "TXT"), [""; 0]);
}

#[tokio::test]
async fn aliases_are_followed_into_another_zone_and_circles_and_strange_names_are_told() {
    let long = (0..9).map(|n| format!("l{n} CNAME l{}", n + 1));
    let long = long.collect::<Vec<_>>().join("\n");
    let lines = format!(
        "_acme-challenge CNAME shop.acme.example.\n_acme-challenge.a CNAME a\na CNAME _acme-challenge.a\n\
         _acme-challenge.long CNAME l0\n{long}"
    );
    let knot = Knot::start(&[("shop.example", &lines), ("acme.example", "")]);
    let responder = usual(&knot);
    let one = challenge("shop.example", "one");
    responder.publish(&at_home(), &one).await.unwrap();
    assert_eq!(knot.asked("shop.acme.example", "TXT"), [r#""one""#]);
    assert_eq!(responder.look(&at_home(), &one).await, Ok(()));
    withdraw(&responder, &one).await;
    assert_eq!(knot.asked("shop.acme.example", "TXT"), [""; 0]);
    for (host, expected) in [
        (
            "a.shop.example",
            "its CNAME records lead in a circle, from _acme-challenge.a.shop.example to a.shop.example to \
             _acme-challenge.a.shop.example: let them end",
        ),
        (
            "long.shop.example",
            "more than 7 CNAME records follow each other",
        ),
        (
            "shop.elsewhere",
            "does not answer about _acme-challenge.shop.elsewhere (Query Refused)",
        ),
    ] {
        let told = refused(&responder, host).await;
        assert!(told.contains(expected), "{told}");
    }
}

/// An order for these names by DNS.
fn by_dns(folder: &std::path::Path, names: &[&str], ports: &Ports, wait: Duration) -> Action {
    let usual = obtaining(folder, names, [], ports.clock.now());
    let mut obtain = Obtain {
        webroots: at_home(),
        record_wait: wait,
        ..usual
    };
    obtain.issuance.challenge = ChallengeType::Dns01;
    obtain.issuance.dns = Some(HOME.to_owned());
    Action::Obtain(Box::new(obtain))
}

/// A bench whose CA asks this server.
async fn bench(knot: &Knot) -> Bench {
    let behaviour = Behaviour {
        dns: Some(knot.at),
        ..Behaviour::default()
    };
    Bench::start(behaviour).await
}

/// As a process that was just started has them.
fn ports_with(bench: &Bench, folder: &std::path::Path, responder: RecordResponder) -> Ports {
    let mut ports = ports(bench.authority(), folder, Rc::new(SystemClock));
    ports.issuing.responder = Rc::new(responder);
    ports
}

fn names(outcome: Outcome) -> Vec<String> {
    match outcome.result {
        Ok(Learned::Held(_, held)) => held.names.iter().cloned().collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wildcard_its_apex_and_another_name_are_on_one_certificate_and_no_record_is_left() {
    let knot = Knot::start(&[("shop.example", "")]);
    let bench = bench(&knot).await;
    let folder = tempfile::tempdir().unwrap();
    let ports = ports_with(&bench, folder.path(), usual(&knot));
    let asked = ["*.shop.example", "mail.shop.example", "shop.example"];
    let mut action = by_dns(folder.path(), &asked, &ports, Duration::ZERO);
    assert_eq!(names(execute(&ports, &mut action).await), asked);
    for name in [NAME, "_acme-challenge.mail.shop.example"] {
        assert_eq!(knot.asked(name, "TXT"), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn a_record_that_can_not_be_set_takes_those_away_that_were() {
    let knot = Knot::start(&[("shop.example", "")]);
    let bench = bench(&knot).await;
    // In whichever order the CA names them, the one that can be set comes first once.
    for (good, bad) in [
        ("a.shop.example", "z.elsewhere"),
        ("z.shop.example", "a.elsewhere"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ports = ports_with(&bench, folder.path(), usual(&knot));
        let mut action = by_dns(folder.path(), &[good, bad], &ports, Duration::ZERO);
        let attempt = execute(&ports, &mut action).await.result.unwrap_err();
        let expected = format!("can't set the TXT record _acme-challenge.{bad} by [dns.home]: ");
        let problem = attempt.problem.unwrap();
        assert!(problem.starts_with(&expected), "{problem}");
        let name = format!("_acme-challenge.{good}");
        assert_eq!(knot.asked(&name, "TXT"), [""; 0]);
    }
}

#[tokio::test]
async fn a_record_that_is_not_seen_everywhere_is_waited_for_without_a_place_and_over_a_restart() {
    let knot = Knot::start(&[("shop.example", "")]);
    let behind = Knot::start(&[("shop.example", "")]);
    let bench = bench(&knot).await;
    let folder = tempfile::tempdir().unwrap();
    let both = DnsSettings {
        nameservers: vec![knot.at.to_string(), behind.at.to_string()],
        ..home(&knot)
    };
    let slow = responder(&knot, &both, KEY, Rc::new(SystemClock));
    let ports = ports_with(&bench, folder.path(), slow);
    let mut action = by_dns(folder.path(), &["shop.example"], &ports, Duration::ZERO);
    let attempt = execute(&ports, &mut action).await.result.unwrap_err();
    assert!(matches!(attempt.retry, Retry::Propagation(again) if again > attempt.last));
    assert_eq!((attempt.count, attempt.looks), (0, 1));
    let told = attempt.problem.unwrap();
    let expected = format!(
        "the server {} ({}) does not show the TXT record of {NAME}",
        behind.at, behind.at
    );
    assert!(told.starts_with(&expected), "{told}");
    let shown = knot.asked(NAME, "TXT");
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(bench.count("/order-plz"), 1);

    // The next process goes on with the same order and the same record.
    let restarted = ports_with(&bench, folder.path(), usual(&knot));
    let mut waiting = by_dns(
        folder.path(),
        &["shop.example"],
        &restarted,
        Duration::from_secs(3600),
    );
    let attempt = execute(&restarted, &mut waiting).await.result.unwrap_err();
    let told = attempt.problem.unwrap();
    assert!(told.contains("has to stand for 3600s"), "{told}");
    assert_eq!(knot.asked(NAME, "TXT"), shown);
    let mut action = by_dns(folder.path(), &["shop.example"], &restarted, Duration::ZERO);
    assert_eq!(
        names(execute(&restarted, &mut action).await),
        ["shop.example"]
    );
    assert_eq!(bench.count("/order-plz"), 1);
    assert_eq!(knot.asked(NAME, "TXT"), [""; 0]);
}

#[tokio::test]
async fn a_delegated_zone_is_found_and_its_own_servers_are_asked_at_the_usual_port() {
    // Each run has addresses of its own, at which the port is free.
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let own = format!("127.{}.{low}.53", 100 + high % 100);
    let lines = format!("acme NS ns.acme\nns.acme A {own}");
    let zones = [("shop.example", lines.as_str()), ("acme.shop.example", "")];
    // As a resolver would answer, which has been told of the zone before its record was there.
    let front = free_address().unwrap();
    let above = Knot::start_at(front, ("ns", &own), &zones);
    let at = format!("{own}:53").parse().unwrap();
    let primary = Knot::start_at(at, ("ns", &own), &[("acme.shop.example", "")]);
    let table = DnsSettings {
        nameservers: Vec::new(),
        ..home(&primary)
    };
    let responder = responder(&above, &table, KEY, Rc::new(SystemClock));
    let one = Challenge {
        name: Host::parse("shop.example").unwrap(),
        response: Response::Txt {
            name: "proof.acme.shop.example".to_owned(),
            proof: TxtProof::of_value("one"),
        },
    };
    let unseen = responder.look(&at_home(), &one).await.unwrap_err().saw;
    let expected = format!("the server ns.acme.shop.example ({own}:53) does not show the TXT");
    assert!(unseen.starts_with(&expected), "{unseen}");
    responder.publish(&at_home(), &one).await.unwrap();
    assert_eq!(responder.look(&at_home(), &one).await, Ok(()));
    withdraw(&responder, &one).await;
    assert_eq!(primary.asked("proof.acme.shop.example", "TXT"), [""; 0]);
}

#[tokio::test]
async fn a_look_at_a_table_changes_nothing_and_finds_out_whether_the_key_is_taken() {
    let knot = Knot::start(&[("shop.example", "")]);
    let unknown = home(&knot);
    let clock = || Rc::new(SystemClock) as Rc<dyn Clock>;
    let found = responder(&knot, &unknown, KEY, clock());
    let found = found.look_at_table(HOME).await.unwrap();
    // A server checks a key where it has the zone that is asked about.
    let expected = "answers; whether it takes the key quaymaster shows at the first record";
    assert!(found.ends_with(expected), "{found}");
    let usual = DnsSettings {
        zone: Some("shop.example".to_owned()),
        ..unknown
    };
    let looked = responder(&knot, &usual, KEY, clock());
    let found = looked.look_at_table(HOME).await.unwrap();
    let expected = format!(
        "the server {} answers, and takes the key quaymaster",
        knot.at
    );
    assert_eq!(found, expected);
    let other_key = "AAAAZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=";
    let nobody = DnsSettings {
        server: Some("127.0.0.1:1".to_owned()),
        ..usual.clone()
    };
    for (settings, key, expected) in [
        (
            &usual,
            other_key,
            "has another secret for the key quaymaster",
        ),
        (&nobody, KEY, "can't be reached over TCP"),
        (&usual, "s3cret!", "the key is not base64"),
    ] {
        let looked = responder(&knot, settings, key, clock());
        let told = looked.look_at_table(HOME).await.unwrap_err();
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains(key), "{told}");
    }
}

#[tokio::test]
async fn powerdns_sets_and_removes_each_value_for_itself_by_its_own_interface() {
    let server = PowerDns::start("shop.example");
    let table = DnsSettings {
        provider: provider(DnsProvider::POWERDNS),
        url: Some(server.url.clone()),
        token: Some(Secret::new(API_KEY)),
        nameservers: vec![server.at.to_string()],
        ..DnsSettings::default()
    };
    let outside = |at| DnsOutside {
        resolver: Rc::new(DnsResolver::new(Some(at))),
        clock: Rc::new(SystemClock),
        proxy: HttpsProxy::default(),
        is_in_container: false,
    };
    let responder = RecordResponder::new([(HOME, &table)], &outside(server.at));
    let found = responder.look_at_table(HOME).await.unwrap();
    assert!(
        found.contains("takes the api-key; it is PowerDNS"),
        "{found}"
    );
    let (apex, wildcard) = (
        challenge("shop.example", "apex"),
        challenge("*.shop.example", "wildcard"),
    );
    for one in [&apex, &wildcard, &apex] {
        responder.publish(&at_home(), one).await.unwrap();
        assert_eq!(responder.look(&at_home(), one).await, Ok(()));
    }
    for _ in 0..2 {
        withdraw(&responder, &apex).await;
        let unseen = responder.look(&at_home(), &apex).await.unwrap_err().saw;
        assert!(unseen.contains("does not show the TXT record"), "{unseen}");
        assert_eq!(responder.look(&at_home(), &wildcard).await, Ok(()));
    }
    withdraw(&responder, &wildcard).await;
    assert!(responder.look(&at_home(), &wildcard).await.is_err());

    let wrong = DnsSettings {
        token: Some(Secret::new("s3cret")),
        ..table.clone()
    };
    let knot = Knot::start(&[("other.example", "")]);
    for (settings, at, host, expected) in [
        (
            &wrong,
            server.at,
            "shop.example",
            "does not take who asks (401 Unauthorized",
        ),
        (
            &table,
            knot.at,
            "other.example",
            "has no zone other.example that this secret may see",
        ),
    ] {
        let told = refused(
            &RecordResponder::new([(HOME, settings)], &outside(at)),
            host,
        )
        .await;
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn a_table_that_can_not_be_used_spoils_only_itself() {
    let knot = Knot::start(&[("shop.example", "")]);
    let [good, bad] = [
        DnsSettings {
            key: Some(Secret::new(KEY)),
            ..home(&knot)
        },
        DnsSettings {
            provider: provider(DnsProvider::DESEC),
            token_file: Some("/there/is/none".into()),
            ..DnsSettings::default()
        },
    ];
    let outside = DnsOutside {
        resolver: Rc::new(DnsResolver::new(Some(knot.at))),
        clock: Rc::new(SystemClock),
        proxy: HttpsProxy::default(),
        is_in_container: false,
    };
    let responder = RecordResponder::new([("bad", &bad), (HOME, &good)], &outside);
    let one = challenge("shop.example", "one");
    responder.publish(&at_home(), &one).await.unwrap();
    withdraw(&responder, &one).await;
    let set = responder.publish(&Webroots::of_dns("bad"), &one).await;
    let told = set.unwrap_err().to_string();
    assert!(told.contains("put the token into /there/is/none"), "{told}");
    let faults: Vec<_> = responder.faults().map(|(name, _)| name).collect();
    assert_eq!(faults, ["bad"]);
}
