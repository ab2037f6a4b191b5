use std::collections::BTreeSet;

use minijinja::value::{Serde, Value};

use super::view::{CertificateView, CommandPlanView, ProxyView, SiteView};

/// Views that together reach every branch that depends on what templates see, each with the template that it is for:
/// minijinja finds an unknown name or filter only where it comes by.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    let mut samples = vec![("nginx/proxy.conf", Value::from(Serde(proxy())))];
    samples.extend(sites().into_iter().map(|site| ("nginx/site.conf", Value::from(Serde(site)))));
    let steps = [vec!["write".to_owned(), "a file.conf".to_owned()], vec!["signal".to_owned(), "proxy".to_owned()]];
    for steps in [&steps[..], &[]] {
        let view = CommandPlanView { subject: "shop.example", why: "renewal due, then missing", steps };
        samples.push(("command-plan.txt", Value::from(Serde(view))));
    }
    samples
}

fn proxy() -> ProxyView {
    ProxyView {
        http_port: 80,
        https_port: 443,
        webroot: "/challenge".to_owned(),
        mark_host: "quaymaster-0123456789abcdef".to_owned(),
        mark: 1,
    }
}

/// With and without certificate, with no upstream, one and more.
fn sites() -> Vec<SiteView> {
    let certificate = CertificateView {
        fullchain: "/certificates/live/shop.example/fullchain.pem".to_owned(),
        privkey: "/certificates/live/shop.example/privkey.pem".to_owned(),
    };
    let upstreams = ["172.18.0.2:80", "[fd00::2]:8080"];
    let site = |certificate: Option<CertificateView>, upstreams: &[&str]| SiteView {
        host: "shop.example".to_owned(),
        http_port: 80,
        https_port: 443,
        webroot: "/challenge".to_owned(),
        certificate,
        upstreams: upstreams.iter().map(|upstream| (*upstream).to_owned()).collect::<BTreeSet<_>>(),
    };
    let with = |certificate: Option<CertificateView>| (0..=2).map(move |n| site(certificate.clone(), &upstreams[..n]));
    with(None).chain(with(Some(certificate))).collect()
}
