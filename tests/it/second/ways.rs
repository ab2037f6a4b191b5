//! The ways to an engine on another machine, with Debian's sshd and with a dockerd that wants TLS: what `check` says of each,
//! and that what is there is served through them.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{
    elsewhere::{BLUE, app, join, run},
    engine::Engine,
    stage::Stage,
};
use crate::support::program::binary;

const SSH_PORT: &str = "2222";
const TLS_PORT: &str = "2376";

/// The files of TLS in the way of Docker, for both ends: one CA, and one key that is used by both.
fn tls_files(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([BLUE.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap().pem();
    fs::create_dir(folder).unwrap();
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("cert.pem", leaf),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// An sshd beside an engine, and an `ssh` that knows it and nothing of the user's.
struct Ssh {
    server: Child,
    /// The folder with that `ssh`.
    programs: PathBuf,
}

impl Ssh {
    fn start(blue: &Engine, folder: &Path) -> Self {
        let at = |name: &str| folder.join(name).display().to_string();
        for name in ["host", "user", "stranger"] {
            run(Command::new("ssh-keygen").args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                &at(name),
            ]));
        }
        fs::copy(at("user.pub"), at("authorized")).unwrap();
        let host = fs::read_to_string(at("host.pub")).unwrap();
        fs::write(at("known"), format!("[{BLUE}]:{SSH_PORT} {host}")).unwrap();
        let socket = blue.socket().display().to_string();
        let config = format!(
            "ListenAddress {BLUE}:{SSH_PORT}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nSetEnv DOCKER_HOST=unix://{socket}\n",
            at("host"),
            at("authorized")
        );
        fs::write(at("sshd_config"), config).unwrap();
        // Where sshd puts processes that are to have nothing.
        fs::create_dir_all("/run/sshd").unwrap();
        let log = fs::File::create(at("sshd.log")).unwrap();
        let mut server = blue.beside("/usr/sbin/sshd");
        server.args(["-D", "-e", "-f", &at("sshd_config")]);
        let server = server.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let programs = folder.join("bin");
        fs::create_dir(&programs).unwrap();
        let ssh = Self { server, programs };
        ssh.use_key(folder, "user");
        ssh
    }

    /// Has `ssh` show this key.
    fn use_key(&self, folder: &Path, key: &str) {
        let at = |name: &str| folder.join(name).display().to_string();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} \"$@\"\n",
            at(key),
            at("known")
        );
        let file = self.programs.join("ssh");
        let mut written = fs::File::create(&file).unwrap();
        written.write_all(script.as_bytes()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test]
async fn an_engine_is_reached_over_tls_and_through_ssh_as_docker_reaches_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tls = folder.join("tls");
    tls_files(&tls);
    let file = |name: &str| tls.join(name).display().to_string();
    let stage = Stage::of_project("edge");
    let blue = Engine::start_with(&[
        "--host",
        &format!("tcp://0.0.0.0:{TLS_PORT}"),
        "--tlsverify",
        "--tlscacert",
        &file("ca.pem"),
        "--tlscert",
        &file("cert.pem"),
        "--tlskey",
        &file("key.pem"),
    ]);
    join(&stage.engine, &blue);
    app(&blue, "app2", 9002);
    let ssh = Ssh::start(&blue, folder);
    let path = format!("{}:/usr/bin:/bin", ssh.programs.display());
    let by_ssh = format!("ssh://root@{BLUE}:{SSH_PORT}");
    let by_tls = format!("tcp://{BLUE}:{TLS_PORT}");
    let tls = tls.display().to_string();
    let grants = "\"@blue\" = \"*\"\nedge = \"proxy *\"";
    let ways = [
        vec![("QUAYMASTER_ENGINE__BLUE__ADDRESS", by_ssh.as_str())],
        vec![
            ("QUAYMASTER_ENGINE__BLUE__ADDRESS", by_tls.as_str()),
            ("QUAYMASTER_ENGINE__BLUE__TLS", tls.as_str()),
        ],
    ];
    let check = |way: &[(&str, &str)]| {
        let mut words = stage.engine.beside(binary());
        let words = words
            .env_clear()
            .env("PATH", &path)
            .envs(way.iter().copied())
            .arg("check")
            .arg("--engine")
            .arg(stage.engine.socket())
            .arg("--state")
            .arg(folder.join("checked"));
        String::from_utf8(words.output().unwrap().stdout).unwrap()
    };
    for way in ways {
        let told = check(&way);
        assert!(
            told.contains("blue: ") && told.contains("1 container"),
            "{told}"
        );
        assert!(told.contains(&format!("reached at {BLUE}")), "{told}");
        let mut variables = way;
        variables.extend([("PATH", path.as_str()), ("QUAYMASTER_GRANTS", grants)]);
        let program = stage.watch_with(&stage.engine.socket(), &variables);
        program
            .until("what is there is served", || {
                stage.serves(&["app2"]) && stage.status()["at_rest"] == true
            })
            .await;
        // An event of that engine comes the same way.
        app(&blue, "app3", 9003);
        program
            .until("what comes there is served", || {
                stage.serves(&["app2", "app3"])
            })
            .await;
        drop(program);
        blue.docker(&["rm", "--force", "app3"]);
    }
    // The reason is said in the words of `ssh`, and by TLS nobody else is trusted.
    ssh.use_key(folder, "stranger");
    let told = check(&[("QUAYMASTER_ENGINE__BLUE__ADDRESS", &by_ssh)]);
    assert!(
        told.contains("ssh: ") && told.contains("Permission denied"),
        "{told}"
    );
    let mut words = stage.engine.beside("env");
    words.args(["-i", "PATH=/nowhere"]);
    words.arg(format!("QUAYMASTER_ENGINE__BLUE__ADDRESS={by_ssh}"));
    words.args([binary(), "check", "--engine"]);
    words.arg(stage.engine.socket());
    words.arg("--state").arg(folder.join("checked"));
    let told = String::from_utf8(words.output().unwrap().stdout).unwrap();
    assert!(told.contains("there is no program `ssh`"), "{told}");
    tls_files(&folder.join("others"));
    let others = folder.join("others").display().to_string();
    let told = check(&[
        ("QUAYMASTER_ENGINE__BLUE__ADDRESS", &by_tls),
        ("QUAYMASTER_ENGINE__BLUE__TLS", &others),
    ]);
    assert!(told.contains("blue: the Docker engine at tcp://"), "{told}");
    assert!(!told.contains("reached at"), "{told}");
}
