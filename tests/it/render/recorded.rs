//! The rendering of a file of `docker inspect`, and the errors of wrong usage.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use crate::support::program::binary;

/// Printed by Docker Engine 20.10: an nginx, an app `shop`, one that exposes nothing, and `q` with two volumes.
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/plan/inspect-20.10.json"
);

/// As docker-pygen's users write it.
const TEMPLATE: &str = "\
{% set proxy = containers.matching('proxy').first %}
{% for status, group in all_containers | groupby('status') %}
{{ status }}:{% for container in group %} {{ container.name }}{% endfor %}

{% endfor %}
{% for container in containers if container.ports.tcp %}
{{ container.name }} {{ container.image }} {{ container.health }} {{ container.env.token }}
{% set network = container.networks.matching(proxy).first %}
server {{ network.ip_address }}:{{ container.ports.tcp | first }} on {{ network.name }}
host {{ container.labels['quaymaster.host'] }}{{ container.labels.nosuch }}
{% endfor %}
";

fn render(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .env_clear()
        .arg("render")
        .args(words)
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn folder(template: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.tmpl"), template).unwrap();
    folder
}

#[test]
fn a_file_is_rendered_to_standard_output() {
    let folder = folder(TEMPLATE);
    let recorded = fs::read_to_string(RECORDED)
        .unwrap()
        .replace(r#""Env": null"#, r#""Env": ["TOKEN=a=b"]"#);
    fs::write(folder.path().join("inspect.json"), recorded).unwrap();
    let (code, out, told) = texts(&render(
        folder.path(),
        &["--template", "t.tmpl", "--from", "inspect.json"],
    ));
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "created: q\nrunning: proxy shop lost\n\
         shop quaymaster-test-engine:1 unknown a=b\nserver 172.19.0.3:8080 on web\nhost shop.example\n"
    );
}

#[test]
fn the_same_bytes_are_not_written_again_and_others_keep_the_mode() {
    let folder = folder("{{ containers | length }}\n");
    let target = folder.path().join("out");
    let words = [
        "--template",
        "t.tmpl",
        "--target",
        "out",
        "--from",
        RECORDED,
    ];
    let written = || fs::metadata(&target).unwrap();
    let mode = || written().permissions().mode() & 0o777;
    assert_eq!(render(folder.path(), &words).status.code(), Some(0));
    assert_eq!(
        (fs::read_to_string(&target).unwrap().as_str(), mode()),
        ("3", 0o644)
    );
    let inode = |found: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&found);
    let before = inode(written());
    assert_eq!(render(folder.path(), &words).status.code(), Some(0));
    assert_eq!(inode(written()), before, "the same bytes are not written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(folder.path().join("t.tmpl"), "other\n").unwrap();
    assert_eq!(render(folder.path(), &words).status.code(), Some(0));
    assert_eq!(
        (fs::read_to_string(&target).unwrap().as_str(), mode()),
        ("other", 0o640)
    );
}

#[test]
fn a_broken_template_is_told_with_its_line_spoils_only_itself_and_keeps_what_is_there() {
    let folder = folder("one\n{{ nosuch() }}\n");
    fs::write(folder.path().join("good.tmpl"), "good\n").unwrap();
    fs::write(folder.path().join("out"), "before\n").unwrap();
    let words = [
        "--template",
        "t.tmpl",
        "--target",
        "out",
        "--template",
        "good.tmpl",
        "--from",
        RECORDED,
    ];
    let (code, out, told) = texts(&render(folder.path(), &words));
    assert_eq!((code, out.as_str()), (Some(3), "good"));
    assert!(
        told.contains("template t.tmpl, line 2: unknown function"),
        "{told}"
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("out")).unwrap(),
        "before\n"
    );
}

#[test]
fn a_name_that_is_not_there_is_empty_and_told_once() {
    let folder = folder(
        "{% for c in containers %}[{{ c.network.first }}{{ c.labels.network }}]{% endfor %}\n",
    );
    let (code, out, told) = texts(&render(
        folder.path(),
        &["--template", "t.tmpl", "--from", RECORDED],
    ));
    assert_eq!((code, out.as_str()), (Some(0), "[][][]"));
    let words =
        "WARN template t.tmpl: a container has no network, so it is None; did you mean networks?";
    assert!(told.contains(words) && told.lines().count() == 1, "{told}");
}

#[test]
fn wrong_usage_is_told() {
    let folder = folder("");
    for (words, problem) in [
        (&["--from", RECORDED][..], "--template"),
        (
            &["--target", "a", "--template", "t.tmpl"],
            "--target a must stand behind a --template",
        ),
        (
            &["--template", "t.tmpl", "--target", "a", "--target", "b"],
            "--target b must stand behind a --template",
        ),
        (
            &[
                "--template",
                "t.tmpl",
                "--target",
                "a",
                "--template",
                "t.tmpl",
                "--target",
                "a",
            ],
            "--target a is there twice",
        ),
        (&["--template", "t.tmpl", "--repeat", "3"], "--watch"),
        (
            &["--template", "t.tmpl", "--watch", "--repeat", "soon"],
            "that is not a length of time",
        ),
        (&["--template", "http://"], "is not a URL"),
        (
            &["--template", "t.tmpl", "--signal", "nginx", "HUPP"],
            r#""HUPP" is not a signal"#,
        ),
        (
            &[
                "--template",
                "t.tmpl",
                "--target",
                "a",
                "--watch",
                "--interval",
                "3",
                "2",
            ],
            "MIN is longer than MAX",
        ),
        (
            &[
                "--template",
                "t.tmpl",
                "--signal",
                "nginx",
                "HUP",
                "--from",
                RECORDED,
            ],
            "cannot be used with",
        ),
        (
            &[
                "--template",
                "t.tmpl",
                "--check",
                "nginx",
                "nginx -t",
                "--from",
                RECORDED,
            ],
            "cannot be used with",
        ),
        (
            &["--template", "t.tmpl", "--check", "nginx"],
            "2 values required",
        ),
        (
            &["--template", "t.tmpl", "--check", "nginx", "nginx '-t"],
            "missing closing quote",
        ),
        (
            &["--template", "t.tmpl", "--check", "nginx", " "],
            "the words to run there",
        ),
        (
            &["--template", "t.tmpl", "--check", "", "nginx -t"],
            "a container's name, id or service",
        ),
    ] {
        let (code, _, told) = texts(&render(folder.path(), words));
        assert!(
            code == Some(2) && told.contains(problem),
            "{words:?}: {told}"
        );
    }
}
