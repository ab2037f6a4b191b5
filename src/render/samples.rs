use std::collections::BTreeSet;

use minijinja::value::{Serde, Value};

use super::view::{
    AuthView, CertificateView, CommandPlanView, DefaultConfigView, GateView, HelperLineView,
    MarkView, ProxyView, RouteView, SiteView,
};

/// The template of sites.
pub(super) const SITE: &str = "nginx/site.conf";

/// The number of the variable to which samples pass requests on.
const VARIABLE: u32 = 7;

/// That variable, as it stands behind a scheme.
pub(super) const TO_VARIABLE: &str = "://$quaymaster_to_7";

/// Views that together reach every branch that depends on what templates see, each with the template that it is for:
/// minijinja finds an unknown name or filter only where it comes by.
pub(super) fn samples() -> Vec<(&'static str, Value)> {
    let of_a_proxy = [
        "nginx/base.conf",
        "nginx/unknown-http.conf",
        "nginx/unknown-https.conf",
        "nginx/names.conf",
        "nginx/open-gate.conf",
        "nginx/ipv6.conf",
    ];
    let proxies = [
        proxy(),
        ProxyView {
            certificate: Some(certificate()),
            answers: vec!["mail.shop.example".to_owned()],
            trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            ..proxy()
        },
        ProxyView {
            public_https_port: 8443,
            listens_ipv6: true,
            ..proxy()
        },
    ];
    let each = proxies
        .into_iter()
        .flat_map(|proxy| of_a_proxy.map(|template| (template, Value::from(Serde(proxy.clone())))));
    let mut samples: Vec<_> = each.collect();
    let marks = [false, true].map(|listens_ipv6| MarkView {
        listens_ipv6,
        ..mark()
    });
    samples.extend(marks.map(|mark| ("nginx/mark.conf", Value::from(Serde(mark)))));
    samples.extend(
        sites()
            .into_iter()
            .map(|site| (SITE, Value::from(Serde(site)))),
    );
    samples.extend(defaults());
    samples.extend(lines());
    let steps = [
        vec!["write".to_owned(), "a file.conf".to_owned()],
        vec!["signal".to_owned(), "proxy".to_owned()],
    ];
    for steps in [&steps[..], &[]] {
        let view = CommandPlanView {
            subject: "shop.example",
            why: "renewal due, then missing",
            steps,
        };
        samples.push(("command-plan.txt", Value::from(Serde(view))));
    }
    samples
}

/// Default configurations, with and without files of the user's beside them.
fn defaults() -> [(&'static str, Value); 2] {
    let path = |name: &str| format!("/mosquitto/config/{name}");
    [false, true].map(|has_files| {
        let view = DefaultConfigView {
            certificate: certificate(),
            password_file: has_files.then(|| path("passwd")),
            acl_file: has_files.then(|| path("acl")),
        };
        ("mosquitto/mosquitto.conf", Value::from(Serde(view)))
    })
}

/// Lines for a helper, with everything that may be left out, and without.
fn lines() -> [(&'static str, Value); 2] {
    let text = |text: &str| Some(text.to_owned());
    let least = HelperLineView {
        certificate: "shop.example".to_owned(),
        names: vec!["shop.example".to_owned(), "www.shop.example".to_owned()],
        webroot: "/var/www/challenge".to_owned(),
        config_dir: None,
        email: None,
        server: None,
        key_type: None,
        profile: None,
        again: false,
    };
    let most = HelperLineView {
        config_dir: text("/srv/letsencrypt"),
        email: text("you@example.org"),
        server: text("https://ca.example/directory"),
        key_type: Some(["--key-type", "rsa"].map(str::to_owned).to_vec()),
        profile: Some(
            ["--preferred-profile", "shortlived"]
                .map(str::to_owned)
                .to_vec(),
        ),
        again: true,
        ..least.clone()
    };
    [least, most].map(|view| ("certbot/updates.list", Value::from(Serde(view))))
}

/// A site that passes requests on as its gate says.
pub(super) fn gated() -> Value {
    let site = SiteView {
        plain: "serve",
        gate: Some(gate()),
        routes: vec![by_id(route("", "http"), true)],
        ..site()
    };
    Value::from(Serde(site))
}

fn proxy() -> ProxyView {
    ProxyView {
        http_port: 80,
        https_port: 443,
        listens_ipv6: false,
        public_http_port: 80,
        public_https_port: 443,
        webroot: "/challenge".to_owned(),
        gate_host: "quaymaster-gate-0123456789ab".to_owned(),
        gate_path: "/quaymaster-open-0123456789ab".to_owned(),
        answers: Vec::new(),
        trusted_proxies: Vec::new(),
        certificate: None,
    }
}

fn mark() -> MarkView {
    MarkView {
        http_port: 80,
        listens_ipv6: false,
        mark_host: "quaymaster-0123456789abcdef".to_owned(),
        mark: 1,
    }
}

/// A site for each branch: with and without certificate and traffic, in each mode of TLS, redirected, guarded, by path,
/// by each scheme.
fn sites() -> Vec<SiteView> {
    let mut all = vec![
        site(),
        SiteView {
            plain: "serve",
            ..site()
        },
    ];
    all.extend(in_each_mode());
    all.extend(by_path());
    all.extend(elsewhere());
    all.extend(by_gate());
    all
}

/// A site without a certificate.
fn site() -> SiteView {
    SiteView {
        host: "shop.example".to_owned(),
        wildcard: false,
        http_port: 80,
        https_port: 443,
        listens_ipv6: false,
        public_http_port: 80,
        public_https_port: 443,
        webroot: "/challenge".to_owned(),
        trusted_proxies: Vec::new(),
        closed: "/etc/nginx/conf.d/closed/shop.example".to_owned(),
        gate: None,
        certificate: None,
        plain: "wait",
        hsts: None,
        hsts_include_subdomains: false,
        hsts_preload: false,
        redirect: None,
        routes: vec![route("", "http")],
        serves_root: true,
    }
}

fn certified() -> SiteView {
    SiteView {
        certificate: Some(certificate()),
        hsts: Some(31_536_000),
        ..site()
    }
}

fn in_each_mode() -> [SiteView; 4] {
    ["wait", "redirect", "refuse", "serve"].map(|plain| SiteView {
        plain,
        ..certified()
    })
}

/// A site with paths of all kinds, and none for what is left.
fn with_paths() -> SiteView {
    SiteView {
        routes: routes(),
        serves_root: false,
        ..certified()
    }
}

fn routes() -> Vec<RouteView> {
    let guarded = RouteView {
        exact_uri: Some("/".to_owned()),
        prefix_uri: Some("/".to_owned()),
        body_size: Some("10m".to_owned()),
        timeout: Some(300),
        buffers: Some(32),
        auth: Some(AuthView {
            file: "/etc/nginx/htpasswd".to_owned(),
            realm: "Staff; only".to_owned(),
        }),
        allow: vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()],
        ..route("/staff", "http")
    };
    let slow = RouteView {
        timeout: Some(300),
        buffers: Some(32),
        ..route("/slow", "grpc")
    };
    let nobody = RouteView {
        servers: BTreeSet::new(),
        ..route("/nobody", "http")
    };
    let schemes = ["http", "https", "grpc", "grpcs"].map(|scheme| route("/api", scheme));
    schemes.into_iter().chain([guarded, slow, nobody]).collect()
}

fn by_path() -> [SiteView; 4] {
    let wildcard = SiteView {
        host: "*.shop.example".to_owned(),
        wildcard: true,
        ..with_paths()
    };
    let preloaded = SiteView {
        hsts_include_subdomains: true,
        hsts_preload: true,
        ..with_paths()
    };
    let behind = SiteView {
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        ..with_paths()
    };
    [with_paths(), wildcard, preloaded, behind]
}

/// Sites that are found at other ports, and those that send to another host.
fn elsewhere() -> [SiteView; 5] {
    let moved = SiteView {
        public_http_port: 8080,
        public_https_port: 8443,
        listens_ipv6: true,
        ..certified()
    };
    let moved_and_sent = SiteView {
        redirect: Some("shop.example".to_owned()),
        ..moved.clone()
    };
    let sent = SiteView {
        redirect: Some("www.shop.example".to_owned()),
        routes: Vec::new(),
        serves_root: false,
        ..certified()
    };
    let sent_plainly = SiteView {
        plain: "serve",
        ..sent.clone()
    };
    let sent_behind = SiteView {
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        ..sent.clone()
    };
    [moved, moved_and_sent, sent, sent_plainly, sent_behind]
}

/// Sites that depend on a gate, on the names of containers, or on both.
fn by_gate() -> [SiteView; 3] {
    let without_dns = GateView {
        resolver: None,
        ..gate()
    };
    let without_gate = GateView {
        file: None,
        ipv6: true,
        ..gate()
    };
    let both = [
        by_id(route("/api", "http"), true),
        by_id(route("/grpc", "grpc"), false),
    ];
    let by_names = [by_id(route("/api", "https"), true), route("/many", "http")];
    [
        behind_gate(gate(), &both),
        behind_gate(without_dns, &both),
        behind_gate(without_gate, &by_names),
    ]
}

fn behind_gate(gate: GateView, routes: &[RouteView]) -> SiteView {
    SiteView {
        gate: Some(gate),
        routes: routes.to_vec(),
        plain: "serve",
        ..with_paths()
    }
}

fn gate() -> GateView {
    GateView {
        file: Some("/dev/shm/quaymaster-open-0123456789ab".to_owned()),
        resolver: Some("127.0.0.11".to_owned()),
        ipv6: false,
    }
}

/// The path as it is where it depends on a gate, with the id of a container or without.
fn by_id(route: RouteView, is_known: bool) -> RouteView {
    RouteView {
        variable: Some(VARIABLE),
        by_id: is_known.then(|| "0123456789ab:80".to_owned()),
        ..route
    }
}

fn certificate() -> CertificateView {
    CertificateView {
        fullchain: "/certificates/live/shop.example/fullchain.pem".to_owned(),
        privkey: "/certificates/live/shop.example/privkey.pem".to_owned(),
    }
}

fn route(path: &str, scheme: &'static str) -> RouteView {
    RouteView {
        path: path.to_owned(),
        upstream: "quaymaster_shop.example".to_owned(),
        variable: None,
        by_id: None,
        servers: ["172.18.0.2:80", "[fd00::2]:8080"]
            .map(str::to_owned)
            .into(),
        scheme,
        exact_uri: None,
        prefix_uri: None,
        body_size: None,
        timeout: None,
        buffers: None,
        auth: None,
        allow: Vec::new(),
    }
}
