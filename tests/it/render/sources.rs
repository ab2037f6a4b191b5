//! Templates that are no files: of the command line itself, and of URLs, from servers of this machine that do what servers
//! do on bad days.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use quaymaster::{
    adapters::{fetch::UrlTexts, http::Limits, https_proxy::HttpsProxy},
    ports::TemplateUrls,
    report::chain,
};

use super::real::{Program, wait};
use crate::support::{
    canned::{Canned, Reply},
    program::binary,
};

const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/plan/inspect-20.10.json"
);

/// A server without TLS. What it answers follows from the path, and each request is kept.
struct Server {
    at: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    /// True if `/late` is there.
    is_there: Arc<AtomicBool>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (seen, is_there) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (seen_too, is_there_too) = (Arc::clone(&seen), Arc::clone(&is_there));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, is_there) = (Arc::clone(&seen_too), Arc::clone(&is_there_too));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let head = head(&mut stream);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(head);
                    // Whoever asks hangs up on what is too long.
                    let _ = answer(&mut stream, &path, at, &is_there);
                });
            }
        });
        Self { at, seen, is_there }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }
}

fn head(stream: &mut TcpStream) -> String {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

fn answer(
    stream: &mut TcpStream,
    path: &str,
    at: SocketAddr,
    is_there: &AtomicBool,
) -> std::io::Result<()> {
    let mut whole = |status: &str, header: &str, body: &[u8]| {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{header}\r\n"
        )?;
        stream.write_all(body)
    };
    match path {
        "/t" | "/t?token=secret" => whole("200 OK", "", b"{{ containers | length }}\n"),
        "/broken" => whole("200 OK", "", b"one\n{{ nosuch() }}\n"),
        "/include" => whole("200 OK", "", b"{% include 't.tmpl' %}"),
        "/late" if is_there.load(Ordering::Relaxed) => whole("200 OK", "", b"late\n"),
        "/once" => whole("302 Found", "Location: t\r\n", b""),
        "/away" => whole("301 Moved", "Location: http://localhost:1/t\r\n", b""),
        "/other" => whole(
            "307 Away",
            &format!("Location: http://localhost:{}/t\r\n", at.port()),
            b"",
        ),
        "/round" => whole("302 Found", "Location: /round\r\n", b""),
        "/nowhere" => whole("302 Found", "", b""),
        "/ftp" => whole("302 Found", "Location: ftp://localhost/t\r\n", b""),
        "/bytes" => whole("200 OK", "", &[0xff, 0xfe]),
        "/gigabyte" => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
            )?;
            (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 1_000_000]))
        }
        "/endless" => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            loop {
                write!(stream, "3e8\r\n{}\r\n", "x".repeat(1000))?;
            }
        }
        "/stalls" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{{")?;
            stream.flush()?;
            // Until the other side hangs up.
            stream.read(&mut [0]).map(drop)
        }
        _ => whole("404 Not Found", "", b"no"),
    }
}

/// Renders into `out`, which holds `before` until then.
fn render(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let out = folder.join("out");
    fs::write(&out, "before").unwrap();
    let Output { status, stderr, .. } = Command::new(binary())
        .current_dir(folder)
        .env_clear()
        .args(["render", "--from", RECORDED, "--target", "out"])
        .args(words)
        .output()
        .unwrap();
    let told = String::from_utf8(stderr).unwrap();
    (status.code(), fs::read_to_string(out).unwrap(), told)
}

/// `--template` must stand first.
fn render_template(template: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.tmpl"), "a file").unwrap();
    let out = folder.path().join("out");
    fs::write(&out, "before").unwrap();
    let Output { status, stderr, .. } = Command::new(binary())
        .current_dir(folder.path())
        .env_clear()
        .args(["render", "--from", RECORDED, "--template", template])
        .args(["--target", "out"])
        .output()
        .unwrap();
    let told = String::from_utf8(stderr).unwrap();
    (status.code(), fs::read_to_string(out).unwrap(), told)
}

#[test]
fn a_template_is_a_file_a_text_or_a_url() {
    let server = Server::start();
    for (template, expected) in [
        ("t.tmpl", "a file"),
        ("#{{ containers | length }}", "3"),
        ("# {{ containers | length }}\n", "3"),
        ("#", ""),
        (&server.url("/t"), "3"),
        (&server.url("/t?token=secret"), "3"),
        (&server.url("/once"), "3"),
        (&server.url("/other"), "3"),
    ] {
        let (code, out, told) = render_template(template);
        assert_eq!(
            (code, out.as_str()),
            (Some(0), expected),
            "{template}: {told}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_url_is_told_and_the_file_stays() {
    let server = Server::start();
    for (path, problem) in [
        ("/none", "answers 404 Not Found"),
        ("/round", "it leads to another URL more than 5 times"),
        ("/nowhere", "it answers 302 Found without another URL"),
        ("/ftp", "it leads from http to ftp"),
        ("/away", "no connection"),
        ("/bytes", "what is there is not UTF-8"),
        ("/gigabyte", "the answer is longer than 1048576 bytes"),
        ("/endless", "the answer is longer than 1048576 bytes"),
        ("/broken", "line 2: unknown function"),
        ("/include", "t.tmpl"),
        ("/none?token=secret", "answers 404 Not Found"),
    ] {
        let (code, out, told) = render_template(&server.url(path));
        assert_eq!((code, out.as_str()), (Some(3), "before"), "{path}: {told}");
        let name = format!(
            "template http://{}{}",
            server.at,
            path.split('?').next().unwrap()
        );
        assert!(told.contains(&name) && told.contains(problem), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, out, told) = render(folder.path(), &["--template", "http://"]);
    assert_eq!((code, out.as_str()), (Some(2), "before"));
    assert!(
        told.contains("must stand behind a --template") || told.contains("is not a URL"),
        "{told}"
    );
}

#[test]
fn a_text_of_the_command_line_includes_nothing() {
    let (code, out, told) = render_template("#{% include 't.tmpl' %}");
    assert_eq!((code, out.as_str()), (Some(3), "before"));
    assert!(
        told.contains("template #inline, line 1: ") && told.contains("t.tmpl"),
        "{told}"
    );
}

#[test]
fn a_name_and_a_password_are_sent_to_their_server_alone() {
    let server = Server::start();
    let url = format!("http://me:a%20b+c@{}/other", server.at);
    let (code, _, told) = render_template(&url);
    assert_eq!(code, Some(0), "{told}");
    let seen = server.seen.lock().unwrap();
    let asked = |number: usize| seen[number].to_ascii_lowercase();
    // `me:a b+c`
    assert!(seen[0].contains("Basic bWU6YSBiK2M="), "{}", seen[0]);
    assert!(!asked(1).contains("authorization"), "{}", seen[1]);
    assert!(!seen[0].contains("me:"), "{}", seen[0]);
}

async fn fetched(urls: &UrlTexts, url: &str) -> Result<String, String> {
    urls.text(url).await.map_err(|error| chain(&error))
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let server = Server::start();
    let limits = Limits {
        connect: Duration::from_secs(10),
        whole: Duration::from_millis(300),
        body: 1000,
    };
    let urls = UrlTexts::within(limits, false, &HttpsProxy::default()).unwrap();
    let told = fetched(&urls, &server.url("/stalls")).await.unwrap_err();
    assert_eq!(told, "it can't be fetched: no whole answer within 300ms");
}

#[tokio::test]
async fn a_server_must_show_a_certificate_that_is_trusted_unless_any_will_do() {
    let server = Canned::start(|_, path, _| match path {
        "/t" => Reply::new(200, &[], "a text"),
        _ => Reply::new(302, &["Location: http://localhost/t"], ""),
    })
    .await;
    let direct = HttpsProxy::default();
    let (strict, lenient) = (
        UrlTexts::new(false, &direct).unwrap(),
        UrlTexts::new(true, &direct).unwrap(),
    );
    let told = fetched(&strict, &server.url("/t")).await.unwrap_err();
    assert!(told.contains("no connection"), "{told}");
    let text = fetched(&lenient, &server.url("/t")).await;
    assert_eq!(text.as_deref(), Ok("a text"));
    let told = fetched(&lenient, &server.url("/down")).await.unwrap_err();
    assert_eq!(told, "it can't be fetched: it leads from https to http");
}

/// Also what SIGHUP is for: a template at a URL is fetched again.
#[test]
fn a_url_that_is_not_there_yet_is_waited_for_while_others_are_rendered() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new(binary())
        .current_dir(folder.path())
        .args(["render", "--watch", "--template", &server.url("/late")])
        .args([
            "--target",
            "out",
            "--template",
            "#here",
            "--target",
            "other",
        ])
        .stderr(Stdio::from(log))
        .spawn();
    let program = Program(child.unwrap());
    wait("it is told", || at("log").contains("answers 404"));
    wait("the other is rendered", || at("other") == "here");
    assert_eq!(at("out"), "");
    server.is_there.store(true, Ordering::Relaxed);
    wait("it is fetched", || at("out") == "late");
    let fetches = || server.seen.lock().unwrap().len();
    let before = fetches();
    server.is_there.store(false, Ordering::Relaxed);
    let pid = Pid::from_raw(i32::try_from(program.0.id()).unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    wait("it is fetched again", || fetches() > before);
    wait("it is told that the old one is used", || {
        at("log").contains("what was fetched before is used")
    });
    assert_eq!(at("out"), "late");
}
