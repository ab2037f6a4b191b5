//! The requests that reach an app, and the answers that come back from it: the real nginx between a client that writes
//! what it likes, and an app that shows what it was asked.

use std::net::SocketAddr;

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::Nginx;

/// An app as Apache with mod_http2 is: it offers an upgrade in each answer, and follows each. It answers with what it was
/// asked; below /big with a header of 12 kilobytes, too, and below /never not at all. Tells its port.
pub(super) async fn app() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    port
}

async fn answer(mut stream: TcpStream) {
    let Some(head) = head(&mut stream).await else {
        return;
    };
    let asked_for = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("upgrade: ")
            .map(str::to_owned)
    });
    let answer = match asked_for {
        Some(protocol) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n\r\n{head}"
        ),
        None if head.contains("/never") => return std::future::pending().await,
        None => format!(
            "HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nProxy-Connection: close\r\nConnection: Upgrade, close\r\n\
             X-Big: {}\r\nContent-Length: {}\r\n\r\n{head}",
            "x".repeat(if head.contains("/big") { 12_000 } else { 1 }),
            head.len()
        ),
    };
    // A client that is gone needs no answer.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Reads up to the empty line; none where the other end closes before.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut data = Vec::new();
    while !data.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => data.push(byte),
            Err(_) => return None,
        }
    }
    Some(String::from_utf8(data).unwrap())
}

/// An answer: its head, and its body; behind a 101, what comes first through the tunnel.
pub(super) struct Answer {
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.head, name)
    }

    /// A header that the app was asked with.
    pub fn asked_with(&self, name: &str) -> Option<&str> {
        value(&self.body, name)
    }

    /// The path that the app was asked for; none where it was not asked.
    pub fn reached(&self) -> Option<&str> {
        match self.status() {
            "400" => None,
            _ => self.body.split(' ').nth(1),
        }
    }
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// The answer to a request in plain text: for this path of a host, with these headers.
pub(super) async fn ask(nginx: &Nginx, host: &str, path: &str, headers: &str) -> Answer {
    let at = SocketAddr::new(nginx.at.ip(), 80);
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await.unwrap();
    let mut body = Vec::new();
    match value(&head, "Content-Length") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            stream.read_exact(&mut body).await.unwrap();
        }
        // The tunnel ends when the app closes it.
        None => drop(stream.read_to_end(&mut body).await.unwrap()),
    }
    let body = String::from_utf8(body).unwrap();
    Answer { head, body }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: ";

#[tokio::test]
async fn only_websockets_are_upgraded_whatever_client_and_app_say() {
    let nginx = Nginx::before("17-passed-on", app().await).await;
    let plain = ask(&nginx, "shop.example", "/", "").await;
    assert_eq!(plain.status(), "200");
    for forbidden in ["Upgrade", "Proxy-Connection"] {
        assert_eq!(
            plain.header(forbidden),
            None,
            "HTTP/2 forbids it in answers"
        );
    }
    for word in ["websocket", "WebSocket"] {
        let tunnel = ask(
            &nginx,
            "shop.example",
            "/mq/x",
            &format!("{UPGRADE}{word}\r\n"),
        )
        .await;
        assert_eq!(
            (tunnel.status(), tunnel.header("Upgrade")),
            ("101", Some("websocket"))
        );
        assert_eq!(tunnel.asked_with("Connection"), Some("upgrade"));
    }
    for other in [
        "h2c",
        "websocket, h2c",
        "TLS/1.0",
        "h2c\r\nUpgrade: websocket",
    ] {
        let answer = ask(
            &nginx,
            "shop.example",
            "/",
            &format!("{UPGRADE}{other}\r\n"),
        )
        .await;
        assert_eq!(answer.status(), "200", "{other}");
        assert_eq!(answer.asked_with("Upgrade"), None, "{other}");
        assert_eq!(answer.header("Upgrade"), None, "{other}");
    }
}

#[tokio::test]
async fn a_path_is_replaced_byte_for_byte_or_not_at_all() {
    let nginx = Nginx::before("17-passed-on", app().await).await;
    for (host, asked, reached) in [
        (
            "shop.example",
            "/mq/api/queues/%2F/name",
            Some("/api/queues/%2F/name"),
        ),
        ("shop.example", "/mq/a%2Bb?x=%2F", Some("/a%2Bb?x=%2F")),
        ("shop.example", "/mq//double", Some("//double")),
        ("shop.example", "/mq/a/../b", Some("/a/../b")),
        ("shop.example", "/mq/", Some("/")),
        ("shop.example", "/mq/?x=/mq/", Some("/?x=/mq/")),
        ("shop.example", "/mq", Some("/")),
        ("shop.example", "/mq?x=%20", Some("/?x=%20")),
        (
            "shop.example",
            "/mq/%0d%0aX-Own:%201",
            Some("/%0d%0aX-Own:%201"),
        ),
        ("shop.example", "/mq/$host/%24", Some("/$host/%24")),
        ("shop.example", "/a.b/v1/%2F/./x", Some("/legacy/%2F/./x")),
        ("shop.example", "/a.b/v1", Some("/legacy")),
        ("shop.example", "/a.b/v1?x", Some("/legacy?x")),
        ("whole.example", "/%2F//x?y", Some("/v2/%2F//x?y")),
        ("whole.example", "/", Some("/v2/")),
        // Nothing of these paths is taken off.
        ("shop.example", "/mqx/%2F", Some("/mqx/%2F")),
        ("shop.example", "/aab/v1/%2F//", Some("/aab/v1/%2F//")),
        // nginx takes these for the path, but they are written in another way.
        ("shop.example", "/%6dq/x", None),
        ("shop.example", "//mq/x", None),
        ("shop.example", "/./mq/x", None),
        ("shop.example", "/x/../mq/x", None),
        ("shop.example", "/mq%2Fx", None),
        ("shop.example", "/%6dq", None),
    ] {
        assert_eq!(
            ask(&nginx, host, asked, "").await.reached(),
            reached,
            "{host}{asked}"
        );
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_scheme_and_port_is_believed_everywhere() {
    const HTTPS: &str = "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n";
    const HTTPS_ELSEWHERE: &str = "X-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n";
    const HTTP: &str = "X-Forwarded-Proto: http\r\n";
    const HTTPS_ALONE: &str = "X-Forwarded-Proto: https\r\n";
    let nginx = Nginx::before("18-behind-a-balancer", app().await).await;
    let sent = async |host: &str, headers: &str| {
        let answer = ask(&nginx, host, "/x", headers).await;
        let status = answer.status().to_owned();
        (status, answer.header("Location").map(str::to_owned))
    };
    let to = |url: &str| ("301".to_owned(), Some(url.to_owned()));
    let plainly = |status: &str| (status.to_owned(), None);
    for (host, headers, expected) in [
        ("red.example", HTTPS, plainly("200")),
        ("red.example", HTTP, to("https://red.example/x")),
        ("red.example", "", to("https://red.example/x")),
        ("both.example", HTTPS, plainly("200")),
        ("both.example", HTTP, plainly("200")),
        ("only.example", HTTPS, plainly("200")),
        ("only.example", HTTP, plainly("404")),
        ("late.example", HTTPS, plainly("200")),
        ("late.example", HTTP, plainly("503")),
        ("www.both.example", HTTPS, to("https://both.example/x")),
        (
            "www.both.example",
            HTTPS_ALONE,
            to("https://both.example/x"),
        ),
        (
            "www.both.example",
            HTTPS_ELSEWHERE,
            to("https://both.example:8443/x"),
        ),
        ("www.both.example", HTTP, to("http://both.example/x")),
        ("www.named.example", HTTPS, to("https://named.example/x")),
        ("www.named.example", HTTP, to("https://named.example/x")),
    ] {
        assert_eq!(sent(host, headers).await, expected, "{host} {headers}");
    }
    for (headers, scheme, port) in [
        (HTTPS, "https", "443"),
        (HTTPS_ALONE, "https", "443"),
        (HTTPS_ELSEWHERE, "https", "8443"),
        (HTTP, "http", "80"),
        ("", "http", "80"),
        ("X-Forwarded-Port: 443; x\r\n", "http", "80"),
    ] {
        let answer = ask(&nginx, "both.example", "/", headers).await;
        let seen = ["X-Forwarded-Proto", "X-Forwarded-Port"].map(|name| answer.asked_with(name));
        assert_eq!(seen, [Some(scheme), Some(port)], "{headers}");
    }
    for (headers, told) in [(HTTPS, Some("max-age=31536000")), (HTTP, None)] {
        let answer = ask(&nginx, "red.example", "/", headers).await;
        assert_eq!(
            answer.header("Strict-Transport-Security"),
            told,
            "{headers}"
        );
    }
    let websocket = format!("{HTTPS}{UPGRADE}websocket\r\n");
    let tunnel = ask(&nginx, "red.example", "/", &websocket).await;
    assert_eq!(
        tunnel.header("Strict-Transport-Security"),
        Some("max-age=31536000")
    );
    // A challenge is answered however it is asked for: 404 for one that is not there, and never a redirect.
    let challenge = ask(&nginx, "red.example", "/.well-known/acme-challenge/x", HTTP).await;
    assert_eq!(challenge.status(), "404");

    let nginx = Nginx::before("19-behind-no-balancer", app().await).await;
    assert_eq!(ask(&nginx, "red.example", "/", HTTPS).await.status(), "301");
    let answer = ask(&nginx, "both.example", "/", HTTPS_ELSEWHERE).await;
    let seen = ["X-Forwarded-Proto", "X-Forwarded-Port"].map(|name| answer.asked_with(name));
    assert_eq!(seen, [Some("http"), Some("80")]);
}

#[tokio::test]
async fn a_site_has_the_buffers_and_the_patience_that_its_labels_ask_for() {
    let nginx = Nginx::before("20-wishes", app().await).await;
    for (host, path, status) in [
        ("small.example", "/", "200"),
        ("small.example", "/big", "502"),
        ("small.example", "/large/big", "200"),
        ("hasty.example", "/", "200"),
        ("hasty.example", "/never", "504"),
        // Its health check fails, and is ignored; the other's is not.
        ("setup.example", "/", "200"),
        ("setup.example", "/ill", "503"),
    ] {
        let answer = ask(&nginx, host, path, "").await;
        assert_eq!(answer.status(), status, "{host}{path}");
    }
}

#[tokio::test]
async fn without_its_file_of_passwords_a_site_lets_nobody_in() {
    let nginx = Nginx::before("13-trusted-proxies", app().await).await;
    let from = "X-Forwarded-For: 192.0.2.7\r\n";
    let known = format!("{from}Authorization: Basic YTpi\r\n");
    for (headers, status) in [(from, "401"), (known.as_str(), "403")] {
        let answer = ask(&nginx, "shop.example", "/", headers).await;
        assert_eq!(answer.status(), status, "{headers}");
    }
}

#[tokio::test]
async fn requests_go_by_address_only_while_the_gate_is_open() {
    let nginx = Nginx::before("17-passed-on", app().await).await;
    let status = async || {
        let answer = ask(&nginx, "shop.example", "/", "").await;
        answer.status().to_owned()
    };
    assert_eq!(status().await, "200");
    nginx.gate(Method::DELETE).await;
    // Nobody tells it here where a container of that id is.
    assert_eq!(status().await, "502");
    nginx.gate(Method::PUT).await;
    assert_eq!(status().await, "200");
    nginx.run("mkdir -p /etc/nginx/conf.d/closed && touch /etc/nginx/conf.d/closed/shop.example");
    assert_eq!(status().await, "503");
    nginx.run("rm /etc/nginx/conf.d/closed/shop.example");
    assert_eq!(status().await, "200");
}
