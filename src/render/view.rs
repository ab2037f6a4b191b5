use std::collections::BTreeSet;

use serde::Serialize;

/// What the template of a proxy's own file sees.
#[derive(Clone, Debug, Serialize)]
pub struct ProxyView {
    /// Port on which it takes plain HTTP.
    pub http_port: u16,
    /// Port on which it takes TLS.
    pub https_port: u16,
    /// The folder in which challenges appear, as the proxy sees it.
    pub webroot: String,
    /// The host name under which it shows its mark.
    pub mark_host: String,
    /// The mark: the generation that is live.
    pub mark: u64,
}

/// What the template of a site sees.
#[derive(Clone, Debug, Serialize)]
pub struct SiteView {
    /// The host name.
    pub host: String,
    /// Port on which the proxy takes plain HTTP.
    pub http_port: u16,
    /// Port on which the proxy takes TLS.
    pub https_port: u16,
    /// The folder in which challenges appear, as the proxy sees it.
    pub webroot: String,
    /// Its certificate; none while there is none.
    pub certificate: Option<CertificateView>,
    /// `address:port` of each container that takes traffic now.
    pub upstreams: BTreeSet<String>,
}

/// Where a certificate lies, as the proxy sees it.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateView {
    /// Path of certificate and chain.
    pub fullchain: String,
    /// Path of the key.
    pub privkey: String,
}

/// What the template of a command plan sees.
#[derive(Clone, Debug, Serialize)]
pub struct CommandPlanView<'a> {
    /// The name that the plan is about.
    pub subject: &'a str,
    /// Why something is done.
    pub why: &'a str,
    /// What is done, each step as its words.
    pub steps: &'a [Vec<String>],
}
