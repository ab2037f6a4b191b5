//! The README's smallest Compose file, as it stands there but for what no test can have: public names and images, the
//! ports 80 and 443 of the machine, and a public CA.

use std::{fs, path::Path, process::Command};

use crate::{
    docker::is_so,
    stack::{ECHO, NGINX, Setup, Stack, quaymaster_image},
};

#[test]
fn the_readme_s_compose_file_serves_its_shop() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    let folder = tempfile::tempdir().unwrap();
    let written = compose_file();
    let adapted = [
        ("image: quaymaster\n", format!("image: {}\n", quaymaster_image())),
        ("image: nginx\n", format!("image: {NGINX}\n")),
        ("image: my/shop\n", format!("image: {ECHO}\n")),
        ("\"80:80\", \"443:443\"", "\"127.0.0.1::80\", \"127.0.0.1::443\"".to_owned()),
        ("\"quaymaster.kind=nginx\"", format!("\"{}\"", stack.label("kind", "nginx"))),
        ("\"quaymaster.host=shop.example\"", format!("\"{}\"", stack.label("host", &shop))),
    ];
    let adapted = adapted.iter().fold(written, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in the README");
        text.replace(from, to)
    });
    fs::write(folder.path().join("docker-compose.yml"), adapted).unwrap();
    fs::write(folder.path().join("test.yml"), beside(&stack)).unwrap();
    let project = Project { folder: folder.path(), name: stack.named("compose") };
    let (up, said) = project.compose(&["up", "-d"]);
    assert!(up, "{said}");
    let served = stack.wait_for_site(&shop);
    assert_eq!(served.names.iter().collect::<Vec<_>>(), [&shop]);
    is_so(served.answer.body.contains("X-Forwarded-Proto: https"), || format!("{:?}", served.answer)).unwrap();
}

/// The first YAML of the README.
fn compose_file() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```yaml\n").expect("README has a Compose file");
    rest.split_once("```").expect("it ends").0.to_owned()
}

/// What this stack adds: its CA, its network, its names.
fn beside(stack: &Stack) -> String {
    let (network, prefix) = (stack.network(), stack.key(""));
    let service = |name: &str| format!("  {name}:\n    container_name: {}\n    networks: [stack]\n", stack.named(name));
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
struct Project<'a> {
    folder: &'a Path,
    name: String,
}

impl Project<'_> {
    /// Whether it went well, and what was said. Compose is a plug-in of docker on newer machines.
    fn compose(&self, words: &[&str]) -> (bool, String) {
        let plugin = Command::new("docker").args(["compose", "version"]).output().is_ok_and(|out| out.status.success());
        let mut command = Command::new(if plugin { "docker" } else { "docker-compose" });
        command.args(plugin.then_some("compose")).args([
            "-p",
            &self.name,
            "-f",
            "docker-compose.yml",
            "-f",
            "test.yml",
        ]);
        let output = command.args(words).current_dir(self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
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
