//! The rows of the label table.

use std::collections::BTreeSet;

use super::{
    super::{
        kinds::{KINDS, kind},
        spec::{HealthUse, Path, Scheme, Tls},
    },
    LabelRow, Reader,
    values::{
        buffers, file, folder, hsts, one_of, port, realm, reload, served_path, set, size, text,
        timeout, truth, words_of,
    },
    words,
};
use crate::values::{
    Block, CaError, CertificateName, ChallengeTypeError, DnsNames, IssuerNames, KeyAccess,
    KeyTypeError, Layout, NameError, Owner, ProbePort, ProfileError, email, exec_words,
};

/// Every label there is.
pub const LABELS: &[LabelRow] = &[
    LabelRow {
        key: "host",
        syntax: "hosts, separated by commas or blanks",
        default: "none: the container is not served",
        doc: "what this container answers for: host names (international ones too), wildcards such as *.shop.example, \
              which get what no other site claims, and IP addresses. Each gets a site on the proxies that share a \
              network with it, and a certificate of its own",
        example: "shop.example, www.shop.example",
        read: Reader::Names(|site, host| {
            if !host.is_wildcard() {
                site.first.get_or_insert_with(|| host.clone());
            }
            site.hosts.insert(host);
        }),
    },
    LabelRow {
        key: "port",
        syntax: "1 to 65535",
        default: "the only exposed TCP port, else 80 if it is exposed",
        doc: "port in the container that the proxy talks to",
        example: "8080",
        read: Reader::Site(|site, value| set(&mut site.port, port(value))),
    },
    LabelRow {
        key: "path",
        syntax: "a path of plain segments",
        default: "/",
        doc: "serves only this part of the host, in whole segments: /api is /api and /api/…, not /apix; the longest \
              wins. Passed on unchanged. Containers with the same host and path share the load. Challenges are answered \
              on each host, so /.well-known/acme-challenge can't be served",
        example: "/api",
        read: Reader::Site(|site, value| set(&mut site.path, served_path(value))),
    },
    LabelRow {
        key: "strip",
        syntax: "true or false",
        default: "false",
        doc: "passes requests on without the path",
        example: "true",
        read: Reader::Site(|site, value| set(&mut site.strip, truth(value))),
    },
    LabelRow {
        key: "upstream-path",
        syntax: "a path of plain segments",
        default: "none",
        doc: "passes requests on with this in place of the path",
        example: "/v2",
        read: Reader::Site(|site, value| {
            set(&mut site.upstream_path, Path::parse(value).map(Some))
        }),
    },
    LabelRow {
        key: "scheme",
        syntax: "http, https, grpc or grpcs",
        default: "http",
        doc: "how the proxy talks to the container; https and grpcs accept any certificate",
        example: "https",
        read: Reader::Site(|site, value| set(&mut site.scheme, one_of(Scheme::WORDS, value))),
    },
    LabelRow {
        key: "tls",
        syntax: "redirect, both, only or off",
        default: "redirect",
        doc: "redirect: HTTP redirects to HTTPS; both: HTTP is served, too; only: HTTP gets 404; off: no HTTPS and no \
              certificate. Until the certificate is there, redirect and only answer 503",
        example: "both",
        read: Reader::Site(|site, value| set(&mut site.tls, one_of(Tls::WORDS, value))),
    },
    LabelRow {
        key: "hsts",
        syntax: "a length of time in s, m, h, d, w or y, then perhaps include-subdomains and preload",
        default: "none",
        doc: "how long browsers shall insist on https (Strict-Transport-Security); include-subdomains: for all names below \
              it, too; preload: browsers may know it beforehand, which needs include-subdomains and 1y or more",
        example: "1y include-subdomains",
        read: Reader::Site(|site, value| set(&mut site.hsts, hsts(value).map(Some))),
    },
    LabelRow {
        key: "body-size",
        syntax: "a number with k, m or g; 0 for no limit",
        default: "what the proxy has, 1m in nginx",
        doc: "the largest request that is passed on",
        example: "10m",
        read: Reader::Site(|site, value| set(&mut site.body_size, size(value).map(Some))),
    },
    LabelRow {
        key: "timeout",
        syntax: "a length of time in s, m, h or d, from 1s to 7d",
        default: "what the proxy has, 60s in nginx",
        doc: "how long the proxy waits for the container to send more of an answer, or to accept more of a request",
        example: "300s",
        read: Reader::Site(|site, value| set(&mut site.timeout, timeout(value).map(Some))),
    },
    LabelRow {
        key: "buffers",
        syntax: "a number with k or m, from 4k to 1m",
        default: "what the proxy has, 4k or 8k in nginx",
        doc: "how large the headers of an answer may be; the proxy needs about eight times as much memory for each \
              request",
        example: "32k",
        read: Reader::Site(|site, value| set(&mut site.buffers, buffers(value).map(Some))),
    },
    LabelRow {
        key: "health",
        syntax: "check or ignore",
        default: "check: the container gets no requests while its health check fails",
        doc: "ignore: it gets requests whatever its health check says",
        example: "ignore",
        read: Reader::Site(|site, value| set(&mut site.health, one_of(HealthUse::WORDS, value))),
    },
    LabelRow {
        key: "auth",
        syntax: "an absolute path",
        default: "none",
        doc: "asks for a password from this htpasswd file (its path inside the proxy). While the file is missing, \
              nginx lets nobody in (403), and its log says so; `status` says so, too, if quaymaster mounts that folder",
        example: "/etc/nginx/htpasswd",
        read: Reader::Site(|site, value| set(&mut site.auth, file(value).map(Some))),
    },
    LabelRow {
        key: "auth-realm",
        syntax: "a text without $, quotes and backslashes",
        default: "the host name",
        doc: "what the password is asked for",
        example: "Staff",
        read: Reader::Site(|site, value| set(&mut site.auth_realm, realm(value).map(Some))),
    },
    LabelRow {
        key: "allow",
        syntax: "addresses or blocks, separated by commas or blanks",
        default: "everybody",
        doc: "the only clients that may ask; everybody else gets 403. Challenges are answered for all",
        example: "10.0.0.0/8",
        // An empty list would let everybody in.
        read: Reader::Site(|site, value| set(&mut site.allow, Block::parse_all(value))),
    },
    LabelRow {
        key: "redirect",
        syntax: "hosts, separated by commas or blanks",
        default: "none",
        doc: "further names that are sent to the first host, each with a certificate of its own",
        example: "www.shop.example",
        read: Reader::Names(|site, host| {
            site.redirects.insert(host);
        }),
    },
    LabelRow {
        key: "certificate",
        syntax: "a name of letters, digits, `.`, `_` and `-`",
        default: "none: each host has a certificate of its own, so that a dead name harms only itself",
        doc: "puts the site's hosts, those of redirect too, on one certificate of this name; containers of one Compose \
              project that name it add up, to at most 100 names",
        example: "shop",
        read: Reader::Site(|site, value| {
            let name = CertificateName::parse(value)
                .map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut site.wish.certificate, name.map(Some))
        }),
    },
    LabelRow {
        key: "names",
        syntax: "hosts, separated by commas or blanks",
        default: "none",
        doc: "further names on the site's certificate, which are not served here; the CA's challenges for them are \
              answered. With several hosts, certificate has to say which one is meant. A site of the same Compose project that \
              serves one of them, and has no label about its certificate, is served this one and orders none of its own",
        example: "mail.shop.example",
        read: Reader::Names(|site, host| {
            site.names.insert(host);
        }),
    },
    LabelRow {
        key: "ca",
        syntax: "names of presets or of tables [ca.NAME], self-signed or none",
        default: "the setting ca",
        doc: "who issues the certificate: letsencrypt, staging, zerossl, google, google-staging, sslcom, sslcom-rsa, \
              actalis, self-signed (made by quaymaster on purpose, so it counts as trusted), or none (only a provided \
              certificate is served). In a list of several CAs, the next is asked when the first fails, but never for \
              a name that a CA could not validate. If the present certificate is from none of them, another one is \
              obtained at once; staging replaces a trusted certificate only when that is about to expire",
        example: "staging",
        read: Reader::Site(|site, value| {
            set(
                &mut site.wish.issuers,
                IssuerNames::of_label(value)
                    .map(Some)
                    .map_err(|error: CaError| error.to_string()),
            )
        }),
    },
    LabelRow {
        key: "challenge",
        syntax: "http-01 or dns-01",
        default: "dns-01 where the label dns is there, else the setting challenge",
        doc: "how the CA validates the names: at port 80, or by a TXT record in DNS, which a wildcard needs",
        example: "dns-01",
        read: Reader::Site(|site, value| {
            let read = value
                .parse()
                .map(Some)
                .map_err(|error: ChallengeTypeError| error.to_string());
            set(&mut site.wish.challenge, read)
        }),
    },
    LabelRow {
        key: "dns",
        syntax: "NAME",
        default: "the setting dns",
        doc: "the table [dns.NAME] of the settings by which the TXT records of dns-01 are set",
        example: "home",
        read: Reader::Site(|site, value| {
            set(&mut site.wish.dns, DnsNames::read_name(value).map(Some))
        }),
    },
    LabelRow {
        key: "key-type",
        syntax: "ec-256, ec-384, rsa-2048, rsa-3072 or rsa-4096",
        default: "the setting key-type",
        doc: "the type of the certificate's key; a new certificate is obtained at once when it changes",
        example: "rsa-2048",
        read: Reader::Site(|site, value| {
            let read = value
                .parse()
                .map(Some)
                .map_err(|error: KeyTypeError| error.to_string());
            set(&mut site.wish.key_type, read)
        }),
    },
    LabelRow {
        key: "profile",
        syntax: "a word of the CA's, with or without `required` behind it",
        default: "the setting profile",
        doc: "the kind of certificate that the CA is asked for; a change leads to a new order. If the CA does not \
              offer the profile, the certificate has the CA's default profile, and the log says so; with `required`, \
              nothing is ordered then",
        example: "shortlived",
        read: Reader::Site(|site, value| {
            let read = value
                .parse()
                .map_err(|error: ProfileError| error.to_string());
            set(&mut site.wish.profile, read.map(Some))
        }),
    },
    LabelRow {
        key: "pin",
        syntax: "the name of a certificate",
        default: "none: the best one that covers the host",
        doc: "serves this certificate, even if it has expired or is for another name",
        example: "own",
        read: Reader::Site(|site, value| {
            let name = CertificateName::parse(value)
                .map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut site.wish.pin, name.map(Some))
        }),
    },
    LabelRow {
        key: "network",
        syntax: "the name of a network",
        default: "the first that both are on",
        doc: "network over which the proxy reaches the container; Compose's project may be left out",
        example: "web",
        read: Reader::Site(|site, value| set(&mut site.network, text(value).map(Some))),
    },
    LabelRow {
        key: "via",
        syntax: "names of proxies, separated by commas or blanks",
        default: "those that share a network with it",
        doc: "which proxies serve it: container names or Compose services",
        example: "edge",
        read: Reader::Site(|site, value| {
            let names: BTreeSet<_> = words_of(value).map(str::to_owned).collect();
            if names.is_empty() {
                Err("it names no proxy".to_owned())
            } else {
                set(&mut site.via, Ok(names))
            }
        }),
    },
    LabelRow {
        key: "kind",
        syntax: "a row of the kinds table",
        default: "none: the container is not configured; generic where it has the label use",
        doc: "makes the container a server that quaymaster configures, or gives certificates, and reloads",
        example: "nginx",
        read: Reader::Power(|spec, value| {
            (spec.is_server, spec.kind) = (true, kind(value));
            let kinds = words(KINDS.iter().map(|kind| kind.name.to_owned()));
            spec.kind
                .map(|_| ())
                .ok_or_else(|| format!("there is no such kind of server, only {kinds}"))
        }),
    },
    LabelRow {
        key: "use",
        syntax: "hosts, separated by commas or blanks, or *",
        default: "none; a proxy gets the certificates of its sites anyway",
        doc: "names that the server needs certificates for. Certificates for names that no container serves are \
              obtained, too, and the proxies answer the CA's challenges for them. Labels such as certificate, ca and \
              key-type on the server are about them; certificate=WORD puts them on one certificate of that name, so \
              that the names of files stay when the host changes. *: the certificates of all names of its own Compose \
              project",
        example: "mqtt.example",
        read: Reader::Uses,
    },
    LabelRow {
        key: "files",
        syntax: "an absolute path",
        default: "as its kind has it; where it mounts the folder of the setting certificates, it reads live/ there",
        doc: "the folder in the server where certificates go; it must be on a volume that quaymaster mounts too, unless the \
              label copy is there",
        example: "/mosquitto/certs",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.files, folder(value))),
    },
    LabelRow {
        key: "copy",
        syntax: "true or false",
        default: "false",
        doc: "if quaymaster does not mount the folder of files, put the files into the container through the engine, \
              and again whenever the container is recreated; a shared volume is better, and is used if there is one. \
              Needs the right copy. Not for configuration, which needs a shared folder anyway",
        example: "true",
        read: Reader::Power(|spec, value| set(&mut spec.proxy.copy, truth(value))),
    },
    LabelRow {
        key: "layout",
        syntax: "a row of the layouts table, or pairs such as fullchain=tls.crt, privkey=tls.key",
        default: "as its kind has it",
        doc: "the files in which the server reads a certificate. In pairs, cert, chain, fullchain, privkey and combined (all \
              in one file) are what there is, and NAME in a file's name stands for the certificate's. A layout without \
              NAME has room for one certificate",
        example: "fullchain=tls.crt, privkey=tls.key",
        read: Reader::Consumer(|spec, value| {
            let layout = Layout::parse(value).map_err(|error| error.to_string());
            set(&mut spec.proxy.layout, layout.map(Some))
        }),
    },
    LabelRow {
        key: "config",
        syntax: "an absolute path",
        default: "as its kind has it: /etc/nginx/conf.d for nginx, /etc/certbot-helper for certbot, none for others",
        doc: "the folder in the server where rendered files go; it must be on a volume that quaymaster mounts too. A \
              mosquitto gets a default mosquitto.conf there, as long as there is none of yours",
        example: "/etc/nginx/conf.d",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.config, folder(value))),
    },
    LabelRow {
        key: "webroot",
        syntax: "an absolute path",
        default: "where it mounts the folder of the setting webroot, else challenge/ in its config folder",
        doc: "the folder in the server from which it serves /.well-known/acme-challenge",
        example: "/var/www/challenge",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.webroot, folder(value))),
    },
    LabelRow {
        key: "http-port",
        syntax: "1 to 65535",
        default: "80",
        doc: "where the server listens for plain http, inside",
        example: "8080",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.http_port, port(value))),
    },
    LabelRow {
        key: "https-port",
        syntax: "1 to 65535",
        default: "443",
        doc: "where the server listens for https, inside",
        example: "8443",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.https_port, port(value))),
    },
    LabelRow {
        key: "public-http-port",
        syntax: "1 to 65535",
        default: "where the engine publishes its http-port for others than this host, else 80",
        doc: "where browsers find the server's plain http; passed to apps",
        example: "8080",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.public_http_port, port(value))),
    },
    LabelRow {
        key: "public-https-port",
        syntax: "1 to 65535",
        default: "where the engine publishes its https-port for others than this host, else 443",
        doc: "where browsers find the server's https; redirects go there, and it is passed to apps",
        example: "8443",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.public_https_port, port(value))),
    },
    LabelRow {
        key: "default-certificate",
        syntax: "the name of a certificate",
        default: "the setting default-certificate",
        doc: "the certificate for clients that send no name, or a name that no valid certificate covers. A name \
              without a site is answered with 404 under this certificate",
        example: "corp",
        read: Reader::Consumer(|spec, value| {
            let name = CertificateName::parse(value)
                .map_err(|NameError(_)| "it can't be a folder's name".to_owned());
            set(&mut spec.proxy.default_certificate, name.map(Some))
        }),
    },
    LabelRow {
        key: "mode",
        syntax: "a mode in octal digits that lets nobody but owner and group read",
        default: "0600",
        doc: "the mode of those files of the server's certificates that hold a key; all others have 0644",
        example: "0640",
        read: Reader::Consumer(|spec, value| {
            let mode = KeyAccess::mode_of(value).map_err(str::to_owned);
            set(&mut spec.proxy.mode, mode.map(Some))
        }),
    },
    LabelRow {
        key: "probe",
        syntax: "ports, separated by commas or blanks, each perhaps with /smtp, /imap, /pop3, /xmpp, /smtps, /imaps or /pop3s",
        default: "as its kind has it",
        doc: "the ports inside the container on which the server shows its certificate: after a reload each of them \
              must show the new certificate on a new connection. With smtp, imap, pop3 or xmpp this is after STARTTLS; \
              with smtps, imaps or pop3s TLS begins at once. Without the label, the usual ports of the kind on which \
              the server listens",
        example: "8883, 587/smtp",
        read: Reader::Consumer(|spec, value| {
            let ports = words_of(value).map(ProbePort::parse);
            let ports: Result<Vec<_>, _> = ports.collect();
            let ports = ports.map_err(|error| error.to_string())?;
            match ports.is_empty() {
                true => Err("it names no port".to_owned()),
                false => set(&mut spec.proxy.probes, Ok(Some(ports))),
            }
        }),
    },
    LabelRow {
        key: "owner",
        syntax: "a user's number, or USER:GROUP in numbers",
        default: "the user that the container runs as, if that is a number. With the label use: the owner of the \
                  folder of files, unless that is root; else that user; else the user of the kind",
        doc: "who owns the keys that are delivered to the server. A server that starts as root can read them anyway",
        example: "33:33",
        read: Reader::Consumer(|spec, value| {
            let owner = Owner::parse(value).ok_or(Owner::NO_OWNER);
            set(
                &mut spec.proxy.owner,
                owner.map(Some).map_err(str::to_owned),
            )
        }),
    },
    LabelRow {
        key: "email",
        syntax: "an e-mail address",
        default: "the setting email",
        doc: "beside kind=certbot: the address that the CA is given for the certificates that this helper obtains",
        example: "you@example.org",
        read: Reader::Consumer(|spec, value| set(&mut spec.proxy.email, email(value).map(Some))),
    },
    LabelRow {
        key: "reload",
        syntax: "a signal, by name or number, exec WORDS…, restart or none",
        default: "as its kind has it, HUP for nginx; none for generic",
        doc: "how the server is made to read its files again: a signal to its first process, words that are run in its \
              container (split as a shell splits them, nothing expanded; needs the right exec), a restart of its \
              container (needs the right restart); none: no reload, it reads them when it starts",
        example: "HUP",
        read: Reader::Power(|spec, value| set(&mut spec.proxy.reload, reload(value).map(Some))),
    },
    LabelRow {
        key: "check",
        syntax: "exec, or exec WORDS…",
        default: "none: its reload shows whether it accepts them",
        doc: "has the server's own tool check new files before the server is reloaded: if it rejects them, the \
              complaint quotes its words, and the previous files are restored at once. Words are split as a shell \
              splits them, nothing expanded; exec alone is what its kind has, nginx -t for nginx. Needs the right exec",
        example: "exec nginx -t",
        read: Reader::Power(|spec, value| {
            let words =
                exec_words(value).unwrap_or_else(|| Err("it does not begin with exec".to_owned()));
            set(&mut spec.proxy.check, words.map(Some))
        }),
    },
];
