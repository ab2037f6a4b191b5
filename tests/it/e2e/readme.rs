//! The Compose files of README and docs, as they stand there but for what no test can have: public names and images, the ports 80
//! and 443 of the machine, and a public CA.

use std::{fs, path::Path, process::Command};

use super::{
    docker::{is_so, wait},
    stack::{ECHO, NGINX, SOON, Setup, Stack, quaymaster_image},
};

#[test]
fn the_readme_s_compose_file_serves_its_shop() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    let folder = tempfile::tempdir().unwrap();
    let adapted = [
        (
            "\"80:80\", \"443:443\"",
            "\"127.0.0.1::80\", \"127.0.0.1::443\"".to_owned(),
        ),
        (
            "\"quaymaster.kind=nginx\"",
            format!("\"{}\"", stack.label("kind", "nginx")),
        ),
        (
            "\"quaymaster.host=shop.example\"",
            format!("\"{}\"", stack.label("host", &shop)),
        ),
    ];
    let adapted = with_images(adapted_from(&written("README.md", "yaml"), &adapted));
    fs::write(folder.path().join("docker-compose.yml"), adapted).unwrap();
    fs::write(folder.path().join("test.yml"), beside(&stack)).unwrap();
    let project = Project {
        folder: folder.path(),
        name: stack.named("compose"),
    };
    let (up, said) = project.compose(&["up", "-d"]);
    assert!(up, "{said}");
    let served = stack.wait_for_site(&shop);
    assert_eq!(served.names.iter().collect::<Vec<_>>(), [&shop]);
    is_so(
        served.answer.body.contains("X-Forwarded-Proto: https"),
        || format!("{:?}", served.answer),
    )
    .unwrap();
}

#[test]
fn the_compose_file_for_rendering_serves_its_shop_without_certificates() {
    let stack = Stack::new(&Setup::default());
    let (shop, proxy, label) = (
        stack.host("shop"),
        stack.named("proxy"),
        stack.key("virtual-host"),
    );
    let folder = tempfile::tempdir().unwrap();
    let (page, write) = ("docs/rendering.md", |name: &str, text: String| {
        fs::write(folder.path().join(name), text).unwrap();
    });
    // A dot in a label's name is a path for `groupby`.
    let label = label.replace('.', "-");
    fs::create_dir(folder.path().join("templates")).unwrap();
    write(
        "templates/nginx.tmpl",
        adapted_from(&written(page, "jinja"), &[("virtual-host", label.clone())]),
    );
    let adapted = [
        ("\"80:80\"", "\"127.0.0.1::80\"".to_owned()),
        (
            "\"virtual-host=shop.example\"",
            format!("\"{label}={shop}\""),
        ),
        (
            "--check, nginx, nginx -t, --signal, nginx,",
            format!("--check, {proxy}, nginx -t, --signal, {proxy},"),
        ),
    ];
    write(
        "docker-compose.yml",
        with_images(adapted_from(&written(page, "yaml"), &adapted)),
    );
    write(
        "test.yml",
        format!("services:\n  nginx:\n    container_name: {proxy}\n"),
    );
    let project = Project {
        folder: folder.path(),
        name: stack.named("compose"),
    };
    let (up, said) = project.compose(&["up", "-d"]);
    assert!(up, "{said}");
    wait(SOON, "the shop is served", || {
        let answer = stack.http(&shop, "/")?;
        is_so(answer.body.contains("app-echo"), || {
            format!("{answer:?}\n{}", project.compose(&["logs", "render"]).1)
        })
    });
}

/// The first block of this language on a page.
fn written(page: &str, language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let (_, rest) = page
        .split_once(&format!("```{language}\n"))
        .expect("it has such a block");
    rest.split_once("```").expect("it ends").0.to_owned()
}

/// The text with each of these words replaced, which stand there once.
pub fn adapted_from(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands there once");
        text.replace(from, to)
    })
}

/// With images that this machine has.
fn with_images(text: String) -> String {
    let images = [
        ("quaymaster", quaymaster_image()),
        ("nginx", NGINX.to_owned()),
        ("my/shop", ECHO.to_owned()),
    ];
    images.iter().fold(text, |text, (from, to)| {
        adapted_from(
            &text,
            &[(&format!("image: {from}\n"), format!("image: {to}\n"))],
        )
    })
}

/// The additions of this stack: its CA, its network, its names.
fn beside(stack: &Stack) -> String {
    let (network, prefix) = (stack.network(), stack.key(""));
    let service = |name: &str| {
        format!(
            "  {name}:\n    container_name: {}\n    networks: [stack]\n",
            stack.named(name)
        )
    };
    format!(
        "services:\n{}    environment:\n      - QUAYMASTER_CA=https://pebble:14000/dir\n      - \
         QUAYMASTER_CA_ROOT=/ca/ca.pem\n      - QUAYMASTER_LOG_FORMAT=json\n      - QUAYMASTER_LABEL_PREFIX={}\n    \
         volumes: [\"ca:/ca:ro\"]\n{}{}networks:\n  stack: {{external: true, name: {network}}}\nvolumes:\n  ca: \
         {{external: true, name: {}}}\n",
        service("quaymaster"),
        prefix.trim_end_matches('.'),
        service("proxy"),
        service("shop"),
        stack.named("ca"),
    )
}

/// A Compose project, taken down when the test ends.
pub struct Project<'a> {
    pub folder: &'a Path,
    pub name: String,
}

impl Project<'_> {
    /// True if it succeeded, and its output. Compose is a plug-in of docker on newer machines.
    pub fn compose(&self, words: &[&str]) -> (bool, String) {
        let plugin = Command::new("docker")
            .args(["compose", "version"])
            .output()
            .is_ok_and(|out| out.status.success());
        let mut command = Command::new(if plugin { "docker" } else { "docker-compose" });
        command.args(plugin.then_some("compose")).args([
            "-p",
            &self.name,
            "-f",
            "docker-compose.yml",
            "-f",
            "test.yml",
        ]);
        let output = command
            .args(words)
            .current_dir(self.folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        let (down, said) = self.compose(&["down", "--volumes"]);
        if !down {
            eprintln!("{said}");
        }
    }
}
