//! The rows of the settings table.

use super::{
    Settings, notify, outputs,
    values::{
        deletion, domain, duration, fallback, fallback_days, filled, folder, is_json, label_prefix,
        listening, names, resync, server, set, some_words, truth,
    },
};
use crate::values::{
    Block, CertificateName, ChallengeTypeError, DnsNames, Grants, GrantsError, Host, KeyAccess,
    KeyTypeError, MetricSet, NameError, Owner, ProfileError, VariableNames, email,
};

/// The beginning of each variable that is a setting.
pub(super) const VARIABLES: &str = "QUAYMASTER_";

/// One setting: a row of the settings table, or of the table of one thing that has a name.
pub struct SettingRow<T = Settings> {
    /// Its name, as in `--name`; the variable is `QUAYMASTER_NAME`, the key in the file is the name.
    pub name: &'static str,
    /// The values that may be written, as in `--name VALUE`.
    pub value: &'static str,
    /// The default, which is read by the row's own reader.
    pub default: DefaultValue,
    /// The meaning, in words.
    pub doc: &'static str,
    /// A value that works.
    pub example: &'static str,
    pub(super) read: fn(&mut T, &str) -> Result<(), String>,
}

impl SettingRow {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        let name = self.name.replace('-', "_").to_ascii_uppercase();
        format!("{VARIABLES}{name}")
    }
}

/// The value that counts when nothing is written.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// This value.
    Value(&'static str),
    /// Nothing; in words what happens then.
    Words(&'static str),
}

/// The syntax of a setting that is a table in the file.
pub(super) const TABLE: &str = "TABLE";
/// The syntax of one that is tables in the file, whose text is shown nowhere: there may be secrets in it.
pub(super) const SECRET_TABLES: &str = "TABLES";

/// Every setting there is.
pub const SETTINGS: &[SettingRow] = &[
    SettingRow {
        name: "engine",
        value: "ADDRESS",
        default: DefaultValue::Words("DOCKER_HOST, else the local socket"),
        doc: "where the Docker API is; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are honoured for tcp; further engines: [engine.NAME]",
        example: "unix:///var/run/docker.sock",
        read: |settings, value| set(&mut settings.engine, filled(value).map(Some)),
    },
    SettingRow {
        name: "certificates",
        value: "FOLDER",
        default: DefaultValue::Words("/certificates if mounted, else certificates/ in state"),
        doc: "folder with live/, archive/ and provided/",
        example: "/certificates",
        read: |settings, value| set(&mut settings.certificates, folder(value).map(Some)),
    },
    SettingRow {
        name: "state",
        value: "FOLDER",
        default: DefaultValue::Value("/state"),
        doc: "private folder: accounts, orders, attempts, what was deployed; mounted by nobody else",
        example: "/state",
        read: |settings, value| set(&mut settings.state, folder(value)),
    },
    SettingRow {
        name: "webroot",
        value: "FOLDER",
        default: DefaultValue::Words(
            "/challenge if mounted, else a folder inside each proxy's config folder",
        ),
        doc: "shared folder in which .well-known/acme-challenge/TOKEN appears",
        example: "/challenge",
        read: |settings, value| set(&mut settings.webroot, folder(value).map(Some)),
    },
    SettingRow {
        name: "listen-http",
        value: "ADDRESS:PORT",
        default: DefaultValue::Words("none: the proxies answer challenges"),
        doc: "where quaymaster itself answers challenges over plain HTTP, and nothing else: for a machine without a web \
              server, or for one that passes /.well-known/acme-challenge/ on. The CA asks at port 80 of the name",
        example: "0.0.0.0:80",
        read: |settings, value| set(&mut settings.listen_http, listening(value).map(Some)),
    },
    SettingRow {
        name: "thumbprint",
        value: "BOOL",
        default: DefaultValue::Value("off"),
        doc: "a server of yours answers challenges by the thumbprint of the account's key (`quaymaster account CA` \
              shows it), so no file has to be put in place for an order. It answers for that account only",
        example: "on",
        read: |settings, value| set(&mut settings.thumbprint, truth(value)),
    },
    SettingRow {
        name: "listen",
        value: "ADDRESS:PORT",
        default: DefaultValue::Words("none"),
        doc: "where watch shows a page for people, /metrics, /status.json, /healthz and /readyz, to be looked at by whoever \
              reaches it, without a password: publish the port on 127.0.0.1 alone, or put a proxy with a password before it",
        example: "0.0.0.0:9180",
        read: |settings, value| set(&mut settings.listen, listening(value).map(Some)),
    },
    SettingRow {
        name: "listen-names",
        value: "NAMES",
        default: DefaultValue::Words("addresses, and names without a dot"),
        doc: "further names under which the page of listen is asked for, separated by commas or blanks",
        example: "status.shop.example",
        read: |settings, value| set(&mut settings.listen_names, names(value)),
    },
    SettingRow {
        name: "metrics-also",
        value: "WORDS",
        default: DefaultValue::Words("our own metrics alone"),
        doc: "metrics under the names of other tools, so that their dashboards and alerts work: cert-manager, x509 (of \
              x509-certificate-exporter), separated by commas or blanks",
        example: "cert-manager x509",
        read: |settings, value| set(&mut settings.metrics_also, MetricSet::read_all(value)),
    },
    SettingRow {
        name: "names",
        value: "NAMES",
        default: DefaultValue::Words("none: labels say which"),
        doc: "names that each get a certificate although no container asks for them, separated by commas or blanks: \
              for servers that are not containers and read live/NAME/. If a label asks for one of these names, too, \
              its options count",
        example: "mail.example.org, db.example.org",
        read: |settings, value| set(&mut settings.names, names(value)),
    },
    SettingRow {
        name: "owner",
        value: "USER[:GROUP]",
        default: DefaultValue::Words("the user that quaymaster runs as"),
        doc: "numbers of the user and the group that the keys in live/ belong to, for servers that read them there. Files \
              that are delivered have a label of this name",
        example: "100:101",
        read: |settings, value| {
            let owner = Owner::parse(value).ok_or_else(|| Owner::NO_OWNER.to_owned());
            set(&mut settings.keys.owner, owner.map(Some))
        },
    },
    SettingRow {
        name: "mode",
        value: "MODE",
        default: DefaultValue::Words("0600"),
        doc: "mode of the keys in live/, in octal digits, that lets nobody but owner and group read",
        example: "0640",
        read: |settings, value| {
            let mode = KeyAccess::mode_of(value).map_err(str::to_owned);
            set(&mut settings.keys.mode, mode.map(Some))
        },
    },
    SettingRow {
        name: "templates",
        value: "FOLDER",
        default: DefaultValue::Words("none"),
        doc: "your templates: a file there replaces the built-in one of the same name, and is watched",
        example: "/templates",
        read: |settings, value| set(&mut settings.templates, folder(value).map(Some)),
    },
    SettingRow {
        name: "outputs",
        value: TABLE,
        default: DefaultValue::Words("none"),
        doc: "your own files that watch keeps up to date from your own templates, and the containers that are reloaded \
              then: tables [outputs.NAME] in the file, variables such as QUAYMASTER_OUTPUTS__NAME__TEMPLATE, or lines \
              of TOML elsewhere",
        example: "hosts = { template = \"/templates/hosts.tmpl\", target = \"/shared/hosts\" }",
        read: |settings, value| set(&mut settings.outputs, outputs::of_text(value)),
    },
    SettingRow {
        name: "notify",
        value: SECRET_TABLES,
        default: DefaultValue::Words("none"),
        doc: "receivers of notifications, by HTTP or by your own command: tables [notify.NAME] in the file, or \
              variables such as QUAYMASTER_NOTIFY__NAME__URL",
        example: "phone = { url = \"https://ntfy.sh/TOPIC\", format = \"ntfy\" }",
        read: |settings, value| set(&mut settings.notify, notify::of_text(value)),
    },
    SettingRow {
        name: "template-env",
        value: "NAMES",
        default: DefaultValue::Words("none"),
        doc: "variables of containers, and of quaymaster itself, that templates of outputs see, separated by commas or \
              blanks; * stands for any characters, and can't stand alone",
        example: "VIRTUAL_HOST, PUBLIC_*",
        read: |settings, value| set(&mut settings.template_env, VariableNames::parse(value)),
    },
    SettingRow {
        name: "label-prefix",
        value: "WORD",
        default: DefaultValue::Value("quaymaster"),
        doc: "the prefix of quaymaster's labels, for a second instance side by side",
        example: "quaymaster",
        read: |settings, value| set(&mut settings.label_prefix, label_prefix(value)),
    },
    SettingRow {
        name: "dialects",
        value: "WORD…",
        default: DefaultValue::Words("native, then your own tables"),
        doc: "whose labels are read, the strongest first: native (quaymaster's own), and those of other tools. A table \
              [dialects.NAME] in the file has the names of your own labels; beside such tables this is called \
              dialects.order",
        example: "native virtual-host",
        read: |settings, value| set(&mut settings.dialects, some_words(value).map(Some)),
    },
    SettingRow {
        name: "default-domain",
        value: "DOMAIN",
        default: DefaultValue::Words("none"),
        doc: "completes names of labels that have no dot: with it, shop is shop.example.org",
        example: "example.org",
        read: |settings, value| {
            let domain = domain(value).map(Some);
            set(&mut settings.default_domain, domain)
        },
    },
    SettingRow {
        name: "self",
        value: "CONTAINER",
        default: DefaultValue::Words("found out"),
        doc: "quaymaster's own container, by name or id, if it can't be found out",
        example: "stack-quaymaster-1",
        read: |settings, value| set(&mut settings.own, filled(value).map(Some)),
    },
    SettingRow {
        name: "ca",
        value: "NAME|URL",
        default: DefaultValue::Value("letsencrypt"),
        doc: "who issues certificates, if no label says otherwise: a CA's name or the URL of its directory, or several \
              of them, of which the next is asked when the first fails; self-signed (made here, with no terms to agree \
              to), or none (those that are provided serve). Beside tables [ca.NAME] in the file it is called \
              ca.default",
        example: "staging",
        read: |settings, value| {
            let issuers = settings.cas.of_setting(value);
            set(&mut settings.ca, issuers.map_err(|error| error.to_string()))
        },
    },
    SettingRow {
        name: "ca-root",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "PEM file whose roots are trusted in addition to the usual ones when the CA is asked. It is asked through \
              the proxy that the variables HTTPS_PROXY and NO_PROXY name, unless it is on this machine or its name has \
              no dot",
        example: "/pebble/ca.pem",
        read: |settings, value| set(&mut settings.ca_root, folder(value).map(Some)),
    },
    SettingRow {
        name: "agree-tos",
        value: "BOOL",
        default: DefaultValue::Value("false"),
        doc: "you agree to the terms of service of the CAs that the setting ca names; required before the first order. \
              CAs that only labels choose have agree-tos in their tables [ca.NAME]",
        example: "true",
        read: |settings, value| set(&mut settings.agree_tos, truth(value)),
    },
    SettingRow {
        name: "email",
        value: "ADDRESS",
        default: DefaultValue::Words("none"),
        doc: "where the CA may write to; optional",
        example: "admin@shop.example",
        read: |settings, value| set(&mut settings.email, email(value).map(Some)),
    },
    SettingRow {
        name: "challenge",
        value: "TYPE",
        default: DefaultValue::Value("http-01"),
        doc: "how the CA validates names, if no label says otherwise: http-01 at port 80, or dns-01 by a TXT record",
        example: "dns-01",
        read: |settings, value| {
            set(
                &mut settings.challenge,
                value
                    .parse()
                    .map_err(|error: ChallengeTypeError| error.to_string()),
            )
        },
    },
    SettingRow {
        name: "dns",
        value: "NAME",
        default: DefaultValue::Words("the only table [dns.NAME], where there is one alone"),
        doc: "the table [dns.NAME] by which the TXT records of dns-01 are set, if no label says otherwise. Beside \
              these tables in the file it is called dns.default",
        example: "home",
        read: |settings, value| set(&mut settings.dns, DnsNames::read_name(value).map(Some)),
    },
    SettingRow {
        name: "self-check",
        value: "BOOL",
        default: DefaultValue::Value("on"),
        doc: "before a CA is asked, look each name up and fetch a test response under it at port 80: problems are \
              reported at once, and use up none of the CA's limits. For public CAs, and for any CA if resolver is set. \
              Write off if something else answers inside your network than outside",
        example: "off",
        read: |settings, value| set(&mut settings.self_check, truth(value)),
    },
    SettingRow {
        name: "resolver",
        value: "HOST[:PORT]",
        default: DefaultValue::Words("the system's"),
        doc: "the DNS server for looking up names as the CA would see them: write a public one if your network has its \
              own names, or the DNS server of a private CA to have names checked before that CA is asked",
        example: "9.9.9.9",
        read: |settings, value| set(&mut settings.resolver, server(value).map(Some)),
    },
    SettingRow {
        name: "key-type",
        value: "TYPE",
        default: DefaultValue::Value("ec-256"),
        doc: "the type of certificates' keys, if no label says otherwise: ec-256, ec-384, rsa-2048, rsa-3072 or rsa-4096",
        example: "rsa-2048",
        read: |settings, value| {
            set(
                &mut settings.key_type,
                value
                    .parse()
                    .map_err(|error: KeyTypeError| error.to_string()),
            )
        },
    },
    SettingRow {
        name: "profile",
        value: "WORD",
        default: DefaultValue::Words("none: what the CA issues by default"),
        doc: "the CA's word for the kind of certificate that it is asked for, if no label says otherwise, with or \
              without `required` behind it",
        example: "shortlived",
        read: |settings, value| {
            let read = value.parse().map(Some);
            set(
                &mut settings.profile,
                read.map_err(|error: ProfileError| error.to_string()),
            )
        },
    },
    SettingRow {
        name: "master",
        value: "NAME",
        default: DefaultValue::Words("none: names that no certificate covers are refused"),
        doc: "the name whose certificate is used for names that no valid certificate covers. The certificate of the \
              nearest name above takes precedence, such as that of shop.example for a.shop.example. Browsers warn \
              about such certificates, and are not redirected to https by them",
        example: "example.org",
        read: |settings, value| {
            let host = Host::parse(value).map_err(|error| error.to_string());
            set(&mut settings.master, host.map(Some))
        },
    },
    SettingRow {
        name: "default-certificate",
        value: "NAME",
        default: DefaultValue::Words("none: names that no certificate covers are refused"),
        doc: "the certificate for names that no certificate covers, if neither a name above nor the master has one, \
              and for clients that send no name. A label of the same name on a proxy takes precedence",
        example: "corp",
        read: |settings, value| {
            let name = CertificateName::parse(value)
                .map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut settings.default_certificate, name.map(Some))
        },
    },
    SettingRow {
        name: "strict-parents",
        value: "BOOL",
        default: DefaultValue::Value("false"),
        doc: "serve a name without a certificate of its own with the certificate of the nearest name above, even if \
              only a wildcard covers the name",
        example: "true",
        read: |settings, value| set(&mut settings.strict_parents, truth(value)),
    },
    SettingRow {
        name: "provided-password-file",
        value: "FILE",
        default: DefaultValue::Words("none: a file password beside a key opens it"),
        doc: "file with the password that opens those of your keys that have no file password beside them; it is read \
              again each time",
        example: "/run/secrets/key-password",
        read: |settings, value| {
            set(
                &mut settings.provided_password_file,
                folder(value).map(Some),
            )
        },
    },
    SettingRow {
        name: "fallback",
        value: "by-kind|on|off",
        default: DefaultValue::Value("by-kind"),
        doc: "which names get a self-signed certificate at once, until there is a better one: by-kind: names of \
              servers that can't start without one; on: all names, including those of the setting names; off: none. \
              Browsers warn about it, and are not redirected to https by it. Unless off, a self-signed certificate \
              also replaces a default-certificate that can't be used",
        example: "on",
        read: |settings, value| set(&mut settings.fallback, fallback(value)),
    },
    SettingRow {
        name: "fallback-days",
        value: "DAYS",
        default: DefaultValue::Value("365"),
        doc: "how many days self-signed certificates are valid, including those of ca=self-signed, from 1 to 3650; \
              they are renewed in good time. Some clients refuse certificates that are valid for more than 825 days",
        example: "90",
        read: |settings, value| set(&mut settings.self_signed_life, fallback_days(value)),
    },
    SettingRow {
        name: "resync",
        value: "TIME",
        default: DefaultValue::Value("1h"),
        doc: "the longest rest before everything is looked at again, from 1s to 1day",
        example: "15m",
        read: |settings, value| set(&mut settings.resync, resync(value)),
    },
    SettingRow {
        name: "warn-before",
        value: "TIME",
        default: DefaultValue::Words("a sixth of the certificate's life, at most 14days"),
        doc: "how long before it expires a certificate that is served and has no successor leads to a warning: in the \
              log, in status and by the exit code of once",
        example: "7days",
        read: |settings, value| set(&mut settings.warn_before, duration(value).map(Some)),
    },
    SettingRow {
        name: "archive-after",
        value: "TIME",
        default: DefaultValue::Value("30d"),
        doc: "how long a certificate that quaymaster obtained stays in live/ after a label last asked for it",
        example: "7d",
        read: |settings, value| set(&mut settings.archive_after, duration(value)),
    },
    SettingRow {
        name: "delete-after",
        value: "TIME",
        default: DefaultValue::Value("365d"),
        doc: "how long after a label last asked for it an archived certificate is deleted, at least 1day",
        example: "90d",
        read: |settings, value| set(&mut settings.delete_after, deletion(value)),
    },
    SettingRow {
        name: "trusted-proxies",
        value: "BLOCKS",
        default: DefaultValue::Words("none: clients are who connects"),
        doc: "addresses or blocks of proxies before yours (a load balancer, a CDN): the client's address is taken from \
              their X-Forwarded-For, and their X-Forwarded-Proto and -Port count as how the client asked: for tls, \
              redirects and hsts, and for what apps are passed. What all others say is replaced",
        example: "10.0.0.0/8",
        read: |settings, value| set(&mut settings.trusted_proxies, Block::parse_all(value)),
    },
    SettingRow {
        name: "grants",
        value: TABLE,
        default: DefaultValue::Words("hosts: anybody; proxies: of our own Compose project"),
        doc: "who may ask for what; only what stands there is allowed then. Keys are Compose projects, optionally /service; \
              values are hosts (*.shop.example is every name below shop.example, * any host) and rights: proxy (being one), \
              keys, exec, restart, copy. A table [grants] in the file, lines of TOML elsewhere",
        example: "shop = \"shop.example *.shop.example\"",
        read: |settings, value| {
            set(
                &mut settings.grants,
                Grants::parse(value)
                    .map(Some)
                    .map_err(|error: GrantsError| error.to_string()),
            )
        },
    },
    SettingRow {
        name: "log",
        value: "FILTER",
        default: DefaultValue::Value("info"),
        doc: "what is logged: error, warn, info, debug, trace or off; also for a part of the program alone",
        example: "info,quaymaster::adapters=debug",
        read: |settings, value| set(&mut settings.log, filled(value)),
    },
    SettingRow {
        name: "log-format",
        value: "text|json",
        default: DefaultValue::Value("text"),
        doc: "how the log is written. As JSON, each line of an event has its name (event) and an object of its fields (fields), named and written as in status.json, lengths of time in seconds",
        example: "json",
        read: |settings, value| set(&mut settings.log_json, is_json(value)),
    },
];
