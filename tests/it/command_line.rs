//! The command line's descriptions of itself: completions that shells take, pages of the manual, tables.
#![expect(
    clippy::disallowed_methods,
    reason = "the program and the shells are started as users start them"
)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;

use crate::support::program::{Program, binary};

fn quaymaster(words: &[&str]) -> Output {
    Command::new(binary())
        .env_clear()
        .args(words)
        .output()
        .unwrap()
}

fn printed(words: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = quaymaster(words);
    assert!(
        status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}

#[test]
fn the_version_is_that_of_the_package() {
    let expected = concat!("quaymaster ", env!("CARGO_PKG_VERSION"));
    assert!(printed(&["--version"]).starts_with(expected));
}

/// The words with which bash completes a command line whose last word was begun.
fn completed(words: &[&str]) -> String {
    let (line, last, count) = (words.join(" "), words.last().unwrap(), words.len());
    let script = printed(&["completions", "bash"])
        + &format!(
            "COMP_WORDS=(quaymaster {line}); COMP_CWORD={count}; _quaymaster quaymaster {last} x; \
             echo \"${{COMPREPLY[@]}}\""
        );
    let mut bash = Command::new("bash")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    String::from_utf8(bash.wait_with_output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn bash_takes_the_completions_and_completes() {
    assert_eq!(completed(&["expl"]), "explain");
    for (shell, word) in [
        ("zsh", "#compdef quaymaster"),
        ("fish", "complete -c quaymaster"),
    ] {
        assert!(printed(&["completions", shell]).contains(word), "{shell}");
    }
    assert_eq!(quaymaster(&["completions", "csh"]).status.code(), Some(2));
}

#[test]
fn a_built_in_template_is_printed_byte_by_byte_and_completed() {
    let table: serde_json::Value =
        serde_json::from_str(&printed(&["reference", "templates", "--format", "json"])).unwrap();
    let names: Vec<_> = table["templates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["template"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"nginx/site.conf") && names.contains(&"command-plan.txt"),
        "{names:?}"
    );
    for name in names {
        let path = format!("{}/templates/{name}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(
            printed(&["reference", name]),
            fs::read_to_string(path).unwrap(),
            "{name}"
        );
    }
    assert_eq!(completed(&["reference", "nginx/si"]), "nginx/site.conf");
    assert!(printed(&["man", "reference"]).contains("nginx/site.conf"));
    let refused = quaymaster(&["reference", "nginx/site.conf", "--format", "json"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
}

#[test]
fn the_manual_has_a_page_for_all_and_one_for_each_command() {
    let page = printed(&["man"]);
    assert!(
        page.contains(".TH quaymaster") && page.contains("explain"),
        "{page}"
    );
    let page = printed(&["man", "renew"]);
    assert!(
        page.contains(".TH quaymaster\\-renew") || page.contains(".TH quaymaster-renew"),
        "{page}"
    );
    assert!(page.contains("Examples:"), "{page}");
    assert_eq!(quaymaster(&["man", "nothing"]).status.code(), Some(2));
}

#[test]
fn every_command_shows_its_examples() {
    for name in [
        "watch",
        "once",
        "plan",
        "render",
        "status",
        "explain",
        "health",
        "check",
        "renew",
        "release",
        "forget",
        "import",
        "register",
        "account",
        "revoke",
        "info",
        "reference",
        "completions",
        "man",
    ] {
        assert!(printed(&[name, "--help"]).contains("Examples:"), "{name}");
    }
}

#[test]
fn tables_are_printed_one_or_all_in_each_format() {
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["reference", "--format", "json"])).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "ca-settings",
            "cas",
            "commands",
            "dialects",
            "dns-providers",
            "dns-settings",
            "engine-settings",
            "exits",
            "filters",
            "kinds",
            "labels",
            "layouts",
            "metrics",
            "notify-events",
            "notify-formats",
            "notify-settings",
            "output-settings",
            "settings",
            "templates",
            "view"
        ]
    );
    assert!(
        json["exits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["exit"] == "6")
    );
    assert!(
        printed(&["reference", "labels", "--format", "markdown"])
            .starts_with("## Labels\n\n| label |")
    );
    assert!(printed(&["reference", "exits"]).starts_with("EXIT CODES\n"));
    assert_eq!(quaymaster(&["reference", "nothing"]).status.code(), Some(2));
}

#[tokio::test(flavor = "current_thread")]
async fn a_line_of_the_log_as_json_has_the_fields_of_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(binary());
    command
        .env_clear()
        .args(["watch", "--log-format=json"])
        .arg("--engine=unix:///nonexistent/docker.sock")
        .arg(format!("--state={}", folder.path().display()));
    let program = Program::start(command, log.clone());
    program
        .until("it is told", || program.count("engine-lost") > 0)
        .await;
    let text = fs::read_to_string(log).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert!(line["timestamp"].is_string(), "{line}");
    let problem = line["fields"]["problem"].as_str().unwrap();
    assert_eq!(
        line["fields"],
        json!({"problem": problem, "again_in": 0.8}),
        "{line}"
    );
    assert_eq!(
        line["message"],
        format!("{problem}; everything stays as it is; trying again in 800.0ms")
    );
}

/// Runs `import` on folders of its own, with this on standard input.
pub fn import(
    folder: &Path,
    words: &[&str],
    input: impl Into<Stdio>,
) -> (Option<i32>, String, String) {
    import_by(Command::new(binary()), folder, words, input)
}

/// The same by a command that begins so.
pub fn import_by(
    mut command: Command,
    folder: &Path,
    words: &[&str],
    input: impl Into<Stdio>,
) -> (Option<i32>, String, String) {
    let output = command
        .env_clear()
        .current_dir(folder)
        .arg("import")
        .arg(format!("--state={}", folder.join("state").display()))
        .arg(format!(
            "--certificates={}",
            folder.join("certificates").display()
        ))
        .args(words)
        .stdin(input)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A file of a key with its certificate for this name, and for all below it.
fn pair(folder: &Path, file: &str, host: &str) -> String {
    let made =
        rcgen::generate_simple_self_signed([host.to_owned(), "*.".to_owned() + host]).unwrap();
    let text = made.signing_key.serialize_pem() + &made.cert.pem();
    fs::write(folder.join(file), &text).unwrap();
    text
}

#[test]
fn a_certificate_is_imported_without_an_engine_and_never_over_another_that_nobody_gave_up() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pair(folder, "one.pem", "shop.example");
    let other = pair(folder, "other.pem", "shop.example");
    let run = |words: &[&str]| import(folder, words, Stdio::null());
    let (code, told, log) = run(&["one.pem"]);
    assert_eq!((code, log.as_str()), (Some(0), ""));
    let lies = folder.join("certificates/provided/shop.example");
    assert!(
        told.starts_with(&format!(
            "shop.example: imported, it lies in {}\n  names   *.shop.example, shop.example\n",
            lies.display()
        )),
        "{told}"
    );
    let key = lies.join("privkey.pem");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let before = fs::read_to_string(&key).unwrap();
    let (code, told, _) = run(&["one.pem"]);
    assert_eq!(code, Some(0));
    assert!(
        told.contains("nothing to do, the same certificate lies in"),
        "{told}"
    );
    let (code, told, log) = run(&["other.pem", "--format=json"]);
    assert_eq!((code, told.as_str()), (Some(3), ""));
    assert!(
        log.starts_with("quaymaster: nothing was imported: ")
            && log.contains("provided/shop.example has another certificate, for *.shop.example, shop.example, valid until")
            && log.contains("--replace"),
        "{log}"
    );
    assert_eq!(fs::read_to_string(&key).unwrap(), before);
    let (code, told, log) = run(&["other.pem", "--format=json", "--replace"]);
    assert_eq!((code, log.as_str()), (Some(0), ""));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        [&told["outcome"], &told["name"], &told["watched"]],
        [&json!("replaced"), &json!("shop.example"), &json!(false)]
    );
    assert!(other.starts_with(&fs::read_to_string(&key).unwrap()));
    let kept = Path::new(told["kept"].as_str().unwrap()).join("privkey.pem");
    assert_eq!(fs::read_to_string(kept).unwrap(), before);
    assert!(!folder.join("state").exists(), "nothing is made there");
    // Where certificates lie is asked of the engine, unless a setting says so.
    let refused = quaymaster(&[
        "import",
        "--engine=unix:///nonexistent/docker.sock",
        &folder.join("one.pem").display().to_string(),
    ]);
    assert_eq!(refused.status.code(), Some(4));
}

#[test]
fn standard_input_is_imported_from_a_pipe_and_whatever_is_no_certificate_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = pair(folder, "one.pem", "shop.example");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    let (code, told, log) = import(folder, &["-", "--name=corp"], reader);
    assert_eq!((code, log.as_str()), (Some(0), ""));
    assert!(told.starts_with("corp: imported"), "{told}");
    let provided = || {
        fs::read_dir(folder.join("certificates/provided"))
            .unwrap()
            .count()
    };
    assert_eq!(provided(), 1);
    mkfifo(&folder.join("pipe"), Mode::S_IRWXU).unwrap();
    let large = fs::File::create(folder.join("large")).unwrap();
    large.set_len(1 << 30).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("cut.pem"), &text[..text.len() - 30]).unwrap();
    let null = Stdio::null;
    for (words, input, code, expected) in [
        (
            ["-", "--name=a"],
            null(),
            3,
            "standard input can't be understood: it is empty",
        ),
        (
            ["-", "--name=a"],
            fs::File::open(folder.join("large")).unwrap().into(),
            3,
            "standard input can't be understood: it has more than 1048576 bytes",
        ),
        (
            ["large", "--name=a"],
            null(),
            3,
            "large can't be understood: it has 1073741824 bytes",
        ),
        (
            ["pipe", "--name=a"],
            null(),
            3,
            "pipe can't be understood: it is a pipe",
        ),
        (
            ["empty", "--name=a"],
            null(),
            3,
            "empty can't be understood: there is neither a certificate nor",
        ),
        (
            ["cut.pem", "--name=a"],
            null(),
            3,
            "cut.pem can't be understood: its CERTIFICATE that begins in line",
        ),
        (
            ["none.pem", "--name=a"],
            null(),
            3,
            "can't read none.pem: there is no such file",
        ),
        (
            ["one.pem", "--name=../a"],
            null(),
            2,
            "\"../a\" is not the name of a certificate",
        ),
    ] {
        let (ended, told, log) = import(folder, &words, input);
        assert_eq!((ended, told.as_str()), (Some(code), ""), "{words:?}: {log}");
        assert!(log.contains(expected), "{words:?}: {log}");
        assert_eq!(provided(), 1, "{words:?}");
    }
    assert_eq!(import(folder, &[], null()).0, Some(2), "a file is needed");
}

#[test]
fn two_certificates_of_one_name_are_not_put_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (place, host) in [
        ("shop.example", "shop.example"),
        ("shop.example_ecc", "shop.example"),
    ] {
        let lies = folder.join("acme").join(place);
        fs::create_dir_all(&lies).unwrap();
        pair(&lies, "shop.example.key", host);
    }
    fs::write(folder.join("acme/account.conf"), "").unwrap();
    let run = |words: &[&str]| import(folder, words, Stdio::null());
    let (code, told, _) = run(&["acme", "--replace"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(
        told.contains("imported")
            && told.contains("another certificate of this folder is called shop.example, too"),
        "{told}"
    );
    let key = folder.join("certificates/provided/shop.example/privkey.pem");
    let before = fs::read_to_string(&key).unwrap();
    let (code, told, _) = run(&["acme", "--replace", "--dry-run"]);
    assert_eq!(code, Some(3), "{told}");
    assert_eq!(fs::read_to_string(&key).unwrap(), before);
    // A folder of a client without any certificate is no success.
    fs::create_dir(folder.join("none")).unwrap();
    fs::write(folder.join("none/account.conf"), "").unwrap();
    let (code, told, log) = run(&["none"]);
    assert_eq!((code, told.as_str()), (Some(3), ""));
    assert!(
        log.contains("is the folder of acme.sh, and there is no certificate in it"),
        "{log}"
    );
}
