use std::collections::BTreeSet;

use serde::Serialize;

/// A name that templates see: a row of the table of views, made from the field itself and its doc.
pub struct FieldRow {
    /// The view of which it is a part.
    pub of: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: String,
    /// The meaning, in words.
    pub doc: &'static str,
}

/// The name for users of a value's type in a template.
trait Kind {
    fn kind() -> String;
}

macro_rules! kinds {
    ($($kind:literal: $($type:ty),+;)+) => {
        $($(impl Kind for $type {
            fn kind() -> String {
                $kind.to_owned()
            }
        })+)+
    };
}

kinds! {
    "text": String, &str;
    "number": u16, u32, u64;
    "true or false": bool;
}

impl<T: Kind> Kind for Option<T> {
    fn kind() -> String {
        format!("{}, or none", T::kind())
    }
}

impl<T: Kind> Kind for Vec<T> {
    fn kind() -> String {
        format!("list of {}", T::kind())
    }
}

impl<T: Kind> Kind for BTreeSet<T> {
    fn kind() -> String {
        format!("sorted list of {}", T::kind())
    }
}

impl<T: Kind> Kind for &[T] {
    fn kind() -> String {
        format!("list of {}", T::kind())
    }
}

/// Makes the structs, and with the word that people call each by, the rows of [`fields`].
macro_rules! views {
    ($(
        $word:literal
        $(#[$about:meta])*
        pub struct $view:ident $(<$life:lifetime>)? {
            $($(#[doc = $doc:literal])+ pub $field:ident: $type:ty,)+
        }
    )+) => {
        $(
            $(#[$about])*
            pub struct $view $(<$life>)? {
                $($(#[doc = $doc])+ pub $field: $type,)+
            }

            impl $(<$life>)? Kind for $view $(<$life>)? {
                fn kind() -> String {
                    $word.to_owned()
                }
            }

            impl $(<$life>)? $view $(<$life>)? {
                fn fields() -> Vec<FieldRow> {
                    vec![$(FieldRow {
                        of: $word,
                        name: stringify!($field),
                        kind: <$type as Kind>::kind(),
                        doc: concat!($($doc),+).trim(),
                    }),+]
                }
            }
        )+

        /// Every name that templates see.
        pub fn fields() -> Vec<FieldRow> {
            [$($view::fields()),+].into_iter().flatten().collect()
        }
    };
}

views! {
"proxy"
/// The view for the templates of a proxy's own files.
#[derive(Clone, Debug, Hash, Serialize)]
pub struct ProxyView {
    /// Port on which it takes plain HTTP.
    pub http_port: u16,
    /// Port on which it takes TLS.
    pub https_port: u16,
    /// Whether it listens on these ports over IPv6, too.
    pub listens_ipv6: bool,
    /// Port at which browsers find its plain HTTP.
    pub public_http_port: u16,
    /// Port at which browsers find its TLS.
    pub public_https_port: u16,
    /// The folder in which challenges appear, as the proxy sees it.
    pub webroot: String,
    /// The certificate for clients that send no name, or one that no site has: that of an address that is served, else the
    /// default; none where these are refused.
    pub certificate: Option<CertificateView>,
    /// The host name under which its gate is opened.
    pub gate_host: String,
    /// The path at which it is; the file of that name in /dev/shm is the gate.
    pub gate_path: String,
    /// Hosts that no site here has and whose challenges are answered all the same, as nginx writes them.
    pub answers: Vec<String>,
    /// Blocks of addresses of proxies that are believed when they say on whose behalf they ask; empty for none.
    pub trusted_proxies: Vec<String>,
}

"default"
/// The view for the template of a default configuration, with which a server starts.
#[derive(Clone, Debug, Hash, Serialize)]
pub struct DefaultConfigView {
    /// Its certificate, which may not be there yet.
    pub certificate: CertificateView,
    /// The user's file that says who may log in; none while there is none.
    pub password_file: Option<String>,
    /// The user's file that says who may do what; none while there is none.
    pub acl_file: Option<String>,
}

"helper's line"
/// The view for the template of a line for a helper, by which it obtains one certificate.
#[derive(Clone, Debug, Serialize)]
pub struct HelperLineView {
    /// What the certificate is called.
    pub certificate: String,
    /// The names it is to cover.
    pub names: Vec<String>,
    /// The folder in which the helper puts responses to challenges, as it sees it.
    pub webroot: String,
    /// The folder in which it keeps certificates, as it sees it; none where that is the usual one.
    pub config_dir: Option<String>,
    /// The address that the CA is given; none where nobody says one.
    pub email: Option<String>,
    /// The URL of the CA's directory; none for Let's Encrypt.
    pub server: Option<String>,
    /// The words that say what kind of key it gets; none for ECDSA on P-256.
    pub key_type: Option<Vec<String>>,
    /// How certbot is told the CA's word for what kind of certificate it is; none for the usual one.
    pub profile: Option<Vec<String>>,
    /// Whether it is wanted anew though it is not due.
    pub again: bool,
}

"mark"
/// The view for the template of a proxy's mark.
#[derive(Clone, Debug, Serialize)]
pub struct MarkView {
    /// Port on which it takes plain HTTP.
    pub http_port: u16,
    /// Whether it listens on this port over IPv6, too.
    pub listens_ipv6: bool,
    /// The host name under which it shows its mark.
    pub mark_host: String,
    /// The mark: the generation that is live.
    pub mark: u64,
}

"site"
/// The view for the template of a site.
#[derive(Clone, Debug, Serialize)]
pub struct SiteView {
    /// The host, as nginx and URLs write it: a name, `*.shop.example`, an address, an IPv6 one in brackets.
    pub host: String,
    /// Whether it stands for many names.
    pub wildcard: bool,
    /// Port on which the proxy takes plain HTTP.
    pub http_port: u16,
    /// Port on which the proxy takes TLS.
    pub https_port: u16,
    /// Whether the proxy listens on these ports over IPv6, too.
    pub listens_ipv6: bool,
    /// Port at which browsers find its plain HTTP.
    pub public_http_port: u16,
    /// Port at which browsers find its TLS.
    pub public_https_port: u16,
    /// The folder in which challenges appear, as the proxy sees it.
    pub webroot: String,
    /// Blocks of addresses of proxies that are believed when they say on whose behalf they ask; empty for none.
    pub trusted_proxies: Vec<String>,
    /// A file that shuts the site: while it is there, requests are not passed on.
    pub closed: String,
    /// How it is decided, at each request, whether that goes by address; none where each does.
    pub gate: Option<GateView>,
    /// Its certificate; none while there is none, and where TLS is off.
    pub certificate: Option<CertificateView>,
    /// What plain requests get: `serve`, `redirect` to https, `refuse`, or `wait` for the certificate.
    pub plain: &'static str,
    /// For how many seconds browsers shall insist on TLS.
    pub hsts: Option<u64>,
    /// Whether they shall for all names below it, too.
    pub hsts_include_subdomains: bool,
    /// Whether they may know it beforehand.
    pub hsts_preload: bool,
    /// The host that everything is sent to; none where it is served.
    pub redirect: Option<String>,
    /// What is served, by path.
    pub routes: Vec<RouteView>,
    /// Whether one of the routes is for everything.
    pub serves_root: bool,
}

"gate"
/// The gate that decides, at each request, if it is passed on by address. An address may be another container's after a
/// start.
#[derive(Clone, Debug, Serialize)]
pub struct GateView {
    /// The file that is there while addresses are known to be right; none where there can be no such file.
    pub file: Option<String>,
    /// Where the engine's DNS is asked for containers by their ids; none where the proxy can't ask that.
    pub resolver: Option<String>,
    /// Whether containers of the site have IPv6 addresses.
    pub ipv6: bool,
}

"route"
/// The part of a site's view that is about one path.
#[derive(Clone, Debug, Serialize)]
pub struct RouteView {
    /// The path, without a slash at its end; empty for everything.
    pub path: String,
    /// The name of its group of servers.
    pub upstream: String,
    /// The number N of the variable `$quaymaster_to_N` that holds what a request is passed on to: that group, or one
    /// container by its id; none where it is always the group.
    pub variable: Option<u32>,
    /// `ID:port` of the first container that takes traffic, as the engine's DNS knows it; none where the proxy can't ask
    /// that.
    pub by_id: Option<String>,
    /// `address:port` of each container that takes traffic now.
    pub servers: BTreeSet<String>,
    /// `http`, `https`, `grpc` or `grpcs`.
    pub scheme: &'static str,
    /// What a request for the very path is passed on as; none for unchanged.
    pub exact_uri: Option<String>,
    /// What the path and a slash are replaced by; none for unchanged.
    pub prefix_uri: Option<String>,
    /// The largest request, as nginx writes sizes.
    pub body_size: Option<String>,
    /// For how many seconds the proxy waits for a container.
    pub timeout: Option<u64>,
    /// How many kilobytes of headers an answer may have.
    pub buffers: Option<u32>,
    /// A password that is asked for.
    pub auth: Option<AuthView>,
    /// Blocks of addresses from which it may be asked; empty for everywhere.
    pub allow: Vec<String>,
}

"auth"
/// A password that is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct AuthView {
    /// The htpasswd file, as the proxy sees it.
    pub file: String,
    /// What it is asked for: a free text, to be quoted.
    pub realm: String,
}

"certificate"
/// Where a certificate lies, as the proxy sees it.
#[derive(Clone, Debug, Hash, Serialize)]
pub struct CertificateView {
    /// Path of certificate and chain.
    pub fullchain: String,
    /// Path of the key.
    pub privkey: String,
}

"command plan"
/// The view for the template of a command plan.
#[derive(Clone, Debug, Serialize)]
pub struct CommandPlanView<'a> {
    /// The name that the plan is about.
    pub subject: &'a str,
    /// Why something is done.
    pub why: &'a str,
    /// What is done, each step as its words.
    pub steps: &'a [Vec<String>],
}
}
