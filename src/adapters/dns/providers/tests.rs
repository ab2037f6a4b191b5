//! Each interface at a stand-in that answers as its documentation says, on good days and on bad ones.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{super::gate::gate, *};
use crate::{
    adapters::{clock::SystemClock, dns::DnsResolver, https_proxy::HttpsProxy},
    ports::{Clock, TxtProof},
    values::{DNS_PROVIDERS, DnsProvider, Timestamp},
};

/// Secret that requests carry, and nobody is shown.
const SECRET: &str = "s3cret-0f-this-test";

/// The record's place, and its zone.
const NAME: &str = "_acme-challenge.shop.example";
const ZONE: &str = "shop.example";

/// A request.
struct Asked {
    method: String,
    /// With what is behind the `?`.
    path: String,
    head: String,
    body: Value,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, text)| text.trim())
    }

    /// The method, and the path without its beginning, where it has that.
    fn below(&self, start: &str) -> Option<(&str, &str)> {
        Some((self.method.as_str(), self.path.strip_prefix(start)?))
    }
}

/// An answer: its status, a header line or none, and its text.
type Answer = (u16, &'static str, String);

fn says(status: u16, body: &Value) -> Answer {
    (status, "", body.to_string())
}

/// The texts at our name, each with the id that the stand-in has given it.
#[derive(Default)]
struct Texts {
    all: Vec<(u64, String)>,
    given: u64,
}

impl Texts {
    fn add(&mut self, text: &str) -> u64 {
        self.given += 1;
        self.all.push((self.given, text.to_owned()));
        self.given
    }

    fn remove(&mut self, id: &str) -> bool {
        let before = self.all.len();
        self.all.retain(|(known, _)| known.to_string() != id);
        self.all.len() < before
    }
}

/// A server that answers by this.
struct StandIn {
    at: SocketAddr,
    texts: Arc<Mutex<Texts>>,
    /// All that was asked, method and path.
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    async fn start(answer: impl Fn(&Asked, &mut Texts) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let (texts, asked) = <(Arc<Mutex<Texts>>, Arc<Mutex<Vec<String>>>)>::default();
        let (of_server, noted) = (texts.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = request(&mut stream).await else {
                    continue;
                };
                let line = format!("{} {}", request.method, request.path);
                noted.lock().expect("it is whole").push(line);
                let (status, header, body) =
                    answer(&request, &mut of_server.lock().expect("it is whole"));
                let text = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{header}\r\n{body}",
                    body.len()
                );
                // Whoever has gone is missed by nobody.
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { at, texts, asked }
    }

    fn texts(&self) -> Vec<String> {
        let texts = self.texts.lock().expect("it is whole");
        let mut all: Vec<_> = texts.all.iter().map(|(_, text)| text.clone()).collect();
        all.sort();
        all
    }
}

async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).expect("a head is text");
    let (line, _) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut asked = Asked {
        method,
        path,
        head,
        body: Value::Null,
    };
    let length: usize = asked.header("content-length").parse().unwrap_or(0);
    while read.len() < end + length {
        stream.read_buf(&mut read).await.ok()?;
    }
    if length > 0 {
        asked.body = serde_json::from_slice(&read[end..]).expect("a body is JSON");
    }
    Some(asked)
}

/// The row of this provider, and settings for the stand-in.
fn settings(provider: &str, at: SocketAddr) -> DnsSettings {
    let row = DNS_PROVIDERS.iter().find(|row| row.name == provider);
    let secret = Some(Secret::new(SECRET));
    let (token, password) = match provider {
        DnsProvider::ACME_DNS | DnsProvider::HTTPREQ => (None, secret),
        _ => (secret, None),
    };
    DnsSettings {
        provider: row.copied(),
        url: Some(format!("http://{at}")),
        username: Some("us".to_owned()),
        subdomain: Some("8e57".to_owned()),
        token,
        password,
        ..DnsSettings::default()
    }
}

struct Stopped;

#[async_trait::async_trait(?Send)]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }

    async fn sleep(&self, _: Duration) {}
}

fn made(settings: &DnsSettings) -> Box<dyn RecordGate> {
    let outside = DnsOutside {
        resolver: Rc::new(DnsResolver::new(None)),
        clock: Rc::new(Stopped),
        proxy: HttpsProxy::default(),
        is_in_container: false,
    };
    gate(settings, &outside).expect("the settings are right")
}

fn place(name: &str, zone: &str) -> RecordPlace {
    let fully = |name| super::super::place::fully(name).expect("a name");
    RecordPlace {
        asked: ZONE.to_owned(),
        name: fully(name),
        zone: fully(zone),
    }
}

fn ours() -> RecordPlace {
    place(NAME, ZONE)
}

fn cloudflare(asked: &Asked, texts: &mut Texts) -> Answer {
    let good = |result: Value| {
        says(
            200,
            &json!({ "success": true, "errors": [], "result": result }),
        )
    };
    let bad = |status, code: u32, message: &str| {
        let errors = [json!({ "code": code, "message": message })];
        says(
            status,
            &json!({ "success": false, "errors": errors, "result": null }),
        )
    };
    if asked.header("authorization") != format!("Bearer {SECRET}") {
        return bad(403, 9109, "Invalid access token");
    }
    let of_name = format!("?type=TXT&name={NAME}&per_page=100");
    if let Some(("GET", query)) = asked.below("/zones?") {
        let zones = [json!({ "id": "z1", "name": ZONE })];
        let found = query == format!("name={ZONE}") || query == "per_page=1";
        return good(if found { json!(zones) } else { json!([]) });
    }
    match asked.below("/zones/z1/dns_records") {
        Some(("GET", query)) if query == of_name => {
            let record = |(id, text): &(u64, String)| json!({ "id": id.to_string(), "type": "TXT", "name": NAME, "content": quoted(text) });
            good(texts.all.iter().map(record).collect())
        }
        Some(("POST", "")) => {
            let text = asked.body["content"].as_str().unwrap_or_default();
            let text = text.trim_matches('"').to_owned();
            let is_whole = asked.body["type"] == "TXT" && asked.body["name"] == NAME;
            match is_whole && asked.body["ttl"] == 60 {
                false => bad(400, 9005, "Content for TXT record is invalid."),
                true if texts.all.iter().any(|(_, known)| *known == text) => {
                    bad(400, 81058, "An identical record already exists.")
                }
                true => good(json!({ "id": texts.add(&text).to_string() })),
            }
        }
        Some(("DELETE", id)) => match texts.remove(id.trim_start_matches('/')) {
            true => good(json!({ "id": id })),
            false => bad(404, 81044, "Record does not exist."),
        },
        _ => bad(400, 7003, "Could not route to the path"),
    }
}

fn digital_ocean(asked: &Asked, texts: &mut Texts) -> Answer {
    let bad =
        |status, id: &str, message: &str| says(status, &json!({ "id": id, "message": message }));
    if asked.header("authorization") != format!("Bearer {SECRET}") {
        return bad(401, "unauthorized", "Unable to authenticate you");
    }
    if asked.path == "/domains?per_page=1" {
        return says(
            200,
            &json!({ "domains": [{ "name": ZONE }], "meta": { "total": 1 } }),
        );
    }
    match asked.below("/domains/shop.example/records") {
        Some(("GET", query)) if query == format!("?type=TXT&name={NAME}&per_page=200") => {
            let record = |(id, text): &(u64, String)| json!({ "id": id, "type": "TXT", "name": "_acme-challenge", "data": text, "ttl": 60 });
            let records: Vec<_> = texts.all.iter().map(record).collect();
            says(
                200,
                &json!({ "domain_records": records, "links": {}, "meta": { "total": 1 } }),
            )
        }
        Some(("POST", "")) if asked.body["name"] == "_acme-challenge" => {
            let text = asked.body["data"].as_str().unwrap_or_default();
            says(201, &json!({ "domain_record": { "id": texts.add(text) } }))
        }
        Some(("DELETE", id)) if texts.remove(id.trim_start_matches('/')) => {
            (204, "", String::new())
        }
        _ => bad(
            404,
            "not_found",
            "The resource you requested could not be found.",
        ),
    }
}

/// Actions run for a while: each is looked at once before it is done.
fn hetzner(asked: &Asked, texts: &mut Texts) -> Answer {
    let bad = |status, code: &str| {
        says(
            status,
            &json!({ "error": { "code": code, "message": format!("it is {code}") } }),
        )
    };
    if asked.header("authorization") != format!("Bearer {SECRET}") {
        return bad(401, "unauthorized");
    }
    let action = |status: &str| says(201, &json!({ "action": { "id": 7, "status": status } }));
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/zones?per_page=1") => return says(200, &json!({ "zones": [] })),
        ("GET", "/zones/shop.example") => return says(200, &json!({ "zone": { "name": ZONE } })),
        ("GET", "/actions/7") => return action("success"),
        _ => {}
    }
    let text = || {
        let value = asked.body["records"][0]["value"]
            .as_str()
            .unwrap_or_default();
        let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        inner.map(str::to_owned)
    };
    match asked.below("/zones/shop.example/rrsets/_acme-challenge/TXT") {
        Some(("GET", "")) if texts.all.is_empty() => bad(404, "not_found"),
        Some(("GET", "")) => {
            let record =
                |(_, text): &(u64, String)| json!({ "value": quoted(text), "comment": "" });
            let records: Vec<_> = texts.all.iter().map(record).collect();
            says(
                200,
                &json!({ "rrset": { "type": "TXT", "ttl": 60, "records": records } }),
            )
        }
        Some(("POST", "/actions/add_records")) => match text() {
            Some(text) if asked.body["ttl"] == 60 => {
                texts.add(&text);
                action("running")
            }
            _ => bad(422, "invalid_input"),
        },
        Some(("POST", "/actions/remove_records")) => match text() {
            Some(text) => {
                texts.all.retain(|(_, known)| *known != text);
                action("running")
            }
            None => bad(422, "invalid_input"),
        },
        _ => bad(404, "not_found"),
    }
}

fn desec(asked: &Asked, texts: &mut Texts) -> Answer {
    if asked.header("authorization") != format!("Token {SECRET}") {
        return says(401, &json!({ "detail": "Invalid token." }));
    }
    let not_found = || says(404, &json!({ "detail": "Not found." }));
    if asked.path == "/domains/" {
        return says(200, &json!([{ "name": ZONE }]));
    }
    match asked.below("/domains/shop.example/rrsets/") {
        Some(("GET", "_acme-challenge/TXT/")) if texts.all.is_empty() => not_found(),
        Some(("GET", "_acme-challenge/TXT/")) => {
            let records: Vec<_> = texts.all.iter().map(|(_, text)| quoted(text)).collect();
            says(
                200,
                &json!({ "type": "TXT", "ttl": 3600, "records": records }),
            )
        }
        Some(("PATCH", "")) => {
            let set = &asked.body[0];
            if set["ttl"].as_u64().is_none_or(|ttl| ttl < 3600)
                || set["subname"] != "_acme-challenge"
            {
                return says(
                    400,
                    &json!([{ "ttl": ["Ensure this value is greater than or equal to 3600."] }]),
                );
            }
            texts.all.clear();
            for text in set["records"].as_array().into_iter().flatten() {
                let text = text.as_str().unwrap_or_default();
                texts.add(text.trim_matches('"'));
            }
            says(200, &json!([set]))
        }
        _ => not_found(),
    }
}

fn powerdns(asked: &Asked, texts: &mut Texts) -> Answer {
    if asked.header("x-api-key") != SECRET {
        return (401, "", "Unauthorized".to_owned());
    }
    if asked.path == "/api/v1/servers/localhost" {
        return says(
            200,
            &json!({ "daemon_type": "authoritative", "version": "4.7.3" }),
        );
    }
    match asked.below("/api/v1/servers/localhost/zones/shop.example.") {
        Some(("GET", query)) if query == format!("?rrset_name={NAME}.&rrset_type=TXT") => {
            let record =
                |(_, text): &(u64, String)| json!({ "content": quoted(text), "disabled": false });
            let records: Vec<_> = texts.all.iter().map(record).collect();
            let set = json!({ "name": format!("{NAME}."), "type": "TXT", "ttl": 300, "records": records });
            let sets = if texts.all.is_empty() {
                json!([])
            } else {
                json!([set])
            };
            says(200, &json!({ "name": "shop.example.", "rrsets": sets }))
        }
        Some(("PATCH", "")) => {
            let set = &asked.body["rrsets"][0];
            texts.all.clear();
            for record in set["records"].as_array().into_iter().flatten() {
                let text = record["content"].as_str().unwrap_or_default();
                texts.add(text.trim_matches('"'));
            }
            (204, "", String::new())
        }
        _ => says(404, &json!({ "error": "Not Found" })),
    }
}

/// Answers of a stand-in.
type Script = fn(&Asked, &mut Texts) -> Answer;

/// Those that have zones, and records that can be removed.
const OF_ZONES: &[(&str, Script)] = &[
    (DnsProvider::CLOUDFLARE, cloudflare),
    (DnsProvider::DIGITAL_OCEAN, digital_ocean),
    (DnsProvider::HETZNER, hetzner),
    (DnsProvider::DESEC, desec),
    (DnsProvider::POWERDNS, powerdns),
];

#[tokio::test]
async fn two_values_at_one_name_come_and_go_each_for_itself_at_each_provider() {
    for (provider, script) in OF_ZONES {
        let server = StandIn::start(script).await;
        server.texts.lock().expect("it is whole").add("theirs");
        let gate = made(&settings(provider, server.at));
        for value in ["apex", "wildcard", "apex"] {
            gate.add(&ours(), &TxtProof::of_value(value))
                .await
                .expect(provider);
        }
        assert_eq!(server.texts(), ["apex", "theirs", "wildcard"], "{provider}");
        for _ in 0..2 {
            gate.remove(&ours(), &TxtProof::of_value("apex"))
                .await
                .expect(provider);
            assert_eq!(server.texts(), ["theirs", "wildcard"], "{provider}");
        }
        gate.remove(&ours(), &TxtProof::of_value("wildcard"))
            .await
            .expect(provider);
        assert_eq!(server.texts(), ["theirs"], "{provider}");
    }
}

#[tokio::test]
async fn the_first_value_at_a_name_is_set_and_the_last_one_removed_and_a_look_changes_nothing() {
    for (provider, script) in OF_ZONES {
        let server = StandIn::start(script).await;
        let gate = made(&settings(provider, server.at));
        gate.add(&ours(), &TxtProof::of_value("one"))
            .await
            .expect(provider);
        assert_eq!(server.texts(), ["one"], "{provider}");
        let found = gate.look().await.expect(provider);
        assert!(
            found.starts_with(&format!("{provider} (http://")),
            "{found}"
        );
        assert_eq!(server.texts(), ["one"], "{provider}");
        gate.remove(&ours(), &TxtProof::of_value("one"))
            .await
            .expect(provider);
        assert_eq!(server.texts(), [""; 0], "{provider}");
    }
}

#[tokio::test]
async fn a_zone_that_is_not_there_and_a_secret_that_is_refused_are_a_sentence_each() {
    for (provider, script) in OF_ZONES {
        let server = StandIn::start(script).await;
        let right = settings(provider, server.at);
        let elsewhere = place("_acme-challenge.other.example", "other.example");
        let told = made(&right)
            .add(&elsewhere, &TxtProof::of_value("one"))
            .await
            .expect_err(provider);
        let expected = "has no zone other.example that this secret may see: let the secret be";
        assert!(told.problem.contains(expected), "{provider}: {told:?}");
        let wrong = DnsSettings {
            token: Some(Secret::new("s0me-other")),
            ..right
        };
        for told in [
            made(&wrong)
                .add(&ours(), &TxtProof::of_value("one"))
                .await
                .expect_err(provider),
            made(&wrong).look().await.expect_err(provider),
        ] {
            let told = told.problem;
            assert!(told.contains(" does not take who asks (40"), "{told}");
            assert!(!told.contains("s0me-other"), "{told}");
        }
        assert_eq!(server.texts(), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_said_of_answers_that_are_of_no_use_names_the_remedy_and_never_the_secret() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    let echo = format!("{{\"message\": \"who is {SECRET}?\\n\\u001b[1m\"}}");
    let answers: &[(u16, &'static str, &str, &str)] = &[
        (
            200,
            "",
            page,
            "answers a web page in place of JSON (200 OK): is `url` the address of its interface?",
        ),
        (200, "", "fine", "answers something else in place of JSON"),
        (
            302,
            "Location: https://b.example/\r\n",
            "",
            "leads on to https://b.example/ (302 Found): write the URL",
        ),
        (
            403,
            "",
            &echo,
            "does not take who asks (403 Forbidden: who is …? [1m)",
        ),
        (404, "", page, "(404 Not Found)"),
        (
            429,
            "Retry-After: 30\r\n",
            "",
            "was asked too often, and wants a pause of 30s (429)",
        ),
        (
            503,
            "",
            "<html>",
            "fails (503 Service Unavailable); it is asked again later",
        ),
    ];
    for provider in DNS_PROVIDERS.iter().map(|row| row.name) {
        if [DnsProvider::RFC_2136, DnsProvider::EXEC].contains(&provider) {
            continue;
        }
        for &(status, header, body, expected) in answers {
            let body = body.to_owned();
            let server = StandIn::start(move |_, _| (status, header, body.clone())).await;
            let gate = made(&settings(provider, server.at));
            let at_acme_dns = place("8e57.acme.example", "acme.example");
            let at = match provider {
                DnsProvider::ACME_DNS => &at_acme_dns,
                _ => &ours(),
            };
            let added = gate.add(at, &TxtProof::of_value("one")).await;
            // No text is agreed upon there.
            if provider == DnsProvider::HTTPREQ && status == 200 {
                assert_eq!(added, Ok(()));
                continue;
            }
            let told = added.expect_err(provider);
            let is_about_zone = status == 404 && told.problem.contains("has no zone shop.example");
            assert!(
                is_about_zone || told.problem.contains(expected),
                "{provider}: {told:?}"
            );
            assert!(!told.problem.contains(SECRET), "{told:?}");
            let until = (status == 429).then(|| Stopped.now() + Duration::from_secs(30));
            assert_eq!(told.not_before, until);
        }
    }
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_told() {
    let at = SocketAddr::from(([127, 0, 0, 1], 1));
    let gate = made(&settings(DnsProvider::DESEC, at));
    let told = gate.look().await.expect_err("nobody is there").problem;
    assert!(
        told.starts_with("desec (http://127.0.0.1:1) can't be asked (no connection"),
        "{told}"
    );
    assert!(
        told.ends_with("is `url` right, and the way to it open?"),
        "{told}"
    );
}

#[tokio::test]
async fn an_action_that_fails_later_is_told_with_its_words() {
    let server = StandIn::start(|asked, texts| match asked.path.as_str() {
        "/actions/7" => {
            let error = json!({ "code": "action_failed", "message": "the zone is locked" });
            says(
                200,
                &json!({ "action": { "id": 7, "status": "error", "error": error } }),
            )
        }
        _ => hetzner(asked, texts),
    })
    .await;
    let gate = made(&settings(DnsProvider::HETZNER, server.at));
    let told = gate
        .add(&ours(), &TxtProof::of_value("one"))
        .await
        .expect_err("it failed")
        .problem;
    assert!(
        told.ends_with(r#"does not set the record: "the zone is locked""#),
        "{told}"
    );
}

#[tokio::test]
async fn the_name_of_a_zone_itself_is_written_as_each_provider_wants_it() {
    let apex = place("acme.example", "acme.example");
    for (provider, expected) in [
        (DnsProvider::HETZNER, "GET /zones/acme.example/rrsets/@/TXT"),
        (
            DnsProvider::DESEC,
            "GET /domains/acme.example/rrsets/@/TXT/",
        ),
    ] {
        let server = StandIn::start(|_, _| says(400, &json!({}))).await;
        let gate = made(&settings(provider, server.at));
        gate.add(&apex, &TxtProof::of_value("one"))
            .await
            .expect_err("it refuses all");
        assert_eq!(*server.asked.lock().expect("it is whole"), [expected]);
    }
}

#[tokio::test]
async fn acme_dns_takes_a_text_for_the_subdomain_that_is_ours_and_the_cname_record_has_to_lead_there()
 {
    let server = StandIn::start(|asked, texts| {
        let is_us = asked.header("x-api-user") == "us" && asked.header("x-api-key") == SECRET;
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/health") => (200, "", String::new()),
            ("POST", "/update") if !is_us => says(401, &json!({ "error": "forbidden" })),
            ("POST", "/update") if asked.body["subdomain"] == "8e57" => {
                let text = asked.body["txt"].as_str().unwrap_or_default();
                texts.add(text);
                says(200, &json!({ "txt": text }))
            }
            _ => says(400, &json!({ "error": "bad_subdomain" })),
        }
    })
    .await;
    let right = settings(DnsProvider::ACME_DNS, server.at);
    let gate = made(&right);
    let at = place("8e57.acme.example", "acme.example");
    for value in ["apex", "wildcard"] {
        gate.add(&at, &TxtProof::of_value(value))
            .await
            .expect("it is taken");
    }
    gate.remove(&at, &TxtProof::of_value("apex"))
        .await
        .expect("the next ones push it out");
    assert_eq!(server.texts(), ["apex", "wildcard"]);
    assert!(gate.look().await.is_ok());

    let told = gate
        .add(&ours(), &TxtProof::of_value("one"))
        .await
        .expect_err("it leads elsewhere");
    let expected = "the record belongs at _acme-challenge.shop.example, but the name at acme-dns (";
    assert!(told.problem.contains(expected), "{told:?}");
    let stranger = DnsSettings {
        username: Some("them".to_owned()),
        ..right
    };
    let told = made(&stranger)
        .add(&at, &TxtProof::of_value("one"))
        .await
        .expect_err("a stranger");
    assert!(
        told.problem
            .contains("(401 Unauthorized: forbidden): write username"),
        "{told:?}"
    );
}

#[tokio::test]
async fn httpreq_is_spoken_as_lego_does_with_a_name_and_password_or_without() {
    for (username, expected) in [
        (Some("us"), "Basic dXM6czNjcmV0LTBmLXRoaXMtdGVzdA=="),
        (None, ""),
    ] {
        let server = StandIn::start(move |asked, texts| {
            if asked.header("authorization") != expected {
                return (401, "", "who is there?".to_owned());
            }
            let (name, value) = (&asked.body["fqdn"], asked.body["value"].as_str());
            if *name != format!("{NAME}.") {
                return (404, "", String::new());
            }
            let value = value.unwrap_or_default();
            match asked.path.as_str() {
                "/present" => drop(texts.add(value)),
                "/cleanup" => texts.all.retain(|(_, known)| known != value),
                _ => return (404, "", "no such path".to_owned()),
            }
            (200, "", String::new())
        })
        .await;
        let gate = made(&DnsSettings {
            username: username.map(str::to_owned),
            ..settings(DnsProvider::HTTPREQ, server.at)
        });
        for value in ["apex", "wildcard"] {
            gate.add(&ours(), &TxtProof::of_value(value))
                .await
                .expect("it is set");
        }
        gate.remove(&ours(), &TxtProof::of_value("apex"))
            .await
            .expect("it is removed");
        assert_eq!(server.texts(), ["wildcard"]);
        let found = gate.look().await.expect("it answers");
        assert!(found.contains("answers (404 Not Found)"), "{found}");
    }
}

#[tokio::test]
async fn in_mode_raw_httpreq_is_given_the_challenge_as_lego_gives_it_and_a_text_alone_is_not_enough()
 {
    let server = StandIn::start(|asked, texts| {
        let raw = &asked.body;
        if raw["domain"] != ZONE || raw.get("fqdn").is_some() {
            return (400, "", raw.to_string());
        }
        let [token, authorization] = ["token", "keyAuth"].map(|key| raw[key].as_str());
        let text = format!(
            "{} {}",
            token.unwrap_or_default(),
            authorization.unwrap_or_default()
        );
        match asked.path.as_str() {
            "/present" => drop(texts.add(&text)),
            "/cleanup" => texts.all.retain(|(_, known)| *known != text),
            _ => return (404, "", "no such path".to_owned()),
        }
        (200, "", String::new())
    })
    .await;
    let gate = made(&DnsSettings {
        is_raw: true,
        ..settings(DnsProvider::HTTPREQ, server.at)
    });
    let [apex, wildcard] = ["t0k-1.thumbprint", "t0k-2.thumbprint"].map(TxtProof::of);
    for proof in [&apex, &wildcard] {
        gate.add(&ours(), proof).await.expect("it is set");
    }
    gate.remove(&ours(), &apex).await.expect("it is removed");
    assert_eq!(server.texts(), ["t0k-2 t0k-2.thumbprint"]);
    let bare = TxtProof::of_value("digest");
    let told = gate.remove(&ours(), &bare).await.expect_err("no challenge");
    assert!(told.problem.contains("can be removed by hand"), "{told:?}");
    assert_eq!(server.texts(), ["t0k-2 t0k-2.thumbprint"]);
}

#[test]
fn a_secret_in_a_file_is_read_and_what_is_wrong_with_it_is_told_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let table = DnsSettings {
        token: None,
        token_file: Some(path.clone()),
        ..settings(DnsProvider::DESEC, SocketAddr::from(([127, 0, 0, 1], 1)))
    };
    let outside = DnsOutside {
        resolver: Rc::new(DnsResolver::new(None)),
        clock: Rc::new(Stopped),
        proxy: HttpsProxy::default(),
        is_in_container: false,
    };
    let told = || gate(&table, &outside).err();
    let missing = told().expect("there is no file");
    assert!(missing.contains("put the token into"), "{missing}");
    for (text, expected) in [
        ("\n", Some("the token is empty")),
        (
            "s3cret\nsec0nd\n",
            Some("the token has characters that none has"),
        ),
        ("s3cret\n", None),
    ] {
        std::fs::write(&path, text).expect("it is written");
        let told = told();
        assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
        let told = told.unwrap_or_default();
        assert!(told.contains(expected.unwrap_or_default()), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
