//! The proxy through which others are asked over https, where the environment names one, as it does for other programs.

use std::{
    error::Error,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

/// A proxy for https, and the hosts that are asked without it; or none.
#[derive(Clone, Debug, Default)]
pub struct HttpsProxy(Option<Arc<Matcher>>);

/// The reason why a value is no proxy that can be asked.
#[derive(Debug, Error)]
pub enum HttpsProxyError {
    /// It is no URL. The value itself may hold a password.
    #[error("it is not a URL; write http://HOST:PORT")]
    NoUrl,
    /// It is asked in another way than over plain HTTP.
    #[error("{0}:// is not supported for a proxy; write http://HOST:PORT")]
    Scheme(String),
}

/// A tunnel that the proxy did not make.
#[derive(Debug, Error)]
#[error("the proxy {proxy} (HTTPS_PROXY) leads nowhere")]
struct NoTunnel {
    proxy: String,
    source: Box<dyn Error + Send + Sync>,
}

impl HttpsProxy {
    /// The proxy with this URL, name and password in it where it wants them; an empty one is none. `except` lists hosts,
    /// domains and networks that are asked without it, separated by commas, `*` for all.
    ///
    /// # Errors
    /// When it is no URL, or not of a proxy that is asked over plain HTTP.
    pub fn of(url: &str, except: &str) -> Result<Self, HttpsProxyError> {
        let url = url.trim();
        if url.is_empty() {
            return Ok(Self::default());
        }
        // Programs that know these variables take a bare HOST:PORT, too.
        let whole = match url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let read = Url::parse(&whole).ok().filter(Url::has_host);
        match read.ok_or(HttpsProxyError::NoUrl)?.scheme() {
            "http" => {}
            other => return Err(HttpsProxyError::Scheme(other.to_owned())),
        }
        let matcher = Matcher::builder().https(whole).no(except.to_owned());
        Ok(Self(Some(Arc::new(matcher.build()))))
    }

    /// The proxy that a URL is asked through, if any. It knows neither this machine nor the names of a network of
    /// containers, which have no dot.
    fn between(&self, to: &Uri) -> Option<Intercept> {
        let host = to.host()?.trim_matches(['[', ']']);
        let is_near = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => !host.contains('.') || host.ends_with(".localhost"),
        };
        match is_near {
            true => None,
            false => self.0.as_ref()?.intercept(to),
        }
    }
}

/// Makes connections, through a proxy where one is between.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub direct: HttpConnector,
    pub proxy: HttpsProxy,
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Some(proxy) = self.proxy.between(&to) else {
            let connecting = self.direct.call(to);
            return Box::pin(async { connecting.await.map_err(Into::into) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let connecting = tunnel.call(to);
        Box::pin(async move {
            let no_tunnel = |error| NoTunnel {
                proxy: proxy.uri().to_string(),
                source: Box::new(error),
            };
            Ok(connecting.await.map_err(no_tunnel)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_asked_through_the_proxy_and_what_is_near_or_excepted_is_not() {
        let proxy = HttpsProxy::of("proxy.lan:3128", "ca.lan, .corp.example, 10.0.0.0/8").unwrap();
        for (url, expected) in [
            ("https://acme-v02.api.letsencrypt.org/directory", true),
            ("https://192.0.2.1/dir", true),
            ("https://ca.lan/dir", false),
            ("https://a.corp.example/", false),
            ("https://10.1.2.3/", false),
            // Near.
            ("https://localhost:14000/dir", false),
            ("https://ca.localhost/dir", false),
            ("https://127.0.0.1:14000/dir", false),
            ("https://[::1]:14000/dir", false),
            ("https://pebble:14000/dir", false),
            // Plain HTTP is not asked through it.
            ("http://acme.example/", false),
        ] {
            let between = proxy.between(&url.parse().unwrap());
            let expected = expected.then_some("http://proxy.lan:3128/");
            assert_eq!(
                between.map(|it| it.uri().to_string()).as_deref(),
                expected,
                "{url}"
            );
        }
        let elsewhere = "https://acme.example/".parse().unwrap();
        assert!(HttpsProxy::default().between(&elsewhere).is_none());
        let all_excepted = HttpsProxy::of("http://proxy.lan:3128", "*").unwrap();
        assert!(all_excepted.between(&elsewhere).is_none());
        assert!(
            HttpsProxy::of(" ", "")
                .unwrap()
                .between(&elsewhere)
                .is_none()
        );
    }

    #[test]
    fn what_is_no_such_proxy_is_told_without_its_password() {
        for (url, expected) in [
            (
                "socks5://me:secret@proxy.lan",
                "socks5:// is not supported for a proxy; write http://HOST:PORT",
            ),
            (
                "https://me:secret@proxy.lan",
                "https:// is not supported for a proxy; write http://HOST:PORT",
            ),
            ("me:secret@", "it is not a URL; write http://HOST:PORT"),
        ] {
            let error = HttpsProxy::of(url, "").unwrap_err().to_string();
            assert_eq!(error, expected, "{url}");
        }
    }
}
