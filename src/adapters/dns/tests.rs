//! Questions to a server that is scripted byte by byte.

use std::{cell::RefCell, rc::Rc};

use hickory_proto::{
    op::{Message, Query},
    rr::{Record, rdata},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::{LocalSet, spawn_local},
};

use super::*;
use crate::{
    adapters::{clock::SystemClock, https_proxy::HttpsProxy},
    values::DnsSettings,
};

/// A script of the server: its answer to a question, which may come over TCP and may leave signatures alone.
type Script = dyn Fn(&Query, bool, bool) -> Option<Vec<u8>>;

/// Answers what a script says: of the question, whether it came over TCP, and whether signatures are to be left alone.
async fn serve(udp: UdpSocket, tcp: TcpListener, script: Rc<Script>) {
    let of = script.clone();
    spawn_local(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.expect("a client");
            let length = stream.read_u16().await.expect("a length");
            let mut asked = vec![0; length.into()];
            stream.read_exact(&mut asked).await.expect("a question");
            if let Some(answer) = said(&asked, true, &*of) {
                let length = u16::try_from(answer.len()).expect("it fits");
                stream.write_u16(length).await.expect("it reads");
                stream.write_all(&answer).await.expect("it reads");
            }
        }
    });
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = udp.recv_from(&mut buffer).await.expect("a question");
        if let Some(answer) = said(&buffer[..length], false, &*script) {
            udp.send_to(&answer, from).await.expect("it is there");
        }
    }
}

/// The answer with the number of its question, since a client takes no other.
fn said(asked: &[u8], is_tcp: bool, script: &Script) -> Option<Vec<u8>> {
    let question = Message::from_vec(asked).expect("a question");
    let query = question.queries.first().expect("one");
    let mut answer = script(query, is_tcp, question.metadata.checking_disabled)?;
    answer.splice(..2, asked[..2].iter().copied());
    Some(answer)
}

/// Looks up at a server with such a script.
fn with<T>(
    script: impl Fn(&Query, bool, bool) -> Option<Vec<u8>> + 'static,
    look: impl AsyncFnOnce(DnsResolver) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = tcp.local_addr().expect("an address");
        let udp = UdpSocket::bind(at).await.expect("the same port of UDP");
        spawn_local(serve(udp, tcp, Rc::new(script)));
        look(DnsResolver::new(Some(at))).await
    })
}

fn reply(query: &Query, code: ResponseCode, answers: &[(&str, RData)]) -> Message {
    let mut message = Message::response(0, hickory_proto::op::OpCode::Query);
    message.metadata.response_code = code;
    message.add_query(query.clone());
    for (name, data) in answers {
        message.add_answer(Record::from_rdata(absolute(name), 60, data.clone()));
    }
    message
}

fn bytes(message: &Message) -> Option<Vec<u8>> {
    Some(message.to_vec().expect("it can be written"))
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).expect("a name")
}

fn a(last: u8) -> RData {
    RData::A(rdata::A::new(10, 0, 0, last))
}

fn alias(name: &str) -> RData {
    RData::CNAME(rdata::CNAME(absolute(name)))
}

fn shop() -> Host {
    Host::parse("www.shop.example").expect("a name")
}

async fn addresses(resolver: DnsResolver) -> Result<Addresses, LookupFault> {
    resolver.addresses(&shop()).await
}

#[test]
fn aliases_are_followed_also_where_the_server_does_not_and_a_loop_of_them_ends() {
    let found = |all: &[u8], alias: &str| {
        Ok(Addresses {
            all: all
                .iter()
                .map(|last| IpAddr::from([10, 0, 0, *last]))
                .collect(),
            alias: Some(alias.to_owned()),
        })
    };
    let in_one = |query: &Query, _, _| {
        let all = [
            ("www.shop.example", alias("edge.example")),
            ("edge.example", a(1)),
        ];
        let all = if query.query_type == RecordType::A {
            &all[..]
        } else {
            &all[..1]
        };
        bytes(&reply(query, ResponseCode::NoError, all))
    };
    assert_eq!(with(in_one, addresses), found(&[1], "edge.example"));
    let one_by_one = |query: &Query, _, _| {
        let is_end = query.name == absolute("edge.example");
        let all = match (is_end, query.query_type) {
            (true, RecordType::A) => vec![("edge.example", a(2))],
            (true, _) => vec![],
            (false, _) => vec![("www.shop.example", alias("edge.example"))],
        };
        bytes(&reply(query, ResponseCode::NoError, &all))
    };
    assert_eq!(with(one_by_one, addresses), found(&[2], "edge.example"));
    let round = |query: &Query, _, _| {
        let all = [
            ("www.shop.example", alias("b.example")),
            ("b.example", alias("www.shop.example")),
        ];
        bytes(&reply(query, ResponseCode::NoError, &all))
    };
    assert_eq!(with(round, addresses), Err(LookupFault::AliasLoop));
    let round_by_steps = |query: &Query, _, _| {
        let there = absolute("www.shop.example");
        let (from, to) = match query.name == there {
            true => ("www.shop.example", "b.example"),
            false => ("b.example", "www.shop.example"),
        };
        bytes(&reply(query, ResponseCode::NoError, &[(from, alias(to))]))
    };
    assert_eq!(with(round_by_steps, addresses), Err(LookupFault::AliasLoop));
}

#[test]
fn what_is_cut_short_is_asked_for_again_over_tcp() {
    let script = |query: &Query, is_tcp, _| {
        let all = [
            ("www.shop.example", a(1)),
            ("www.shop.example", a(2)),
            ("other.example", a(3)),
        ];
        let mut message = reply(
            query,
            ResponseCode::NoError,
            if is_tcp { &all } else { &[] },
        );
        message.metadata.truncation = !is_tcp;
        bytes(&message)
    };
    let found = with(script, addresses).expect("there is an answer");
    // What belongs to another name was not asked for.
    assert_eq!(found.all, [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from));
}

#[test]
fn codes_say_what_is_wrong_and_signatures_are_told_from_servers_that_fail() {
    let code = |checked: ResponseCode, unchecked: ResponseCode| {
        with(
            move |query, _, is_unchecked| {
                let code = if is_unchecked { unchecked } else { checked };
                bytes(&reply(query, code, &[]))
            },
            addresses,
        )
    };
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    assert_eq!(code(NXDomain, NXDomain), Err(LookupFault::NoName));
    assert_eq!(code(NoError, NoError), Ok(Addresses::default()));
    assert_eq!(code(ServFail, ServFail), Err(LookupFault::Failure));
    assert_eq!(code(ServFail, NoError), Err(LookupFault::Signatures));
    assert!(matches!(
        code(Refused, Refused),
        Err(LookupFault::Refused(_))
    ));
}

#[test]
fn garbage_is_no_answer_and_harms_nobody() {
    let numbers = |length: usize| {
        (0..length)
            .map(|at| (at * 131 % 251) as u8)
            .collect::<Vec<_>>()
    };
    for length in [2, 11, 12, 13, 40, 500, 1232] {
        let found = with(
            move |_, _, _| Some(numbers(length)),
            async |resolver: DnsResolver| {
                let caa = resolver.caa(&shop()).await;
                (
                    resolver.addresses(&shop()).await,
                    caa.is_ok_and(|found| found.is_some()),
                )
            },
        );
        assert!(
            !matches!(&found.0, Ok(all) if !all.all.is_empty()),
            "{found:?}"
        );
        assert!(!found.1, "{length}");
    }
}

#[test]
fn caa_records_are_those_of_the_nearest_name_that_has_any_and_parameters_are_read() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = asked.clone();
    let script = move |query: &Query, _, _| {
        noted.borrow_mut().push(query.name.to_ascii());
        let value = b"ca.example; accounturi=https://ca.example/1; validationmethods=http-01";
        let mut record = CAA::new_issue(true, None, Vec::new());
        record.value = value.to_vec();
        let all = [("shop.example", RData::CAA(record))];
        let is_there = query.name == absolute("shop.example");
        bytes(&reply(
            query,
            ResponseCode::NoError,
            if is_there { &all } else { &[] },
        ))
    };
    let found = with(script, async |resolver: DnsResolver| {
        resolver.caa(&shop()).await
    });
    let found = found.expect("an answer").expect("records");
    assert_eq!(found.at.as_str(), "shop.example");
    let [record] = found.all.as_slice() else {
        panic!("{found:?}")
    };
    assert!(record.is_critical && record.tag == "issue");
    let issuer = record.issuer.as_ref().expect("it is read");
    assert_eq!(issuer.domain, "ca.example");
    let parameters = [
        ("accounturi", "https://ca.example/1"),
        ("validationmethods", "http-01"),
    ];
    let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(issuer.parameters, parameters);
    asked.borrow_mut().sort();
    assert_eq!(
        *asked.borrow(),
        ["example.", "shop.example.", "www.shop.example."]
    );
}

#[test]
fn only_plain_names_are_asked_about() {
    let never = |_: &Query, _, _| panic!("nothing is asked");
    for word in ["*.shop.example", "10.0.0.1"] {
        let host = Host::parse(word).expect("a host");
        let found = with(never, async |resolver: DnsResolver| {
            resolver.addresses(&host).await
        });
        assert!(matches!(found, Err(LookupFault::Refused(_))), "{found:?}");
    }
}

#[test]
fn a_server_of_the_zone_that_is_silent_over_udp_is_asked_over_tcp() {
    let script = |query: &Query, is_tcp, _| {
        let text = RData::TXT(rdata::TXT::new(vec!["one".to_owned()]));
        let all = [("_acme-challenge.shop.example", text)];
        match (query.query_type(), is_tcp) {
            (RecordType::TXT, false) => None,
            (RecordType::TXT, true) => bytes(&reply(query, ResponseCode::NoError, &all)),
            _ => bytes(&reply(query, ResponseCode::NoError, &[])),
        }
    };
    with(script, async |resolver: DnsResolver| {
        let settings = DnsSettings {
            zone: Some("shop.example".to_owned()),
            nameservers: vec![resolver.server.clone().expect("it is named")],
            ..DnsSettings::default()
        };
        let outside = DnsOutside {
            resolver: Rc::new(resolver),
            clock: Rc::new(SystemClock),
            proxy: HttpsProxy::default(),
            is_in_container: false,
        };
        let responder = RecordResponder::new([("home", &settings)], &outside);
        let at = ("home", "_acme-challenge.shop.example");
        assert_eq!(responder.seen(at.0, at.1, "one").await, Ok(()));
        let unseen = responder.seen(at.0, at.1, "two").await;
        let told = unseen.expect_err("it has another text");
        assert!(told.contains("does not show the TXT record of"), "{told}");
    });
}
