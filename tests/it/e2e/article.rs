//! The stack of the first article on docker-pygen with another image and nothing else: its own command lines, templates,
//! labels and helper. What stands in its place as a whole is in `certbot_helper.rs`.

use std::{fs, path::Path};

use super::{
    docker::{docker, field, is_so, try_docker, wait},
    readme::{Project, adapted_from},
    stack::{ECHO, NGINX, SOON, Setup, Stack, quaymaster_image},
};

const HELPER: &str = "quaymaster-example-certbot-helper";

#[test]
fn the_article_s_stack_goes_on_with_nothing_changed_but_the_image() {
    let stack = Stack::new(&Setup::default());
    let site = stack.host("site");
    let folder = tempfile::tempdir().unwrap();
    write(&stack, folder.path());
    let project = Project {
        folder: folder.path(),
        name: stack.named("compose"),
    };
    let up = |words: &[&str]| {
        let (is_up, said) = project.compose(&[&["up", "-d"], words].concat());
        assert!(is_up, "{said}");
    };
    // Names lead to nginx before the helper is there: a line that fails is not run again until somebody signals.
    up(&["nginx"]);
    stack.wait_for_dns();
    up(&[]);

    let helper = stack.named("helper");
    let fullchain = format!("/etc/letsencrypt/live/{site}/fullchain.pem");
    wait(2 * SOON, "certbot has obtained it", || {
        try_docker(&["exec", &helper, "test", "-e", &fullchain])
    });
    let lines = || docker(&["exec", &helper, "cat", "/etc/certbot-helper/updates.list"]);
    let ends = format!(
        "-d {site} --keep --webroot -w /var/www/challenge --email admin@site.example --agree-tos"
    );
    let said = lines();
    assert!(
        said.lines().count() == 1 && said.contains(&ends.replace("--agree-tos", "")),
        "{said}"
    );
    // nginx refused what names a certificate that was not there, and went on. Nothing in that stack tells it of the
    // certificate.
    assert_eq!(
        field(&stack.named("proxy"), "{{.State.Status}} {{.RestartCount}}"),
        "running 0"
    );
    assert!(stack.https(&site).is_err());
    docker(&["kill", "-s", "HUP", &stack.named("proxy")]);
    let served = stack.wait_for_site(&site);
    assert_eq!(served.names.iter().collect::<Vec<_>>(), [&site]);
    assert!(
        served.answer.body.contains("X-Forwarded-Proto: https"),
        "{}",
        served.answer.body
    );

    // The app is away: its line and its server are, too.
    docker(&["rm", "-f", &stack.named("site")]);
    wait(SOON, "its line is gone", || {
        let said = lines();
        is_so(said.is_empty(), || said)
    });
    wait(SOON, "nginx does not serve it", || {
        is_so(stack.https(&site).is_err(), || "it does".to_owned())
    });
}

/// Writes what stands beside this file, with names, images and a CA that a test can have.
fn write(stack: &Stack, folder: &Path) {
    let key = stack.key("virtual-host");
    let label = ("nginx-virtual-host", key.clone());
    let helper = ("certbot-helper", stack.named("helper"));
    let certbot = [
        label.clone(),
        helper,
        (
            " --agree-tos",
            " --agree-tos --server https://pebble:14000/dir".to_owned(),
        ),
    ];
    let image =
        |from: &'static str, to: &str| (format!("image: {from}\n"), format!("image: {to}\n"));
    let images = [
        image("nginx", NGINX),
        image("certbot-helper", HELPER),
        image("my/site", ECHO),
    ];
    let mut compose = vec![
        (
            "\"80:80\", \"443:443\"",
            "\"127.0.0.1::80\", \"127.0.0.1::443\"".to_owned(),
        ),
        (
            "--signal nginx HUP",
            format!("--signal {} HUP", stack.named("proxy")),
        ),
        (
            "--signal certbot-helper HUP",
            format!("--signal {} HUP", stack.named("helper")),
        ),
        (
            "nginx-virtual-host=site.example",
            format!("{key}={}", stack.host("site")),
        ),
    ];
    compose.extend(images.iter().map(|(from, to)| (from.as_str(), to.clone())));
    let text = include_str!("article/docker-compose.yml");
    // It stands there twice.
    let text = text.replace(
        "image: quaymaster\n",
        &format!("image: {}\n", quaymaster_image()),
    );
    for (name, text) in [
        ("docker-compose.yml", adapted_from(&text, &compose)),
        (
            "nginx.tmpl",
            adapted_from(include_str!("article/nginx.tmpl"), &[label]),
        ),
        (
            "certbot.tmpl",
            adapted_from(include_str!("article/certbot.tmpl"), &certbot),
        ),
        ("test.yml", beside(stack)),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// The additions of the test: names, the stack's network, and the root that certbot trusts.
fn beside(stack: &Stack) -> String {
    let service = |name: &str, what: &str| {
        let called = stack.named(what);
        format!(
            "  {name}:\n    container_name: {called}\n    networks: {{stack: {{aliases: [{what}]}}}}\n"
        )
    };
    format!(
        "services:\n{}{}{}{}    environment: [REQUESTS_CA_BUNDLE=/ca/ca.pem]\n    volumes: [\"ca:/ca:ro\"]\n{}networks:\n  \
         stack: {{external: true, name: {}}}\nvolumes:\n  ca: {{external: true, name: {}}}\n",
        service("nginx", "proxy"),
        service("nginx-pygen", "nginx-pygen"),
        service("certbot-pygen", "certbot-pygen"),
        service("certbot-helper", "helper"),
        service("site", "site"),
        stack.network(),
        stack.named("ca"),
    )
}
