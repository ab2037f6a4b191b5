//! From what is desired to what templates see.

use std::net::SocketAddr;

use super::{gate::Gate, server::Server};
use crate::{
    desire::{CertificateFolder, Folder, Guard, Path, Route, Site, SiteContent, Substitutes, Tls},
    observe::{CLOSED, HeldCertificate, Shelf},
    render::{AuthView, CertificateView, GateView, MarkView, ProxyView, RouteView, SiteView},
    values::{Block, CertificateName, Host},
};

/// Where a container has memory as files, of its own and empty at each start.
const SHM: &str = "/dev/shm";

/// Where the engine's DNS is found by containers on networks that users make.
const DNS: &str = "127.0.0.11";

/// The view for the templates of the proxy's own files. `certificate` is the one for clients that send no name.
pub(super) fn proxy(
    server: Server<'_>,
    certificate: Option<(&CertificateName, Shelf)>,
) -> ProxyView {
    let Server {
        consumer,
        proxy,
        gate,
        listens_ipv6,
    } = server;
    ProxyView {
        http_port: proxy.http_port,
        https_port: proxy.https_port,
        listens_ipv6,
        public_http_port: proxy.public_http_port,
        public_https_port: proxy.public_https_port,
        webroot: proxy.webroot.theirs.display().to_string(),
        gate_host: gate.host.clone(),
        gate_path: gate.path.clone(),
        answers: consumer.answers.iter().map(Host::in_url).collect(),
        trusted_proxies: blocks(&proxy.trusted_proxies),
        certificate: certificate
            .map(|(name, shelf)| self::certificate(&consumer.certificates, name, shelf)),
    }
}

/// The view for the template of the mark.
pub(super) fn mark(server: Server<'_>, mark_host: &str, mark: u64) -> MarkView {
    MarkView {
        http_port: server.proxy.http_port,
        listens_ipv6: server.listens_ipv6,
        mark_host: mark_host.to_owned(),
        mark,
    }
}

/// The facts that the views of all sites of a server have in common: where these are the same, their files differ only
/// by the site and its certificate.
#[derive(Clone, Copy, Hash)]
pub(super) struct ServerFacts<'a> {
    listens_ipv6: bool,
    gate: &'a Gate,
    http_port: u16,
    https_port: u16,
    public_ports: [u16; 2],
    webroot: &'a Folder,
    config: &'a Folder,
    guard: Guard,
    has_dns: bool,
    certificates: &'a CertificateFolder,
    trusted_proxies: &'a [Block],
    substitutes: &'a Substitutes,
}

impl<'a> ServerFacts<'a> {
    pub fn of(server: Server<'a>) -> Self {
        let Server {
            consumer,
            proxy,
            gate,
            listens_ipv6,
        } = server;
        Self {
            listens_ipv6,
            gate,
            http_port: proxy.http_port,
            https_port: proxy.https_port,
            public_ports: [proxy.public_http_port, proxy.public_https_port],
            webroot: &proxy.webroot,
            config: &proxy.config,
            guard: proxy.guard,
            has_dns: proxy.has_dns,
            certificates: &consumer.certificates,
            trusted_proxies: &proxy.trusted_proxies,
            substitutes: &consumer.substitutes,
        }
    }
}

/// The view for the template of a site, of which `certificate` is served.
pub(super) fn site(
    server: Server<'_>,
    host: &Host,
    site: &Site,
    certificate: Option<(&CertificateName, &HeldCertificate)>,
) -> SiteView {
    let Server {
        consumer,
        proxy,
        gate,
        listens_ipv6,
    } = server;
    let trusted = certificate.is_some_and(|(_, held)| held.is_trusted() && held.covers(host));
    // What nobody trusts must not be insisted on: a browser remembers that for as long as it says.
    let hsts = site.hsts.filter(|_| trusted);
    let guard = Some(proxy.guard).filter(|_| gate.is_used);
    let (redirect, routes) = match &site.content {
        SiteContent::Redirect(to) => (Some(to.in_url()), Vec::new()),
        SiteContent::Routes(routes) => {
            let each = (0..).zip(routes);
            (
                None,
                each.map(|(number, (path, route))| self::route(host, number, path, route, guard))
                    .collect(),
            )
        }
    };
    SiteView {
        host: host.in_url(),
        wildcard: host.is_wildcard(),
        http_port: proxy.http_port,
        https_port: proxy.https_port,
        listens_ipv6,
        public_http_port: proxy.public_http_port,
        public_https_port: proxy.public_https_port,
        webroot: proxy.webroot.theirs.display().to_string(),
        trusted_proxies: blocks(&proxy.trusted_proxies),
        closed: proxy
            .config
            .theirs
            .join(CLOSED)
            .join(&*host.file_word())
            .display()
            .to_string(),
        gate: guard.map(|guard| GateView {
            file: (guard == Guard::Gate).then(|| format!("{SHM}{}", gate.path)),
            resolver: proxy.has_dns.then(|| DNS.to_owned()),
            ipv6: site.leads_to().iter().any(SocketAddr::is_ipv6),
        }),
        plain: plain(site.tls, trusted),
        certificate: certificate
            .map(|(name, held)| self::certificate(&consumer.certificates, name, held.shelf)),
        hsts: hsts.map(|hsts| hsts.length.as_secs()),
        hsts_include_subdomains: hsts.is_some_and(|hsts| hsts.include_subdomains),
        hsts_preload: hsts.is_some_and(|hsts| hsts.preload),
        redirect,
        serves_root: routes.iter().any(|route| route.path.is_empty()),
        routes,
    }
}

fn blocks(blocks: &[Block]) -> Vec<String> {
    blocks.iter().map(ToString::to_string).collect()
}

fn certificate(
    folder: &CertificateFolder,
    name: &CertificateName,
    shelf: Shelf,
) -> CertificateView {
    let folder = match folder {
        CertificateFolder::Shared { theirs } => theirs.with_file_name(shelf.folder()),
        CertificateFolder::Delivered(delivery) => delivery.to.theirs().clone(),
    };
    let folder = folder.join(name.as_str());
    let path = |file: &str| folder.join(file).display().to_string();
    CertificateView {
        fullchain: path("fullchain.pem"),
        privkey: path("privkey.pem"),
    }
}

/// The answer to plain requests. Where these are to be kept off, they are never served only because the certificate is
/// late, and never redirected to one that browsers refuse.
fn plain(tls: Tls, trusted: bool) -> &'static str {
    match (tls, trusted) {
        (Tls::Both | Tls::Off, _) => "serve",
        (Tls::Redirect | Tls::Only, false) => "wait",
        (Tls::Redirect, true) => "redirect",
        (Tls::Only, true) => "refuse",
    }
}

fn route(host: &Host, number: u32, path: &Path, route: &Route, guard: Option<Guard>) -> RouteView {
    // Taking nothing off changes nothing.
    let replaced_by = route
        .replaced_by
        .as_ref()
        .filter(|by| *by != path)
        .map(Path::as_str);
    let mut upstream = format!("quaymaster_{}", host.file_word());
    if !path.as_str().is_empty() {
        upstream = format!("{upstream}_{number}");
    }
    let goes_by_id = match guard {
        Some(Guard::Gate) => true,
        // Without a gate there is no other way beside the id, which leads to one container.
        Some(Guard::Names) => route.by_id.is_some() && route.upstreams.len() == 1,
        Some(Guard::Nothing) | None => false,
    };
    RouteView {
        path: path.as_str().to_owned(),
        variable: goes_by_id.then_some(number),
        by_id: route.by_id.as_deref().map(str::to_owned),
        upstream,
        servers: route.upstreams.iter().map(ToString::to_string).collect(),
        scheme: route.scheme.as_str(),
        exact_uri: replaced_by.map(|by| {
            if by.is_empty() {
                "/".to_owned()
            } else {
                by.to_owned()
            }
        }),
        prefix_uri: replaced_by.map(|by| format!("{by}/")),
        body_size: route.body_size.clone(),
        timeout: route.timeout.map(|length| length.as_secs()),
        buffers: route.buffers,
        auth: route.auth.as_ref().map(|auth| AuthView {
            file: auth.file.clone(),
            realm: auth.realm.clone(),
        }),
        allow: route.allow.iter().map(ToString::to_string).collect(),
    }
}
