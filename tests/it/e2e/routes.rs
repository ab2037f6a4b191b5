//! Requests through what labels made of the proxy: what an app is asked, and what a visitor is refused.

use std::collections::BTreeSet;

use super::{
    docker::{docker, is_so, pause, try_docker, wait},
    log,
    stack::{SOON, Setup, Stack},
};

#[test]
fn labels_of_a_site_do_what_they_say() {
    let stack = Stack::new(&Setup::default());
    let [shop, www, staff, plain, hidden, near] =
        ["shop", "www", "staff", "plain", "hidden", "near"].map(|word| stack.host(word));
    stack.proxy();
    let proxy = stack.named("proxy");
    docker(&[
        "exec",
        &proxy,
        "sh",
        "-c",
        "echo 'staff:{PLAIN}secret' > /etc/nginx/htpasswd",
    ]);
    stack.app(
        "front",
        &[
            ("host", &shop),
            ("redirect", &www),
            ("hsts", "1y"),
            ("tls", "both"),
        ],
    );
    stack.app(
        "api",
        &[
            ("host", &shop),
            ("path", "/api"),
            ("tls", "both"),
            ("hsts", "1y"),
        ],
    );
    stack.app(
        "docs",
        &[
            ("host", &shop),
            ("path", "/docs"),
            ("strip", "true"),
            ("tls", "both"),
            ("hsts", "1y"),
        ],
    );
    stack.app(
        "old",
        &[
            ("host", &shop),
            ("path", "/old"),
            ("upstream-path", "/v1/x"),
            ("tls", "both"),
            ("hsts", "1y"),
        ],
    );
    stack.app(
        "staff",
        &[
            ("host", &staff),
            ("auth", "/etc/nginx/htpasswd"),
            ("auth-realm", "Staff only; no way } out"),
        ],
    );
    stack.app(
        "two",
        &[
            ("host", &plain),
            ("tls", "off"),
            ("site.hidden.host", &hidden),
            ("site.hidden.tls", "only"),
        ],
    );
    stack.app(
        "near",
        &[("host", &near), ("allow", "192.0.2.1"), ("body-size", "1k")],
    );
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_rest();

    let (visitor, at) = (stack.visitor(), stack.at(443).unwrap());
    let asked = |host: &str, path: &str| visitor.https(at, host, path).unwrap().answer;
    for (path, app, seen) in [
        ("/", "front", "GET /\n"),
        ("/apix", "front", "GET /apix\n"),
        ("/api", "api", "GET /api\n"),
        ("/api/a?b=c", "api", "GET /api/a?b=c\n"),
        ("/docs", "docs", "GET /\n"),
        ("/docs/a/b", "docs", "GET /a/b\n"),
        ("/old", "old", "GET /v1/x\n"),
        ("/old/a", "old", "GET /v1/x/a\n"),
    ] {
        let answer = asked(&shop, path);
        assert!(
            answer.body.starts_with(&format!("{app} in ")) && answer.body.contains(seen),
            "{path}: {answer:?}"
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=31536000"),
            "{path}"
        );
    }
    assert_eq!(
        asked(&www, "/a?b=c").header("location"),
        Some(format!("https://{shop}/a?b=c").as_str())
    );
    assert_eq!(asked(&near, "/").status, 403);
    assert_eq!(asked(&hidden, "/").status, 200);

    let refused = asked(&staff, "/");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some(r#"Basic realm="Staff only; no way } out""#))
    );
    let curl = [
        "exec",
        &stack.named("pebble"),
        "curl",
        "-sk",
        "--connect-to",
        "::proxy:443",
        "-u",
        "staff:secret",
    ];
    let shown = try_docker(&[&curl[..], &[&format!("https://{staff}/")]].concat()).unwrap();
    assert!(shown.starts_with("staff in "), "{shown}");

    let over_http = |host: &str| stack.http(host, "/").unwrap();
    assert!(
        over_http(&shop).body.starts_with("front in "),
        "{:?}",
        over_http(&shop)
    );
    assert!(
        over_http(&plain).body.contains("X-Forwarded-Proto: http\n"),
        "{:?}",
        over_http(&plain)
    );
    assert_eq!(
        (over_http(&hidden).status, over_http(&staff).status),
        (404, 301)
    );
    let https_of_plain = visitor.https(at, &plain, "/");
    assert!(https_of_plain.is_err(), "{https_of_plain:?}");

    // An app that is paused gets no traffic, the others of its host go on, and it comes back by itself.
    pause(&stack.named("api"));
    let status = |path: &str| {
        visitor
            .https(at, &shop, path)
            .map(|served| served.answer.status)
    };
    let becomes = |wanted: u16| {
        wait(SOON, &format!("/api answers {wanted}"), || {
            let seen = status("/api")?;
            is_so(seen == wanted, || format!("{seen}"))
        });
    };
    becomes(503);
    assert_eq!(status("/docs"), Ok(200));
    docker(&["unpause", &stack.named("api")]);
    becomes(200);
}

#[test]
fn a_certificate_has_the_names_that_labels_put_on_it_and_a_wildcard_needs_no_ca() {
    let stack = Stack::new(&Setup::default());
    let [pair, other, further] = ["pair", "other", "further"].map(|word| stack.host(word));
    let any = format!("*.{}", stack.host("any"));
    stack.proxy();
    stack.app(
        "pair",
        &[
            ("host", &pair),
            ("certificate", "pair"),
            ("names", &further),
        ],
    );
    stack.app("other", &[("host", &other), ("certificate", "pair")]);
    stack.app("any", &[("host", &any), ("ca", "self-signed")]);
    stack.quaymaster(&[]);
    let served = stack.wait_for_site(&pair);
    stack.wait_for_rest();
    assert_eq!(
        served.names,
        BTreeSet::from([pair, other.clone(), further.clone()])
    );
    let (of_other, visitor, at) = (
        stack.https(&other).unwrap(),
        stack.visitor(),
        stack.at(443).unwrap(),
    );
    assert_eq!(of_other.serial, served.serial);
    assert!(
        of_other.answer.body.starts_with("other in "),
        "{}",
        of_other.answer.body
    );
    // It is on the certificate, and nobody serves it.
    assert!(visitor.https(at, &further, "/").is_err());
    let below = any.replacen('*', "below", 1);
    let refused = visitor.https(at, &below, "/").unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert_eq!(stack.http(&below, "/").unwrap().status, 301);
    let lines = stack.log();
    assert_eq!(
        (
            log::count(&lines, "failed"),
            log::count(&lines, "unproven"),
            stack.orders()
        ),
        (0, 0, 1)
    );
}
