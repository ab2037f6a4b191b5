use std::fmt;

use super::{Consumer, Guard, HelperKind, Proxy};
use crate::values::{Owner, ProbePort, Protocol, Right, Signal};

/// A kind of server that uses certificates or configuration: a row of the kinds table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The word in `quaymaster.kind`.
    pub name: &'static str,
    /// A description, for `quaymaster reference` and the pages.
    pub doc: &'static str,
    /// True if the server can't start without a certificate, so that it gets a self-signed one at once.
    pub fallback: bool,
    /// The configuration that is written for it; none where it takes certificates alone.
    pub proxy: Option<ProxyKind>,
    /// The folder in the container where certificates go; none where a label has to say.
    pub files: Option<&'static str>,
    /// The layout of these, a row of the layouts table.
    pub layout: &'static str,
    /// The user that its image runs the server as, where that reads keys itself.
    pub owner: Option<Owner>,
    /// The way to make it read its files again.
    pub reload: KindReload,
    /// The words of its own tool that do the same, where words may be run in it.
    pub reload_words: &'static [&'static str],
    /// The words of its own tool that look at its files without using them.
    pub check: &'static [&'static str],
    /// The mark of those lines of that tool that give the reason for a refusal.
    pub check_refuses: &'static str,
    /// Where it usually shows a certificate: not each has all of these.
    pub probes: &'static [ProbePort],
    /// Where it usually shows the certificate that it read when it started, whatever reloads it since.
    pub probes_at_start: &'static [ProbePort],
    /// True if the server shows each client the certificate of the name that it asks for; otherwise all clients see the
    /// first.
    pub shows_by_name: bool,
    /// The configuration that it is given to start with, where a label says in which folder; none where there is none.
    pub default_file: Option<&'static DefaultFile>,
    /// The way to obtain certificates with it; none where it obtains none.
    pub helper: Option<HelperKind>,
}

impl Kind {
    /// The right that such a server needs.
    pub(super) fn right(&self) -> Right {
        match self.proxy {
            Some(_) => Right::Proxy,
            None => Right::Keys,
        }
    }
}

/// A configuration that a server starts with as long as its user has written none. It is quaymaster's until somebody
/// changes it.
#[derive(Debug, PartialEq, Eq)]
pub struct DefaultFile {
    /// The file's name.
    pub file: &'static str,
    /// Its template.
    pub template: &'static str,
    /// The beginning of a comment in the file.
    pub comment: &'static str,
    /// The file beside it in which the user says who may log in; it is named where it is there.
    pub password_file: &'static str,
    /// The file beside it in which the user says who may do what; it is named where it is there.
    pub acl_file: &'static str,
}

/// The way to make a kind of server read its files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindReload {
    /// This signal.
    Signal(Signal),
    /// A restart of its container.
    Restart,
    /// Nothing that is known.
    Nothing,
}

impl fmt::Display for KindReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "SIG{signal}"),
            Self::Restart => f.write_str("restart"),
            Self::Nothing => f.write_str("none"),
        }
    }
}

/// The configuration that is written for a kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyKind {
    /// The folder in the container where rendered files go.
    pub config: &'static str,
    /// The beginning of a comment in its configuration.
    pub comment: &'static str,
    /// The template of each site.
    pub site_template: &'static str,
    /// The file of the mark that shows which generation is live, and its template. No host name begins with a hyphen,
    /// so no site is in the way of such a file.
    pub mark_file: &'static str,
    /// The template of the mark.
    pub mark_template: &'static str,
    /// The file of the servers that are the first to listen on IPv6; none where the server is not asked to.
    pub ipv6_file: Option<&'static str>,
    /// The file of the gate that keeps requests from others' containers after a start; none where the server has no such
    /// thing.
    pub gate_file: Option<&'static str>,
    /// The files that are there once, whatever the sites are.
    pub own_files: &'static [OwnFile],
}

impl ProxyKind {
    /// All templates that its files are made from.
    pub fn templates(&self) -> impl Iterator<Item = &'static str> {
        let own = self.own_files.iter().map(|own| own.template);
        own.chain([self.site_template, self.mark_template])
    }
}

/// A file that a consumer gets once, whatever its sites are.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnFile {
    /// The file's name.
    pub file: &'static str,
    /// Its template.
    pub template: &'static str,
    /// The condition under which the file is there.
    pub needed: Needed,
    /// When it comes.
    pub comes: Comes,
    /// True if the file names the certificate for clients that send no name.
    pub names_certificate: bool,
    /// The words about a server that refuses the file, where some servers are known to and it does no harm.
    pub excuse: Option<&'static str>,
    /// The remedy for a server that refuses the file, where more is known than that its configuration is in the way.
    /// The file is tried again once the server was started anew.
    pub remedy: Option<&'static str>,
}

/// When a file is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Always.
    Always,
    /// When a name that it serves, or answers challenges for, is longer than this.
    ForNamesLongerThan(usize),
    /// Where a gate can be had.
    ForGates,
    /// Where its networks give it an IPv6 address.
    ForIpv6,
}

impl Needed {
    /// True if this proxy needs the file. A file that it has already stays as long as that is not known.
    pub fn by(self, consumer: &Consumer, proxy: &Proxy, is_there: bool) -> bool {
        match self {
            Self::Always => true,
            Self::ForGates => proxy.guard == Guard::Gate,
            Self::ForIpv6 => proxy.has_ipv6.unwrap_or(is_there),
            Self::ForNamesLongerThan(length) => consumer
                .sites
                .keys()
                .chain(&consumer.answers)
                .any(|host| host.as_str().len() > length),
        }
    }
}

/// In which order changes are brought. What may clash with the user's own configuration, because a server takes it only
/// once, comes alone, so that a refusal harms nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comes {
    /// Before sites, because some of them need it.
    First,
    /// With the sites.
    WithSites,
    /// When everything else is at rest.
    Last,
}

const OWN_DEFAULT: &str = "has a default server of its own, which stays";
const WITHOUT_WEBDAV: &str = "was built without its WebDAV module, so after a start it sends requests to the previous \
                              addresses until quaymaster has looked";

const GATE_FILE: &str = "quaymaster--gate.conf";
const IPV6_FILE: &str = "quaymaster--ipv6.conf";

/// `nginx -t` takes `ipv6only=off` beside a server that listens on the same port over IPv4; the reload then fails.
const IPV6_IN_THE_WAY: &str = "take `ipv6only=off` out of the lines `listen` of its own configuration, or end what else \
                               listens on its ports over IPv6, and start it again; until then its sites are served over \
                               IPv4 alone";

/// Every kind there is.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "nginx",
        doc: "nginx with `include …/conf.d/*.conf` in its `http` block, as Debian's package and the official image have it",
        fallback: false,
        proxy: Some(NGINX),
        files: None,
        layout: "certbot",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &["nginx", "-s", "reload"],
        check: &["nginx", "-t"],
        check_refuses: "[emerg]",
        probes: &[],
        probes_at_start: &[],
        shows_by_name: true,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "haproxy",
        doc: "haproxy in master-worker mode (`haproxy -W`), as the official image runs it, with `bind … ssl crt FOLDER/ \
              strict-sni`, without which it does not start before the first certificate is there",
        fallback: true,
        proxy: None,
        files: Some("/usr/local/etc/haproxy/certs"),
        layout: "combined",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &[],
        check: &["haproxy", "-c", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
        check_refuses: "[ALERT]",
        probes: &[tls(443)],
        probes_at_start: &[],
        shows_by_name: true,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "mosquitto",
        doc: "mosquitto with `certfile` and `keyfile` in its files; with the label config it gets a default mosquitto.conf, \
              as long as there is none of yours",
        fallback: true,
        proxy: None,
        files: Some("/mosquitto/certs"),
        layout: "flat",
        owner: Some(Owner {
            user: 1883,
            group: Some(1883),
        }),
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &[],
        check: &[],
        check_refuses: "",
        probes: &[tls(8883)],
        // Its websockets with libwebsockets: seen with 2.0.21.
        probes_at_start: &[tls(8083)],
        shows_by_name: false,
        default_file: Some(&MOSQUITTO_CONF),
        helper: None,
    },
    Kind {
        name: "express-gateway",
        doc: "Express Gateway with `key`, `cert` and `ca` under `https: tls:`",
        fallback: true,
        proxy: None,
        files: Some("/var/lib/certs"),
        layout: "certbot",
        owner: Some(Owner {
            user: 1000,
            group: None,
        }),
        reload: KindReload::Restart,
        reload_words: &[],
        check: &[],
        check_refuses: "",
        probes: &[tls(443), tls(9443)],
        probes_at_start: &[],
        shows_by_name: false,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "postfix",
        doc: "postfix, run by `postfix start-fg`, with privkey.pem and fullchain.pem in `smtpd_tls_chain_files`, or before \
              postfix 3.4 in `smtpd_tls_key_file` and `smtpd_tls_cert_file`",
        fallback: false,
        proxy: None,
        files: Some("/etc/postfix/certs"),
        layout: "flat",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &["postfix", "reload"],
        check: &["postfix", "check"],
        check_refuses: "fatal",
        probes: &[
            at(587, Protocol::Smtp),
            at(25, Protocol::Smtp),
            at(465, Protocol::Smtps),
        ],
        probes_at_start: &[],
        shows_by_name: false,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "dovecot",
        doc: "dovecot, run by `dovecot -F`, with `ssl_cert = <FOLDER/fullchain.pem` and `ssl_key = <FOLDER/privkey.pem`, \
              without which it does not start",
        fallback: true,
        proxy: None,
        files: Some("/etc/dovecot/certs"),
        layout: "flat",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &["doveadm", "reload"],
        check: &["doveconf", "-n"],
        check_refuses: "Fatal",
        probes: &[
            at(143, Protocol::Imap),
            at(993, Protocol::Imaps),
            at(110, Protocol::Pop3),
            at(995, Protocol::Pop3s),
        ],
        probes_at_start: &[],
        shows_by_name: false,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "prosody",
        doc: "prosody with `certificates` set to its folder, as it is by default; it starts without any",
        fallback: false,
        proxy: None,
        files: Some("/etc/prosody/certs"),
        layout: "certbot",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &["prosodyctl", "reload"],
        check: &[],
        check_refuses: "",
        probes: &[at(5222, Protocol::Xmpp), tls(5223)],
        probes_at_start: &[],
        shows_by_name: true,
        default_file: None,
        helper: None,
    },
    Kind {
        name: "certbot",
        doc: "a helper that runs certbot: it obtains certificates in quaymaster's place, by the lines of a list that \
              quaymaster writes into its folder `config`",
        fallback: false,
        proxy: None,
        files: None,
        layout: "certbot",
        owner: None,
        reload: KindReload::Signal(Signal::HUP),
        reload_words: &[],
        check: &[],
        check_refuses: "",
        probes: &[],
        probes_at_start: &[],
        shows_by_name: true,
        default_file: None,
        helper: Some(HelperKind {
            config: "/etc/certbot-helper",
            list: "updates.list",
            certificates: "/etc/letsencrypt",
        }),
    },
    Kind {
        name: GENERIC,
        doc: "any other server that reads certificates; what has the label `use` and no `kind` is one. Its labels say \
              where they go, and how it is reloaded",
        fallback: false,
        proxy: None,
        files: None,
        layout: "certbot",
        owner: None,
        reload: KindReload::Nothing,
        reload_words: &[],
        check: &[],
        check_refuses: "",
        probes: &[],
        probes_at_start: &[],
        shows_by_name: true,
        default_file: None,
        helper: None,
    },
];

/// The kind of what uses certificates and says nothing of its kind.
pub(super) const GENERIC: &str = "generic";

const fn tls(port: u16) -> ProbePort {
    at(port, Protocol::Tls)
}

const fn at(port: u16, protocol: Protocol) -> ProbePort {
    ProbePort { port, protocol }
}

const MOSQUITTO_CONF: DefaultFile = DefaultFile {
    file: "mosquitto.conf",
    template: "mosquitto/mosquitto.conf",
    comment: "#",
    password_file: "passwd",
    acl_file: "acl",
};

const NGINX: ProxyKind = ProxyKind {
    config: "/etc/nginx/conf.d",
    comment: "#",
    site_template: "nginx/site.conf",
    mark_file: "quaymaster--mark.conf",
    mark_template: "nginx/mark.conf",
    ipv6_file: Some(IPV6_FILE),
    gate_file: Some(GATE_FILE),
    own_files: &[
        OwnFile {
            file: "quaymaster--names.conf",
            template: "nginx/names.conf",
            // The default `server_names_hash_bucket_size` of 64 refuses the whole configuration over one longer name.
            needed: Needed::ForNamesLongerThan(46),
            comes: Comes::First,
            names_certificate: false,
            excuse: None,
            remedy: None,
        },
        // It sorts before all sites: nginx takes the first server of a port for names that none has.
        OwnFile {
            file: "quaymaster--base.conf",
            template: "nginx/base.conf",
            needed: Needed::Always,
            comes: Comes::WithSites,
            names_certificate: true,
            excuse: None,
            remedy: None,
        },
        // An nginx that was built without its WebDAV module refuses this, and it alone.
        OwnFile {
            file: GATE_FILE,
            template: "nginx/open-gate.conf",
            needed: Needed::ForGates,
            comes: Comes::Last,
            names_certificate: false,
            excuse: Some(WITHOUT_WEBDAV),
            remedy: None,
        },
        // It comes before any site listens on IPv6: what is in the way of that would be in the way of all of them.
        OwnFile {
            file: IPV6_FILE,
            template: "nginx/ipv6.conf",
            needed: Needed::ForIpv6,
            comes: Comes::Last,
            names_certificate: false,
            excuse: None,
            remedy: Some(IPV6_IN_THE_WAY),
        },
        OwnFile {
            file: "quaymaster--unknown-http.conf",
            template: "nginx/unknown-http.conf",
            needed: Needed::Always,
            comes: Comes::Last,
            names_certificate: false,
            excuse: Some(OWN_DEFAULT),
            remedy: None,
        },
        OwnFile {
            file: "quaymaster--unknown-https.conf",
            template: "nginx/unknown-https.conf",
            needed: Needed::Always,
            comes: Comes::Last,
            names_certificate: true,
            excuse: Some(OWN_DEFAULT),
            remedy: None,
        },
    ],
};

/// The row of that name.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
