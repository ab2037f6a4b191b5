//! Tests of a look at servers that say what they should not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, SerialNumber};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, LocalSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::probe::TcpProbe;
use crate::{
    ports::{Probe, Served},
    values::{Host, Protocol},
};

/// One thing that a server does.
enum Does {
    /// It says this.
    Says(&'static str),
    /// It waits for a line, or for an element where it ends so, which must be this.
    Hears(&'static str),
    /// It looks that the client says nothing, and stays.
    Listens,
    /// It says this for as long as somebody listens.
    Repeats(&'static str),
    /// It says nothing more, and stays.
    Waits,
    /// It begins TLS, which may fail, with a demand for a certificate of the client's or without.
    Tls(&'static SupportedProtocolVersion, bool),
}
use Does::{Hears, Listens, Repeats, Says, Tls, Waits};

/// Who would not wait says something within this.
const MOMENT: Duration = Duration::from_millis(50);

const SERIAL: u64 = 0x0051_7ea1;

/// A certificate of this serial number, and whether clients need one.
fn config(version: &'static SupportedProtocolVersion, is_demanding: bool) -> Arc<ServerConfig> {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["mail.example".to_owned()]).expect("a name");
    params.serial_number = Some(SerialNumber::from(SERIAL));
    let issuer = CertifiedIssuer::self_signed(CertificateParams::default(), key()).expect("a CA");
    let own = key();
    let leaf = params.signed_by(&own, &issuer).expect("a certificate");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).expect("a root");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version");
    let builder = match is_demanding {
        true => builder.with_client_cert_verifier(verifier),
        false => builder.with_no_client_auth(),
    };
    let der = PrivateKeyDer::Pkcs8(own.serialize_der().into());
    let config = builder.with_single_cert(vec![leaf.der().clone()], der);
    Arc::new(config.expect("a server"))
}

/// A stream before TLS, or within.
enum Stream {
    Plain(BufReader<TcpStream>),
    Tls(Box<BufReader<TlsStream<TcpStream>>>),
}

impl Stream {
    /// Sends the words; false if the other side was not there for it.
    async fn says(&mut self, words: &str) -> bool {
        match self {
            Self::Plain(stream) => stream.write_all(words.as_bytes()).await,
            Self::Tls(stream) => stream.write_all(words.as_bytes()).await,
        }
        .is_ok()
    }

    /// Reads up to the end of a line, or of an element.
    async fn hears(&mut self, end: u8) -> String {
        let mut heard = Vec::new();
        // One that hung up has said nothing.
        let _ = match self {
            Self::Plain(stream) => stream.read_until(end, &mut heard).await,
            Self::Tls(stream) => stream.read_until(end, &mut heard).await,
        };
        String::from_utf8(heard).expect("it is text")
    }

    async fn waits(&mut self) {
        let mut rest = Vec::new();
        // It ends with the other side, in order or not.
        let _ = match self {
            Self::Plain(stream) => stream.read_to_end(&mut rest).await,
            Self::Tls(stream) => stream.read_to_end(&mut rest).await,
        };
    }
}

/// A server for one connection, and the lines that it heard though it did not wait for them.
async fn server(script: Vec<Does>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("its address");
    let serve = async move {
        let (stream, _) = listener.accept().await.expect("a client");
        serve(stream, script).await
    };
    (at, tokio::task::spawn_local(serve))
}

async fn serve(stream: TcpStream, script: Vec<Does>) -> Vec<String> {
    let (mut stream, mut wrong) = (Stream::Plain(BufReader::new(stream)), Vec::new());
    for step in script {
        match (step, &mut stream) {
            (Says(words), stream) => drop(stream.says(words).await),
            (Repeats(words), stream) => while stream.says(words).await {},
            (Waits, stream) => stream.waits().await,
            (Listens, stream) => {
                let heard = timeout(MOMENT, stream.hears(b'\n')).await;
                wrong.extend(heard.ok().map(|heard| format!("{heard:?} too early")));
            }
            (Hears(words), stream) => {
                let end = if words.ends_with('>') { b'>' } else { b'\n' };
                let heard = stream.hears(end).await;
                if heard.trim_end() != words {
                    wrong.push(format!("{heard:?}, not {words:?}"));
                }
            }
            (Tls(version, is_demanding), Stream::Plain(_)) => {
                let Stream::Plain(plain) = stream else {
                    return wrong;
                };
                let acceptor = TlsAcceptor::from(config(version, is_demanding));
                let Ok(session) = acceptor.accept(plain.into_inner()).await else {
                    return wrong;
                };
                stream = Stream::Tls(Box::new(BufReader::new(session)));
            }
            (Tls(..), Stream::Tls(_)) => panic!("it has begun"),
        }
    }
    wrong
}

/// The result of a look at a server of this script; the server must have heard what it waits for.
async fn seen(protocol: Protocol, script: Vec<Does>) -> Result<Served, String> {
    let look = async {
        let (at, served) = server(script).await;
        let probe = TcpProbe::new().expect("a TLS client");
        let host = Host::parse("mail.example").expect("a name");
        let seen = probe.certificate(at, protocol, &host).await;
        assert_eq!(served.await.expect("a server"), [""; 0]);
        seen.map_err(|error| error.to_string())
    };
    LocalSet::new().run_until(look).await
}

#[track_caller]
fn is_the_certificate(seen: Result<Served, String>) {
    let serial = seen.map(|served| u64::from_str_radix(&served.serial, 16));
    assert_eq!(serial, Ok(Ok(SERIAL)));
}

const STREAM: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='mail.example' version='1.0'>";

#[tokio::test]
async fn a_chat_server_that_begins_no_tls_is_told_in_its_words() {
    for (script, problem) in [
        (
            vec![
                Hears(STREAM),
                Says("<stream:stream><stream:features/></stream:features>"),
                Waits,
            ],
            "where an offer of STARTTLS is expected",
        ),
        (
            vec![
                Hears(STREAM),
                Says("<stream:stream><stream:error><host-unknown/></stream:error></stream:stream>"),
            ],
            "host-unknown",
        ),
        (
            vec![
                Hears(STREAM),
                Says("<stream:features><starttls/></stream:features>"),
                Hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                Says("<failure xmlns='urn:x'/></stream:stream>"),
            ],
            "where proceed is expected",
        ),
        (
            vec![Hears(STREAM), Repeats("<a/>")],
            "its answer does not end",
        ),
        (vec![Hears(STREAM)], "it hangs up"),
    ] {
        let said = seen(Protocol::Xmpp, script).await.expect_err(problem);
        assert!(said.contains(problem), "{said}");
    }
}

#[tokio::test]
async fn the_certificate_is_seen_in_each_protocol_and_leave_is_taken_to_the_end() {
    const EHLO: &str = "EHLO quaymaster.invalid";
    let bye = [
        (Protocol::Smtp, "220 mail.example ESMTP\r\n", "QUIT"),
        (Protocol::Smtps, "220-wait\r\n220 mail.example\r\n", "QUIT"),
        (
            Protocol::Imap,
            "* OK [CAPABILITY STARTTLS] hello\r\n",
            "a LOGOUT",
        ),
        (Protocol::Imaps, "* OK hello\r\n", "a LOGOUT"),
        (Protocol::Pop3, "+OK hello\r\n", "QUIT"),
        (Protocol::Pop3s, "+OK hello\r\n", "QUIT"),
        (Protocol::Xmpp, "", ""),
        (Protocol::Tls, "", ""),
    ];
    for (protocol, hello, leave) in bye {
        let mut script = match protocol {
            Protocol::Smtp => vec![
                Says(hello),
                Hears(EHLO),
                Says("250-mail.example\r\n250-STARTTLS\r\n250 OK\r\n"),
                Hears("STARTTLS"),
                Says("220 go\r\n"),
            ],
            Protocol::Imap => vec![
                Says(hello),
                Hears("a STARTTLS"),
                Says("* BYE-AND-BYE\r\na OK go\r\n"),
            ],
            Protocol::Pop3 => vec![Says(hello), Hears("STLS"), Says("+OK go\r\n")],
            Protocol::Xmpp => vec![
                Hears(STREAM),
                Says(
                    "<?xml version='1.0'?><stream:stream id='1'><stream:features><starttls xmlns='urn:x'>",
                ),
                Says("<required/></starttls></stream:features>"),
                Hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                Says("<proceed xmlns='urn:x'/>"),
            ],
            _ => Vec::new(),
        };
        script.push(Tls(&TLS13, false));
        if let Protocol::Smtps | Protocol::Imaps | Protocol::Pop3s = protocol {
            script.extend([Listens, Says(hello)]);
        }
        script.push(Hears(leave));
        if !leave.is_empty() {
            script.extend([Listens, Says("bye\r\n")]);
        }
        is_the_certificate(seen(protocol, script).await);
    }
}

#[tokio::test]
async fn the_certificate_of_a_server_that_demands_one_of_its_clients_is_seen() {
    for version in [&TLS12, &TLS13] {
        is_the_certificate(seen(Protocol::Tls, vec![Tls(version, true)]).await);
        let script = vec![
            Says("+OK hello\r\n"),
            Hears("STLS"),
            Says("+OK go\r\n"),
            Tls(version, true),
        ];
        is_the_certificate(seen(Protocol::Pop3, script).await);
        is_the_certificate(seen(Protocol::Imaps, vec![Tls(version, true)]).await);
    }
}

#[tokio::test]
async fn a_server_that_was_seen_may_leave_as_it_likes() {
    for script in [
        vec![Tls(&TLS13, false)],
        vec![Tls(&TLS13, false), Says("554 not you\r\n"), Hears("")],
        vec![Tls(&TLS13, false), Waits],
        vec![Tls(&TLS13, false), Says("220 hello\r\n"), Hears("QUIT")],
        vec![
            Tls(&TLS13, false),
            Says("220 hello\r\n"),
            Repeats("221-bye\r\n"),
        ],
    ] {
        is_the_certificate(seen(Protocol::Smtps, script).await);
    }
}

#[tokio::test]
async fn what_a_server_says_in_the_place_of_tls_is_told() {
    let offers_none = || {
        vec![
            Says("220 mail.example\r\n"),
            Hears("EHLO quaymaster.invalid"),
            Says("250 mail.example\r\n"),
            Hears("STARTTLS"),
            Says("502 5.5.1 not\x1b[31m implemented\r\n"),
        ]
    };
    for (protocol, script, told) in [
        (
            Protocol::Smtp,
            offers_none(),
            r#"it says "502 5.5.1 not[31m implemented" where "220" is expected"#,
        ),
        (
            Protocol::Smtp,
            vec![Says("554 go away\r\n")],
            r#"it says "554 go away" where "220" is expected"#,
        ),
        (
            Protocol::Imap,
            vec![
                Says("* OK hello\r\n"),
                Hears("a STARTTLS"),
                Says("a BAD what\r\n"),
            ],
            r#"it says "a BAD what" where "a OK" is expected"#,
        ),
        (
            Protocol::Imap,
            vec![Says("* BYE full\r\n")],
            r#"it says "* BYE full" where "* OK" is expected"#,
        ),
        (
            Protocol::Pop3,
            vec![Says("+OK hello\r\n"), Hears("STLS"), Says("-ERR no\r\n")],
            r#"it says "-ERR no" where "+OK" is expected"#,
        ),
        (
            Protocol::Pop3,
            vec![Says("HTTP/1.1 400 Bad Request\r\n")],
            r#"it says "HTTP/1.1 400 Bad Request" where "+OK" is expected"#,
        ),
        (
            Protocol::Smtp,
            vec![Repeats("220-more\r\n")],
            "its greeting does not end",
        ),
        (
            Protocol::Smtp,
            vec![Repeats("220 ")],
            "its line does not end",
        ),
        (
            Protocol::Imap,
            vec![Says("* OK\r\n"), Hears("a STARTTLS"), Repeats("* more\r\n")],
            "it sends more than expected",
        ),
        (Protocol::Smtp, vec![Says("220 hal")], "it hangs up"),
        (
            Protocol::Tls,
            vec![Says("220 this is no TLS\r\n")],
            " answers, but ",
        ),
        (
            Protocol::Pop3,
            vec![
                Says("+OK\r\n"),
                Hears("STLS"),
                Says("+OK go\r\n+OK and more\r\n"),
            ],
            " answers, but ",
        ),
    ] {
        let problem = seen(protocol, script).await.expect_err(told);
        assert!(problem.contains(told), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    for (protocol, limit) in [
        (Protocol::Tls, "2s"),
        (Protocol::Smtp, "10s"),
        (Protocol::Imap, "10s"),
        (Protocol::Pop3, "10s"),
        (Protocol::Smtps, "10s"),
    ] {
        let problem = seen(protocol, vec![Waits]).await.expect_err("silence");
        let told = format!("it says nothing within {limit}");
        assert!(problem.ends_with(&told), "{problem}");
    }
}
