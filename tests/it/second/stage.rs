//! A second engine with a real nginx and apps in it, and the program that watches it from beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::engine::{Engine, NGINX};
use crate::support::program::{Program, binary};

const NETWORK: &str = "web";

/// Where the proxy always is: a frozen engine can't be asked. Apps get other addresses each time that they start.
const PROXY: &str = "10.213.8.2";

/// An engine and the folders of the program.
pub struct Stage {
    pub engine: Engine,
}

impl Stage {
    /// With a proxy that the engine starts again with itself.
    pub fn new() -> Self {
        Self::with_proxy(&[])
    }

    /// The same, the proxy being of this Compose project.
    pub fn of_project(project: &str) -> Self {
        let label = format!("com.docker.compose.project={project}");
        Self::with_proxy(&["--label", &label])
    }

    fn with_proxy(options: &[&str]) -> Self {
        let stage = Self {
            engine: Engine::start(),
        };
        fs::create_dir(stage.config()).unwrap();
        stage.engine.docker(&[
            "network",
            "create",
            "--subnet",
            "10.213.8.0/24",
            "--ip-range",
            "10.213.8.128/25",
            NETWORK,
        ]);
        // Without Debian's own site, which would answer for every name that is not served.
        let script = "rm -f /etc/nginx/sites-enabled/default; exec nginx -g 'daemon off;'";
        stage.proxy(options, &["sh", "-c", script]);
        stage
    }

    /// Runs the proxy, which the engine starts again when it ends.
    pub fn proxy(&self, options: &[&str], command: &[&str]) {
        let folder = format!("{}:/etc/nginx/conf.d:ro", self.config().display());
        let ours = [
            "run",
            "--detach",
            "--network",
            NETWORK,
            "--name",
            "proxy",
            "--ip",
            PROXY,
            "--restart",
            "always",
            "--label",
            "quaymaster.kind=nginx",
            "--volume",
            &folder,
        ];
        let words = [&ours[..], options, &[NGINX], command].concat();
        self.engine.docker(&words);
    }

    fn config(&self) -> PathBuf {
        self.engine.folder().join("conf.d")
    }

    fn state(&self) -> PathBuf {
        self.engine.folder().join("state")
    }

    /// Runs nginx, after something else in its place.
    fn run(&self, name: &str, options: &[&str], before: &str) {
        let ours = ["run", "--detach", "--network", NETWORK, "--name", name];
        let script = format!("{before}; exec nginx -g 'daemon off;'");
        self.engine
            .docker(&[&ours[..], options, &[NGINX, "sh", "-c", &script]].concat());
    }

    /// An app that answers for `HOST.example` with its name, over plain HTTP.
    pub fn app(&self, name: &str, host: &str, options: &[&str]) {
        let host = format!("quaymaster.host={host}.example");
        let labels = [
            "--label",
            &host,
            "--label",
            "quaymaster.tls=off",
            "--label",
            "quaymaster.port=80",
        ];
        let page = format!("echo {name} >/var/www/html/index.nginx-debian.html");
        self.run(name, &[&labels[..], options].concat(), &page);
    }

    /// Starts the program with its engine at this socket.
    pub fn watch(&self, socket: &Path) -> Program {
        self.watch_with(socket, &[])
    }

    /// The same, with these variables.
    pub fn watch_with(&self, socket: &Path, variables: &[(&str, &str)]) -> Program {
        let mut words = self.engine.beside(binary());
        words
            .env_clear()
            .envs(variables.iter().copied())
            // No certificate is wanted, so that nobody is asked here.
            .args([
                "watch",
                "--agree-tos",
                "--log-format",
                "json",
                "--ca",
                "https://127.0.0.1:1/directory",
                "--engine",
            ])
            .arg(socket)
            .arg("--state")
            .arg(self.state());
        Program::start(words, self.engine.folder().join("watch.log"))
    }

    /// Starts the program and waits until these sites are served, and until it has seen that they are: what was not
    /// proven yet is not kept when its containers go.
    pub async fn watched(&self, socket: &Path, sites: &[&str]) -> Program {
        let program = self.watch(socket);
        program
            .until("the sites are served", || {
                self.serves(sites) && self.status()["at_rest"] == true
            })
            .await;
        program
    }

    /// Sites whose files lie in the proxy's folder.
    pub fn sites(&self) -> Vec<String> {
        let entries = fs::read_dir(self.config()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let site = |name: String| {
            Some(
                name.strip_prefix("quaymaster-")?
                    .strip_suffix(".example.conf")?
                    .to_owned(),
            )
        };
        let mut sites: Vec<_> = names.filter_map(site).collect();
        sites.sort();
        sites
    }

    /// True if just these have files, and stand in the status, and the proxy shows the app of this name behind each.
    pub fn serves(&self, sites: &[&str]) -> bool {
        self.sites() == sites
            && self.told() == sites
            && sites
                .iter()
                .all(|site| self.answer(site) == format!("200 {site}"))
    }

    /// The content of `status.json`; an empty object before there is one.
    pub fn status(&self) -> Value {
        let text = fs::read_to_string(self.state().join("status.json"))
            .unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).unwrap()
    }

    /// Sites in `status.json`.
    fn told(&self) -> Vec<String> {
        let status = self.status();
        let hosts = status["sites"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|site| site["host"].as_str());
        let mut sites: Vec<_> = hosts
            .map(|host| host.trim_end_matches(".example").to_owned())
            .collect();
        sites.sort();
        sites
    }

    /// The proxy's present answer for a site: status and first line; empty when it does not answer.
    pub fn answer(&self, site: &str) -> String {
        let script = format!(
            r#"exec 3<>/dev/tcp/{PROXY}/80 && printf 'GET / HTTP/1.0\r\nHost: {site}.example\r\n\r\n' >&3 && cat <&3"#
        );
        let answer = self
            .engine
            .beside("timeout")
            .args(["2", "bash", "-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return String::new();
        };
        let first = body
            .lines()
            .next()
            .filter(|line| !line.starts_with('<'))
            .unwrap_or_default();
        format!("{} {first}", head.split(' ').nth(1).unwrap_or_default())
            .trim_end()
            .to_owned()
    }
}
