//! From what is desired to what templates see.

use crate::{
    desire::{CertificateFolder, Consumer, Content, Path, Route, Site, Tls},
    observe::HeldCertificate,
    render::{AuthView, CertificateView, ProxyView, RouteView, SiteView},
    values::{CertificateName, DnsName},
};

/// Where proxies take plain HTTP inside their containers.
pub const HTTP_PORT: u16 = 80;
/// Where proxies take TLS inside their containers.
pub const HTTPS_PORT: u16 = 443;

/// What the template of the proxy's own file sees.
pub(super) fn proxy(consumer: &Consumer, mark_host: &str, mark: u64) -> ProxyView {
    ProxyView {
        http_port: HTTP_PORT,
        https_port: HTTPS_PORT,
        webroot: consumer.webroot.theirs.display().to_string(),
        mark_host: mark_host.to_owned(),
        mark,
    }
}

/// What the template of a site sees, served with this certificate.
pub(super) fn site(
    consumer: &Consumer,
    host: &DnsName,
    site: &Site,
    certificate: Option<(&CertificateName, &HeldCertificate)>,
) -> SiteView {
    let path = |(name, held): (&CertificateName, &HeldCertificate), file: &str| {
        let folder = match &consumer.certificates {
            CertificateFolder::Shared { theirs } => theirs.with_file_name(held.shelf.folder()),
            CertificateFolder::Delivered(folder) => folder.theirs.clone(),
        };
        folder.join(name.as_str()).join(file).display().to_string()
    };
    let (redirect, routes) = match &site.content {
        Content::Redirect(to) => (Some(to.to_string()), Vec::new()),
        Content::Routes(routes) => {
            let each = routes.iter().enumerate();
            (None, each.map(|(number, (path, route))| self::route(host, number, path, route)).collect())
        }
    };
    SiteView {
        host: host.to_string(),
        http_port: HTTP_PORT,
        https_port: HTTPS_PORT,
        webroot: consumer.webroot.theirs.display().to_string(),
        plain: plain(site.tls, certificate.is_some()),
        certificate: certificate.map(|served| CertificateView {
            fullchain: path(served, "fullchain.pem"),
            privkey: path(served, "privkey.pem"),
        }),
        hsts: site.hsts.map(|length| length.as_secs()),
        redirect,
        serves_root: routes.iter().any(|route| route.path.is_empty()),
        routes,
    }
}

/// What plain requests get. Where they are to be kept off, they are never served only because the certificate is late.
fn plain(tls: Tls, certified: bool) -> &'static str {
    match (tls, certified) {
        (Tls::Both | Tls::Off, _) => "serve",
        (Tls::Redirect | Tls::Only, false) => "wait",
        (Tls::Redirect, true) => "redirect",
        (Tls::Only, true) => "refuse",
    }
}

fn route(host: &DnsName, number: usize, path: &Path, route: &Route) -> RouteView {
    // Taking nothing off changes nothing.
    let replaced_by = route.replaced_by.as_ref().filter(|by| *by != path).map(Path::as_str);
    RouteView {
        path: path.as_str().to_owned(),
        upstream: if path.as_str().is_empty() {
            format!("quaymaster_{host}")
        } else {
            format!("quaymaster_{host}_{number}")
        },
        servers: route.upstreams.iter().map(ToString::to_string).collect(),
        scheme: route.scheme.as_str(),
        exact_uri: replaced_by.map(|by| if by.is_empty() { "/".to_owned() } else { by.to_owned() }),
        prefix_uri: replaced_by.map(|by| format!("{by}/")),
        body_size: route.body_size.clone(),
        auth: route.auth.as_ref().map(|auth| AuthView { file: auth.file.clone(), realm: auth.realm.clone() }),
        allow: route.allow.iter().map(ToString::to_string).collect(),
    }
}
