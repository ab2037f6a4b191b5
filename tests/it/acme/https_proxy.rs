//! CAs that are asked through a proxy.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use quaymaster::{
    adapters::{
        http::{HttpClient, HttpError, Limits},
        https_proxy::HttpsProxy,
    },
    report::chain,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::support::canned::{Canned, Reply};

/// A proxy that leads every name to one server, and what it was asked.
struct Proxy {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Without `password`, name and password in Base64, it refuses.
    async fn start(to: std::net::SocketAddr, password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let wanted = password.map(|word| format!("proxy-authorization: basic {word}\r\n"));
                let is_let_in = wanted.is_none_or(|line| head.contains(&line.to_lowercase()));
                seen.lock().unwrap().push(head);
                if !is_let_in {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    client.write_all(refusal).await.unwrap();
                    continue;
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(to).await.unwrap();
                // Either side may close whenever it likes.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
        Self { url, heads }
    }

    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        heads.iter().map(first).collect()
    }
}

async fn ask(server: &Canned, proxy: &HttpsProxy, url: &str) -> Result<u16, HttpError> {
    let client = HttpClient::new(Some(&server.root), proxy, Limits::default()).unwrap();
    let request = Request::get(url).body(Bytes::new()).unwrap();
    client
        .send(request)
        .await
        .map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_ca_elsewhere_is_asked_through_the_proxy_that_the_environment_names() {
    let server = Canned::start(|_, _, _| Reply::new(200, &[], "hello")).await;
    let proxy = Proxy::start(server.at, None).await;
    let through = HttpsProxy::of(&proxy.url, "").unwrap();
    // Nobody has this name: the proxy alone knows where it leads. TLS ends at the server, not at the proxy.
    let url = "https://ca.example/directory";
    assert_eq!(ask(&server, &through, url).await.unwrap(), 200);
    assert_eq!(proxy.asked(), ["connect ca.example:443 http/1.1"]);
    // What is near is asked directly.
    assert_eq!(ask(&server, &through, &server.url("/")).await.unwrap(), 200);
    assert_eq!(proxy.asked().len(), 1);
    // And so is what is excepted: nobody has that name.
    let excepted = HttpsProxy::of(&proxy.url, "example").unwrap();
    let refused = ask(&server, &excepted, url).await.unwrap_err();
    assert!(matches!(refused, HttpError::Connect(_)), "{refused}");
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn a_proxy_is_given_its_password_and_one_that_refuses_is_told_without_it() {
    let server = Canned::start(|_, _, _| Reply::new(200, &[], "hello")).await;
    let proxy = Proxy::start(server.at, Some("bWU6c2VjcmV0")).await;
    let with = |user: &str| HttpsProxy::of(&proxy.url.replace("//", &format!("//{user}@")), "");
    let url = "https://ca.example/directory";
    let asked = ask(&server, &with("me:secret").unwrap(), url).await;
    assert_eq!(asked.unwrap(), 200);
    let refused = ask(&server, &with("me:wrong").unwrap(), url).await;
    let told = chain(&refused.unwrap_err());
    assert!(
        told.contains(&format!(
            "the proxy {}/ (HTTPS_PROXY) leads nowhere",
            proxy.url
        )),
        "{told}"
    );
    assert!(told.contains("authorization required"), "{told}");
    assert!(!told.contains("wrong"), "{told}");
}
