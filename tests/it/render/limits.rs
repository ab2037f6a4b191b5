//! Templates that never end or eat memory, that include what they may not, labels with anything in them, and targets that
//! can't be written.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::{Command, Output},
};

use crate::support::program::binary;

const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/plan/inspect-20.10.json"
);

/// A template that makes eight gigabytes.
const GROWS: &str = "{% for a in range(90000) %}{{ 'x' * 90000 }}{% endfor %}";

fn render(folder: &Path, template: &str) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = Command::new(binary())
        .current_dir(folder)
        .env_clear()
        .args(["render", "--from", RECORDED, "--template", template])
        .args(["--target", "out"])
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_template_that_never_ends_or_grows_is_ended_wherever_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (template, problem) in [
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "engine ran out of fuel",
        ),
        (GROWS, "it makes a text of more than 16777216 bytes"),
        ("{{ 'x' * 1000000000 }}", "too large"),
        ("{{ range(1000000000) | list }}", "range"),
        ("{{ ['x'] * 1000000000 }}", "too large"),
        ("{{ 'x'.center(1000000000) }}", "is more than"),
        ("{{ '%1000000000d' % 1 }}", "is more than"),
        (
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
            "recursion",
        ),
    ] {
        fs::write(&out, "before").unwrap();
        let (code, told) = render(folder.path(), &format!("#{template}"));
        assert_eq!(code, Some(3), "{template}: {told}");
        assert!(told.contains(problem), "{template}: {told}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    }
    // The limits are those of each template, wherever it comes from.
    fs::write(folder.path().join("t.tmpl"), GROWS).unwrap();
    let (code, told) = render(folder.path(), "t.tmpl");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("template t.tmpl: it makes a text"), "{told}");
}

#[test]
fn files_include_neither_each_other_for_ever_nor_what_lies_outside_of_their_folder() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("templates");
    fs::create_dir(&folder).unwrap();
    fs::write(around.path().join("secret"), "secret").unwrap();
    fs::write(folder.join("a"), "{% include 'b' %}").unwrap();
    fs::write(folder.join("b"), "{% include 'a' %}").unwrap();
    for (template, problem) in [
        ("{% include 'a' %}", "recursion"),
        ("{% include 't.tmpl' %}", "recursion"),
        ("{% include '../secret' %}", "../secret"),
        ("{% include 'x/../../secret' %}", "x/../../secret"),
        ("{% import '../secret' as x %}", "../secret"),
        ("{% extends '../secret' %}", "../secret"),
    ] {
        fs::write(folder.join("t.tmpl"), template).unwrap();
        let (code, told) = render(&folder, "t.tmpl");
        assert_eq!(code, Some(3), "{template}: {told}");
        assert!(told.contains(problem), "{template}: {told}");
        assert!(!folder.join("out").exists(), "{template}");
    }
}

#[test]
fn a_target_that_can_not_be_written_is_told_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let names = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };

    fs::create_dir(&out).unwrap();
    let (code, told) = render(folder.path(), "#new");
    let problem = "out can't be understood: it is not a file; a target is a file of text, or nothing is there yet";
    assert!(code == Some(3) && told.contains(problem), "{told}");
    assert_eq!(names(), ["out"]);
    fs::remove_dir(&out).unwrap();

    symlink("round", &out).unwrap();
    symlink("out", folder.path().join("round")).unwrap();
    let (code, told) = render(folder.path(), "#new");
    assert!(code == Some(3) && told.contains("symbolic links"), "{told}");
    assert_eq!(names(), ["out", "round"]);
    for name in names() {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn what_a_target_s_link_leads_to_is_written_though_nothing_is_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (out, there) = (folder.path().join("out"), folder.path().join("there/file"));
    fs::create_dir(folder.path().join("there")).unwrap();
    symlink("there/link", &out).unwrap();
    symlink("file", folder.path().join("there/link")).unwrap();
    for text in ["one", "two"] {
        let (code, told) = render(folder.path(), &format!("#{text}"));
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(fs::read_to_string(&there).unwrap(), text);
        assert!(out.is_symlink() && folder.path().join("there/link").is_symlink());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(
        fs::read_dir(folder.path().join("there")).unwrap().count(),
        2
    );
}

#[test]
fn on_a_full_disk_a_target_stays_whole_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    // What is mounted lies above the folder that the shell is in, so that it has to go there again.
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && cd \"$1\" && echo before >out || exit 1; \
                  \"$2\" render --from \"$3\" --template \"#{{ 'x' * 100000 }}\" --target out; echo code $?; cat out; ls -A";
    let Output { stdout, stderr, .. } = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .args([binary(), RECORDED])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(
        String::from_utf8_lossy(&stdout),
        "code 3\nbefore\nout\n",
        "{told}"
    );
    assert!(told.contains("No space left"), "{told}");
}

#[test]
fn a_target_keeps_its_owner_its_group_and_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::write(&out, "before").unwrap();
    chown(&out, Some(33), Some(44)).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, told) = render(folder.path(), "#new");
    assert_eq!(code, Some(0), "{told}");
    let found = fs::metadata(&out).unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o777),
        (33, 44, 0o640)
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "new");
}

/// Who may not give a file away leaves it as it is: another owner would shut out whoever reads it.
#[test]
fn a_target_whose_owner_can_not_stay_is_told_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let out = folder.path().join("out");
    fs::write(&out, "before").unwrap();
    chown(&out, Some(33), Some(44)).unwrap();
    let script = format!(
        "exec {} render --from {RECORDED} --template '#new' --target out",
        binary()
    );
    let Output { status, stderr, .. } = Command::new("setpriv")
        .current_dir(folder.path())
        .args(["--bounding-set", "-chown", "--inh-caps", "-chown"])
        .args(["sh", "-c", &script])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("belongs to user 33 and group 44"), "{told}");
    assert!(told.contains("CHOWN"), "{told}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
