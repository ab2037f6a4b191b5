//! Templates as docker-gen's users have them, in our own writing and translated as `docs/coming-from.md` says, over a recorded
//! world (`tests/docker-gen`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::program::binary;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker-gen")
}

/// The output for a template, and the log.
fn rendered(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(binary());
    command.current_dir(cases()).env_clear();
    command.env("REGISTRAR", "us");
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .args(["render", "--from", "world.json", "--template"])
        .args(words)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// `UPDATE_RENDERED=1` writes what comes out. Where a template has a file `.refused`, it holds what is told.
#[test]
fn translations_of_docker_gen_s_templates_come_out_as_their_files_say() {
    let update = std::env::vars().any(|(name, _)| name == "UPDATE_RENDERED");
    let mut templates: Vec<_> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "tmpl"))
        .collect();
    templates.sort();
    assert!(templates.len() >= 13, "only {templates:?} are read");
    for template in templates {
        let (code, out, told) = rendered(&[template.to_str().unwrap()]);
        let (refused, expected) = (
            template.with_extension("refused"),
            template.with_extension("expected"),
        );
        let name = template.display();
        if refused.exists() {
            let words = fs::read_to_string(refused).unwrap();
            assert_eq!((code, out.as_str()), (Some(3), ""), "{name}: {told}");
            assert!(told.contains(words.trim_end()), "{name}: {told}");
            continue;
        }
        assert_eq!(code, Some(0), "{name}: {told}");
        assert!(!told.contains("WARN"), "{name}: {told}");
        match update {
            true => fs::write(expected, out).unwrap(),
            false => assert_eq!(out, fs::read_to_string(expected).unwrap(), "{name}"),
        }
    }
}

#[test]
fn a_go_template_is_recognised_and_told_how_to_go_on() {
    let (code, out, told) = rendered(&["13-go.tmpl"]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{told}");
    for words in [
        "line 1: this is a Go template",
        "{% for c in containers %}",
        "docs/coming-from.md",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn templates_see_those_alone_that_expose_or_publish_a_port_where_that_is_said() {
    const NAMES: &str = "#{% for c in containers %}{{ c.name }} {% endfor %}";
    for (option, expected) in [
        (&[][..], "quiet tunnel blog shop-2 shop nginx "),
        (&["--only-exposed"], "tunnel blog shop-2 shop nginx "),
        (&["--only-published"], "blog nginx "),
        (&["--only-exposed", "--only-published"], "blog nginx "),
    ] {
        let (code, out, told) = rendered(&[&[NAMES], option].concat());
        assert_eq!((code, out.as_str()), (Some(0), expected), "{told}");
    }
}

/// Each name that the page maps is one that docker-gen has, and each filter or name that it is mapped to is there: the cells
/// on the right are templates.
#[test]
fn what_the_page_says_to_write_for_docker_gen_s_functions_and_data_can_be_written() {
    let page = include_str!("../../../docs/coming-from.md");
    let table = page
        .split("\n### What its templates become\n")
        .nth(1)
        .unwrap();
    let table = table.split("\n#").next().unwrap();
    let mut tried = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split(" | ").collect();
        for words in cells[1].split('`').skip(1).step_by(2) {
            let words = words.replace("\\|", "|");
            let template = match words.starts_with("{%") {
                true => format!("#{words}"),
                false => format!(
                    "#{{% set other = containers.last %}}{{% for c in containers %}}{{% for n in c.networks %}}\
                     {{% for p in c.ports.published %}}{{{{ {words} }}}}{{% endfor %}}{{% endfor %}}{{% endfor %}}"
                ),
            };
            let (code, _, told) = rendered(&[&template]);
            assert_eq!(code, Some(0), "{words}: {told}");
            assert!(!told.contains("WARN"), "{words}: {told}");
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} are tried");
}
