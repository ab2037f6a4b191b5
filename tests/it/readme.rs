//! Pages say what the tables say, and lead where they say. `UPDATE_README=1 cargo test --test it readme::` writes them anew. What it quotes of
//! the program's words is in the program, and what the Debian package brings fits it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use quaymaster::cli::reference;

/// Where which table stands: the page, the heading, the table. What templates there are and see is long, and only looked up
/// while writing one.
const PLACES: &[(&str, &str, &str)] = &[
    ("docs/reference.md", "## Commands", "commands"),
    ("docs/reference.md", "## Exit codes", "exits"),
    ("docs/reference.md", "## Labels", "labels"),
    ("docs/reference.md", "## Settings", "settings"),
    ("docs/reference.md", "## Kinds", "kinds"),
    ("docs/reference.md", "## Layouts", "layouts"),
    ("docs/reference.md", "## CAs", "cas"),
    ("docs/reference.md", "## Labels of other tools", "dialects"),
    ("docs/reference.md", "## Metrics", "metrics"),
    ("docs/cas.md", "## A CA of your own", "ca-settings"),
    ("docs/engines.md", "## Keys of the table", "engine-settings"),
    ("docs/dns.md", "## Keys of the table", "dns-settings"),
    ("docs/dns.md", "## Providers", "dns-providers"),
    (
        "docs/notifications.md",
        "## Keys of the table",
        "notify-settings",
    ),
    ("docs/notifications.md", "## Formats", "notify-formats"),
    ("docs/notifications.md", "## Events", "notify-events"),
    ("docs/templates.md", "## Filters", "filters"),
    (
        "docs/templates.md",
        "## Files of your own",
        "output-settings",
    ),
];

/// The table under a heading: its lines from the first `|` to the first line that is none.
fn under(page: &str, heading: &str) -> std::ops::Range<usize> {
    let section = page
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading}"));
    let start = section
        + page[section..]
            .find("\n|")
            .unwrap_or_else(|| panic!("{heading} has no table"))
        + 1;
    let end = page[start..]
        .find("\n\n")
        .map_or(page.len(), |end| start + end + 1);
    start..end
}

fn at(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn pages_say_what_the_tables_say() {
    let update = std::env::vars().any(|(name, _)| name == "UPDATE_README");
    let tables = reference::tables();
    for (path, heading, name) in PLACES {
        let table = tables
            .iter()
            .find(|table| table.name == *name)
            .unwrap_or_else(|| panic!("there is no {name}"));
        let mut page = read(path);
        let (range, expected) = (under(&page, heading), table.markdown());
        if update {
            page.replace_range(range, &expected);
            fs::write(at(path), page).expect("the page is written");
        } else {
            assert_eq!(
                page[range], expected,
                "{path}, {heading} differs; UPDATE_README=1 cargo test --test it readme:: writes it anew"
            );
        }
    }
}

/// All pages that people read, by their paths.
fn pages() -> Vec<String> {
    let within = |folder: &str| {
        let entries = fs::read_dir(at(folder)).expect("it can be listed");
        let names = entries.map(|entry| entry.expect("it can be listed").file_name());
        let names = names.map(|name| name.into_string().expect("a plain name"));
        names.collect::<Vec<_>>()
    };
    let docs = within("docs")
        .into_iter()
        .map(|name| format!("docs/{name}"));
    let stacks = within("compose").into_iter();
    let stacks = stacks.map(|name| format!("compose/{name}/README.md"));
    let own = ["README.md", "CONTRIBUTING.md"].map(str::to_owned);
    let all = own.into_iter().chain(docs).chain(stacks);
    all.filter(|page| at(page).is_file()).collect()
}

/// The anchor of a heading in links, as web sites with Markdown make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// The places of a page that links can lead to.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}

/// Where the links of a page lead.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target);
    targets
        .filter(|target| !target.starts_with("http"))
        .collect()
}

#[test]
fn each_link_leads_somewhere_and_readme_leads_to_each_page() {
    let (mut seen, pages) = (0, pages());
    for page in &pages {
        let text = read(page);
        for link in links(&text) {
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => at(page),
                path => at(page).parent().expect("a folder").join(path),
            };
            assert!(target.exists(), "{page}: {link}");
            if !place.is_empty() {
                let there = fs::read_to_string(&target).expect("it is a page");
                assert!(
                    anchors(&there).contains(&place.to_owned()),
                    "{page}: {link}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
    let readme = read("README.md");
    let linked = links(&readme);
    for page in pages.iter().filter(|page| page.starts_with("docs/")) {
        assert!(
            linked.contains(&page.as_str()),
            "README does not lead to {page}"
        );
    }
}

/// All our code, with texts that go on over lines put together.
fn code(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            all += &code(&path);
        } else {
            let text = fs::read_to_string(&path).expect("code is text");
            all.extend(
                text.split("\\\n")
                    .enumerate()
                    .map(|(n, part)| if n == 0 { part } else { part.trim_start() }),
            );
        }
    }
    all
}

#[test]
fn what_people_look_up_when_something_is_wrong_is_what_they_are_told() {
    let (page, code) = (read("docs/trouble.md"), code(&at("src")));
    let table = &page[page
        .find("| you see |")
        .expect("there is a table of symptoms")..];
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let seen = rows.map(|row| row.split('|').nth(1).expect("a row has cells"));
    let quoted = seen.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    // What stands for something else differs each time.
    let phrases: Vec<_> = quoted
        .flat_map(|text| text.split(['…', ':']))
        .flat_map(|text| text.split("quaymaster-NAME.conf"))
        .flat_map(|text| text.split("NAME"))
        .map(str::trim)
        .filter(|text| text.len() > 3)
        .collect();
    assert!(phrases.len() > 8, "{phrases:?}");
    for phrase in phrases {
        assert!(code.contains(phrase), "nothing in src says {phrase:?}");
    }
}

#[test]
fn what_people_copy_survives_a_signal_by_docker() {
    for path in [
        "README.md",
        "compose/quickstart/docker-compose.yml",
        "compose/hardened/docker-compose.yml",
        "compose/mosquitto/docker-compose.yml",
        "compose/gateway/docker-compose.yml",
        "compose/haproxy/docker-compose.yml",
        "compose/chat/docker-compose.yml",
        "compose/mail/docker-compose.yml",
        "compose/own-certificate/docker-compose.yml",
        "compose/wildcard/docker-compose.yml",
        "compose/metrics/docker-compose.yml",
        "compose/certbot-helper/docker-compose.yml",
        "compose/certbot-helper/without-helper/docker-compose.yml",
    ] {
        let text = read(path);
        let policies = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("restart: "));
        let policies: Vec<_> = policies.collect();
        assert!(
            policies.len() >= 2 && policies.iter().all(|policy| *policy == "always"),
            "{path}: {policies:?}"
        );
    }
    // `always` needs a stop signal that is not the one that reloads.
    for (image, signal) in [
        ("quaymaster", "SIGTERM"),
        ("nginx", "SIGQUIT"),
        ("mosquitto", "SIGTERM"),
        ("gateway", "SIGTERM"),
        ("haproxy", "SIGUSR1"),
        ("postfix", "SIGTERM"),
        ("dovecot", "SIGTERM"),
        ("prosody", "SIGTERM"),
        ("certbot-helper", "SIGTERM"),
        ("knot", "SIGTERM"),
        ("metrics", "SIGTERM"),
    ] {
        let recipe = read(&format!("compose/images/{image}/Dockerfile"));
        let line = format!("STOPSIGNAL {signal}");
        assert!(recipe.lines().any(|written| written == line), "{image}");
    }
}

/// The keys of a unit's section, with their values.
fn unit<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

#[test]
fn the_unit_starts_what_the_package_brings() {
    let text = read(".deb/quaymaster.service");
    let manifest: toml::Table = read("Cargo.toml").parse().expect("it is TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .expect("a list");
    let targets: Vec<_> = assets
        .iter()
        .map(|asset| format!("/{}", asset[1].as_str().expect("a path")))
        .collect();
    let start: Vec<_> = unit(&text, "ExecStart")[0].split_whitespace().collect();
    let ["/usr/bin/quaymaster", command, "--config", config] = start[..] else {
        panic!("{start:?}")
    };
    assert!(
        targets.contains(&"/usr/bin/".to_owned()) && targets.contains(&config.to_owned()),
        "{targets:?}"
    );
    let table = |name: &str| {
        reference::tables()
            .into_iter()
            .find(|table| table.name == name)
            .expect("it is there")
    };
    assert!(
        table("commands")
            .markdown()
            .contains(&format!("`quaymaster {command}`")),
        "{command}"
    );

    let settings: toml::Table = read(".deb/config.toml").parse().expect("it is TOML");
    let known = table("settings").markdown();
    for name in settings.keys() {
        assert!(
            known.contains(&format!("| `{name}` |")),
            "there is no setting {name}"
        );
    }
    assert_eq!(
        settings["state"].as_str(),
        Some(format!("/var/lib/{}", unit(&text, "StateDirectory")[0]).as_str()),
        "the service can write to its state"
    );
}
