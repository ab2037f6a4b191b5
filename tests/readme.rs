//! The README says what the tables say. `UPDATE_README=1 cargo test --test readme` writes them anew.

use std::{fs, path::Path};

use quaymaster::cli::reference;

/// Where which table stands. What templates see is long, and only looked up while writing one.
const PLACES: &[(&str, &str)] = &[
    ("### Commands", "commands"),
    ("### Exit codes", "exits"),
    ("### Labels", "labels"),
    ("### Settings", "settings"),
    ("### Kinds", "kinds"),
    ("### CAs", "cas"),
    ("### Filters", "filters"),
];

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
    let tables = reference::tables();
    for (heading, name) in PLACES {
        let table = tables.iter().find(|table| table.name == *name).unwrap_or_else(|| panic!("there is no {name}"));
        let (range, expected) = (under(&readme, heading), table.markdown());
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
