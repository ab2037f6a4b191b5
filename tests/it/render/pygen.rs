//! The output of docker-pygen for templates over a recorded world, byte for byte (`tests/pygen`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::program::binary;

/// The text in a target before, so that it is seen whether that was kept.
const BEFORE: &str = "as it was before";

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pygen")
}

/// Renders templates into targets of their own, all by one program: what each target holds then, and what was told.
fn rendered(templates: &[PathBuf]) -> (Vec<String>, Output) {
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<_> = (0..templates.len())
        .map(|number| folder.path().join(number.to_string()))
        .collect();
    let mut command = Command::new(binary());
    command.current_dir(cases()).env_clear();
    command.env("CASE_FROM_ENV", "from the environment");
    command.env("CASE_FROM_BOTH", "env");
    command.args(["render", "--from", "world.json"]);
    for (template, target) in templates.iter().zip(&targets) {
        fs::write(target, BEFORE).unwrap();
        command
            .arg("--template")
            .arg(template)
            .arg("--target")
            .arg(target);
    }
    let output = command.output().unwrap();
    let texts = targets
        .iter()
        .map(|target| fs::read_to_string(target).unwrap());
    (texts.collect(), output)
}

#[test]
fn templates_come_out_with_the_bytes_of_docker_pygen_or_are_refused_as_there() {
    let mut templates: Vec<_> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "tmpl"))
        .collect();
    templates.sort();
    assert!(templates.len() >= 16, "only {templates:?} are read");
    for template in templates {
        // By its bare name, as people write it in a container's working folder.
        let name = PathBuf::from(template.file_name().unwrap());
        let (texts, output) = rendered(&[name]);
        let told = String::from_utf8_lossy(&output.stderr);
        let is_refused = template.with_extension("refused").exists();
        let expected = match is_refused {
            true => BEFORE.to_owned(),
            false => fs::read_to_string(template.with_extension("expected")).unwrap(),
        };
        assert_eq!(texts[0], expected, "{}: {told}", template.display());
        let code = if is_refused { 3 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}: {told}",
            template.display()
        );
    }
}

/// Each line of `expressions.json` is a template and what docker-pygen with Jinja2 3.1.6 made of it, or null where it ended
/// with an error.
#[test]
fn expressions_come_out_with_the_bytes_of_docker_pygen_or_are_refused_as_there() {
    let recorded = fs::read_to_string(cases().join("expressions.json")).unwrap();
    let recorded: Vec<(String, Option<String>)> = serde_json::from_str(&recorded).unwrap();
    assert!(recorded.len() > 700, "only {} are read", recorded.len());
    let folder = tempfile::tempdir().unwrap();
    let write = |(number, (text, _)): (usize, &(String, Option<String>))| {
        let path = folder.path().join(format!("{number}.tmpl"));
        fs::write(&path, text).unwrap();
        path
    };
    let templates: Vec<_> = recorded.iter().enumerate().map(write).collect();
    let (texts, output) = rendered(&templates);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "some are refused: {told}");
    let wrong: Vec<_> = recorded
        .iter()
        .zip(&texts)
        .filter(|((_, expected), text)| expected.as_deref().unwrap_or(BEFORE) != *text)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{told}");
}

#[test]
fn the_line_of_the_article_that_forgets_first_is_refused_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("certbot.tmpl");
    let line = "certbot --email {{ containers.matching('certbot-helper').labels.letsencrypt_email }} --agree-tos\n";
    fs::write(&template, format!("# plan\n{line}")).unwrap();
    let (texts, output) = rendered(&[template]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (texts[0].as_str(), output.status.code()),
        (BEFORE, Some(3)),
        "{told}"
    );
    assert!(
        told.contains("line 2: ") && told.contains("write `.first.labels`"),
        "{told}"
    );
}
