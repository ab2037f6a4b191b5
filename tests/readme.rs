//! The README says what the tables say. `UPDATE_README=1 cargo test --test readme` writes them anew.

use std::{fs, path::Path};

use quaymaster::{
    desire::{KINDS, LABELS},
    settings::{DefaultValue, SETTINGS},
};

fn table(heading: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let columns = heading.split(" | ").count();
    let mut text = format!("| {heading} |\n|{}\n", " --- |".repeat(columns));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn tables() -> [(&'static str, String); 3] {
    let labels = LABELS.iter().map(|row| {
        let meaning = format!("{}: {}. Default: {}", row.syntax, row.doc, row.default);
        vec![format!("`quaymaster.{}`", row.key), format!("`{}`", row.example), meaning]
    });
    let settings = SETTINGS.iter().map(|row| {
        let default = match row.default {
            DefaultValue::Value(value) => format!("`{value}`"),
            DefaultValue::Words(words) => words.to_owned(),
        };
        vec![format!("`{}`", row.name), default, row.doc.to_owned()]
    });
    let kinds = KINDS.iter().map(|row| {
        vec![
            format!("`{}`", row.name),
            row.doc.to_owned(),
            format!("`{}`", row.config),
            format!("SIG{}", row.reload),
            format!("`{}`", row.check.join(" ")),
        ]
    });
    [
        ("### Labels", table("label | example | meaning", labels)),
        ("### Settings", table("setting | default | meaning", settings)),
        ("### Kinds", table("kind | what it is | config folder | reload | check, where granted", kinds)),
    ]
}

/// The table under a heading: its lines from the first `|` to the first line that is none.
fn under(readme: &str, heading: &str) -> std::ops::Range<usize> {
    let section = readme.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("README has no {heading}"));
    let start = section + readme[section..].find("\n|").unwrap_or_else(|| panic!("{heading} has no table")) + 1;
    let end = readme[start..].find("\n\n").map_or(readme.len(), |end| start + end + 1);
    start..end
}

#[test]
fn readme_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut readme = fs::read_to_string(&path).expect("there is a README");
    let update = std::env::vars().any(|(name, _)| name == "UPDATE_README");
    for (heading, expected) in tables() {
        let range = under(&readme, heading);
        if update {
            readme.replace_range(range, &expected);
        } else {
            assert_eq!(
                readme[range], expected,
                "{heading} differs; UPDATE_README=1 cargo test --test readme writes it anew"
            );
        }
    }
    if update {
        fs::write(path, readme).expect("the README is written");
    }
}
