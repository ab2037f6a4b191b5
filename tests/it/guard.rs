//! The rules that hold the house together: the rooms that a room may use, the place of effects, one TLS provider and
//! one HTTP stack.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which rooms each room may use besides itself; the order is that of the data's way.
const MAY_USE: &[(&str, &[&str])] = &[
    ("values", &[]),
    // It names the library as those outside do, and only tests may use it.
    ("fixtures", &[]),
    ("observe", &["values"]),
    ("desire", &["values", "observe"]),
    ("render", &["values"]),
    ("plan", &["values", "observe", "desire", "render"]),
    ("ports", &["values", "observe"]),
    ("report", &["values", "observe", "desire", "plan", "ports"]),
    (
        "execute",
        &["values", "observe", "desire", "plan", "ports", "report"],
    ),
    ("watching", &["values", "observe", "desire", "ports"]),
    (
        "daemon",
        &[
            "values", "observe", "desire", "plan", "execute", "ports", "report", "render",
            "watching", "generate",
        ],
    ),
    (
        "generate",
        &[
            "values", "observe", "desire", "plan", "ports", "report", "render", "watching",
        ],
    ),
    ("adapters", &["values", "observe", "ports"]),
    ("settings", &["values"]),
    (
        "cli",
        &[
            "values", "observe", "desire", "plan", "execute", "ports", "report", "render",
            "daemon", "generate", "adapters", "settings",
        ],
    ),
];

/// Effects, as they are written; only adapters may, and `main` hands arguments and environment in.
const EFFECTS: &[&str] = &[
    "std::fs",
    "fs::",
    "tokio::fs",
    "SystemTime::now",
    "std::env::var(",
    "process::Command",
    "TcpStream",
    "UnixStream",
    "TcpListener",
    "rand::",
    "File::open",
];

/// Names under which anything ends up.
const NO_ROOMS: &[&str] = &[
    "utils", "util", "common", "helpers", "types", "models", "manager", "misc",
];

/// Lines of a function, from `fn` to its closing brace.
const LONGEST_FUNCTION: usize = 60;

/// Words of a question: a doc that begins with one names its item late, or never.
const QUESTIONS: &[&str] = &["What", "Whether", "Why", "How"];

/// Words and turns that a tired reader, or one whose English is a second language, has to read twice.
const HARD_WORDS: &[&str] = &[
    "told",
    "whom",
    "besides",
    "in vain",
    "all the same",
    "of ours",
];

fn sources() -> Vec<(PathBuf, String)> {
    sources_in("src")
}

fn sources_in(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources can be listed") {
            let path = entry.expect("a folder of sources can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source can be read");
                found.push((
                    path.strip_prefix(&root).expect("it is in there").to_owned(),
                    text,
                ));
            }
        }
    }
    found.sort();
    assert!(
        found.len() > 30,
        "only {} sources were found: the guard looks in the wrong place",
        found.len()
    );
    found
}

/// The first component: `plan/mod.rs` and `plan.rs` are both the room `plan`.
fn room(path: &Path) -> String {
    let first = path
        .components()
        .next()
        .expect("a path has a component")
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// A file without the tests at its foot.
fn without_tests(text: &str) -> &str {
    let feet = ["mod tests {", "pub(super) mod tests {"];
    let mut cut = feet.iter().filter_map(|foot| {
        let (code, _) = text.split_once(&format!("#[cfg(test)]\n{foot}"))?;
        Some(code)
    });
    cut.next().unwrap_or(text)
}

/// The code without comments, and without the tests at its foot: a test may take its world from anywhere.
fn code(text: &str) -> String {
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    without_tests(text)
        .lines()
        .filter(|line| !is_comment(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A file of tests, or one in a folder of tests.
fn is_of_tests(path: &Path) -> bool {
    let parts = path.with_extension("");
    parts
        .iter()
        .any(|part| part.to_string_lossy().ends_with("tests"))
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The rooms named after `crate::`, in a `use` with braces too.
fn used(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(block) => rooms.extend(first_words(block)),
            None => rooms.push(word(rest)),
        }
    }
    rooms
}

/// The names of types that are seen outside of their file.
fn public_types(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = match rest.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1,
            None => rest,
        };
        let (kind, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
        ["struct", "enum", "trait", "type", "union"]
            .contains(&kind)
            .then(|| word(rest))
    };
    // A macro's `$name` is none.
    let names = code.lines().filter_map(name);
    names.filter(|name| !name.is_empty()).collect()
}

/// The first line of each doc of an item or a module, with its number.
fn docs(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut before = None;
    for (number, line) in (1..).zip(text.lines().map(str::trim_start)) {
        let doc = ["///", "//!"]
            .into_iter()
            .find_map(|kind| Some((kind, line.strip_prefix(kind)?)));
        if let Some((kind, words)) = doc
            && before != Some(kind)
        {
            found.push((number, words.trim()));
        }
        before = doc.map(|(kind, _)| kind);
    }
    found
}

fn is_question(doc: &str) -> bool {
    let first = doc.split(|c: char| !c.is_alphanumeric()).next();
    first.is_some_and(|word| QUESTIONS.contains(&word))
}

/// The first word of each entry of a `use` block, given from behind its opening brace.
fn first_words(block: &str) -> Vec<String> {
    let (mut depth, mut rooms, mut at_start) = (0, Vec::new(), true);
    for (index, c) in block.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !c.is_whitespace() => {
                at_start = false;
                rooms.push(word(&block[index..]));
            }
            _ => {}
        }
    }
    rooms
}

/// The names of functions with a body, and their lengths in lines: as rustfmt leaves them, one ends with a brace below
/// the beginning of its first line.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        if line.ends_with('}') {
            found.push((name, 1));
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let beside = |line: &&str| {
            line.strip_prefix(indent)
                .is_some_and(|rest| !rest.starts_with(' ') && !rest.is_empty())
        };
        for (more, line) in lines[first..]
            .iter()
            .enumerate()
            .filter(|(_, line)| beside(line))
        {
            if line.ends_with(';') {
                break;
            }
            if line.trim_start() == "}" {
                found.push((name, more + 1));
                break;
            }
        }
    }
    found
}

/// The name of the function that begins on a line.
fn function_name(line: &str) -> Option<String> {
    let (before, rest) = line.trim_start().split_once("fn ")?;
    let is_qualifier = |word: &str| {
        ["pub", "const", "async", "unsafe"].contains(&word) || word.starts_with("pub(")
    };
    before
        .split_whitespace()
        .all(is_qualifier)
        .then(|| word(rest))
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The string literals of code, each with the number of its first line.
fn literals(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '\'' => character(rest),
            '"' => {
                let length = end_of_literal(&rest[1..]) + 2;
                found.push((line, joined(&rest[1..length - 1])));
                length
            }
            _ => c.len_utf8(),
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of a character literal; of a lifetime, that of its mark.
fn character(rest: &str) -> usize {
    let inner = rest[1..].strip_prefix('\\').unwrap_or(&rest[1..]);
    let begin = rest.len() - inner.len();
    match inner.char_indices().nth(1) {
        Some((at, '\'')) => begin + at + 1,
        _ => 1,
    }
}

/// The length of a literal's text, given from behind its opening quote.
fn end_of_literal(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            '"' if !is_escaped => return index,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len() - 1
}

/// A literal without the line breaks that only the source has.
fn joined(literal: &str) -> String {
    let mut pieces = literal.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start())
}

/// Pages that users read, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![PathBuf::from("README.md")];
    for folder in ["docs", "templates/page"] {
        pages.extend(entries(root, Path::new(folder)));
    }
    let stacks = entries(root, Path::new("compose"));
    let stacks = stacks.into_iter().map(|stack| stack.join("README.md"));
    pages.extend(stacks.filter(|page| root.join(page).exists()));
    pages
        .into_iter()
        .map(|page| {
            let text = fs::read_to_string(root.join(&page)).expect("a page can be read");
            (page, text)
        })
        .collect()
}

/// What lies in a folder of the repository, by paths from its top.
fn entries(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).expect("a folder of pages can be listed");
    entries
        .map(|entry| folder.join(entry.expect("a folder of pages can be listed").file_name()))
        .collect()
}

/// A page without its examples, in lines of prose.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The hard words of a text: what stands between backticks or braces is a name.
fn hard_words(text: &str) -> Vec<String> {
    let mut plain = without(&without(text, '`', '`'), '{', '}').to_lowercase();
    plain.retain(|c| c.is_alphanumeric() || " -'\n".contains(c));
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = format!(" {} ", words.join(" "));
    let named = HARD_WORDS
        .iter()
        .filter(|hard| line.contains(&format!(" {hard} ")));
    let mut found: Vec<String> = named.map(ToString::to_string).collect();
    for (index, three) in words.windows(3).enumerate() {
        // "It is no host" negates a noun; "there is no host" and "it is no longer" say what they mean.
        let is_negated = ["is", "are"].contains(&three[0]) && three[1] == "no";
        let before = index.checked_sub(1).map(|before| words[before]);
        let is_usual =
            matches!(before, Some("there" | "here")) || ["longer", "more"].contains(&three[2]);
        if is_negated && !is_usual {
            found.push(three.join(" "));
        }
    }
    found
}

/// A text without what stands between two characters.
fn without(text: &str, opening: char, closing: char) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, inner)) = rest.split_once(opening) {
        kept += before;
        kept.push(' ');
        rest = inner.split_once(closing).map_or("", |(_, after)| after);
    }
    kept + rest
}

#[test]
fn texts_for_users_are_read_once() {
    let (mut read, mut wrong) = (0, Vec::new());
    for (path, text) in sources() {
        if is_of_tests(&path) || room(&path) == "fixtures" {
            continue;
        }
        for (number, literal) in literals(without_tests(&text)) {
            // A single word is a name.
            if literal.matches(' ').count() < 2 {
                continue;
            }
            read += 1;
            for word in hard_words(&literal) {
                wrong.push(format!("src/{}:{number}: {word}", path.display()));
            }
        }
    }
    assert!(read > 2000, "only {read} texts are read");
    let pages = pages();
    assert!(pages.len() > 25, "only {} pages are read", pages.len());
    for (path, text) in pages {
        let text = prose(&text);
        let words = text.split("\n\n").flat_map(hard_words);
        wrong.extend(words.map(|word| format!("{}: {word}", path.display())));
    }
    assert!(
        wrong.is_empty(),
        "say it with the words of Docker, nginx and certbot, subject first: {wrong:#?}"
    );
}

#[test]
fn each_room_uses_only_what_it_may() {
    let may_use: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "lib" || room == "main" || is_of_tests(&path) {
            continue;
        }
        let Some(allowed) = may_use.get(room.as_str()) else {
            wrong.push(format!(
                "{}: the room {room} is not in the table",
                path.display()
            ));
            continue;
        };
        for other in used(&code(&text)) {
            if other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} may not use {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn effects_live_in_adapters() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if matches!(room(&path).as_str(), "adapters" | "main") || is_test(&path) {
            continue;
        }
        let code = code(&text);
        wrong.extend(
            EFFECTS
                .iter()
                .filter(|effect| code.contains(**effect))
                .map(|e| format!("{}: {e}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_room_is_for_anything() {
    for (path, _) in sources() {
        for part in path.components() {
            let name = part.as_os_str().to_string_lossy();
            assert!(
                !NO_ROOMS.contains(&name.trim_end_matches(".rs")),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn every_module_says_what_lives_there() {
    for (path, text) in sources() {
        let is_front_door =
            path.file_name().is_some_and(|name| name == "mod.rs") || path.components().count() == 1;
        assert!(
            !is_front_door || text.starts_with("//!"),
            "{} has no module doc",
            path.display()
        );
    }
}

#[test]
fn a_file_can_be_read_at_one_go() {
    const MOST: usize = 500;
    let lines = |text: &str| without_tests(text).lines().count();
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| !is_of_tests(path) && lines(text) > MOST)
        .map(|(path, text)| format!("{}: {} lines", path.display(), lines(&text)))
        .collect();
    assert!(long.is_empty(), "do two ideas live there? {long:#?}");
}

#[test]
fn a_function_can_be_held_in_mind() {
    let (mut read, mut long) = (0, BTreeMap::new());
    for (path, text) in sources() {
        if is_of_tests(&path) {
            continue;
        }
        for (name, lines) in functions(without_tests(&text)) {
            read += 1;
            if lines > LONGEST_FUNCTION {
                long.insert((path.display().to_string(), name), lines);
            }
        }
    }
    assert!(read > 1500, "only {read} functions are read");
    assert!(
        long.is_empty(),
        "what could be functions of their own? {long:#?}"
    );
}

#[test]
fn docs_name_the_thing_first() {
    const ONE_IN: usize = 20;
    let (mut read, mut questions) = (0, Vec::new());
    for (path, text) in sources() {
        for (number, doc) in docs(&text) {
            read += 1;
            if is_question(doc) {
                questions.push(format!("{}:{number}: {doc}", path.display()));
            }
        }
    }
    assert!(read > 5000, "only {read} docs of items are read");
    let first: Vec<_> = questions.iter().take(20).collect();
    assert!(
        questions.len() * ONE_IN <= read,
        "{} of {read} docs of items begin with {}: more than one in {ONE_IN}; begin with a noun or a verb, such as \
         \"True if …\", \"The reason …\", \"Number of …\". The first of them: {first:#?}",
        questions.len(),
        QUESTIONS.join(", ")
    );
}

#[test]
fn a_type_that_others_can_name_has_its_name_for_itself() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        if is_of_tests(&path) {
            continue;
        }
        for name in public_types(&code(&text)) {
            let place = path.display().to_string();
            places.entry(name).or_default().push(place);
        }
    }
    assert!(places.len() > 200, "only {} types are read", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "names of several types: {places:#?}");
}

/// The names of tests in the last cells of a page's tables.
fn named_tests(page: &str) -> Vec<String> {
    let cells = page
        .lines()
        .filter_map(|line| Some(line.strip_suffix("` |")?.rsplit_once("| ")?.1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn each_test_that_a_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = sources_in("src").into_iter().chain(sources_in("tests"));
    let code: String = tests.map(|(_, text)| text).collect();
    let bare: String = code
        .lines()
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    let is_test = |name: &String| {
        [
            format!("test]\nfn {name}("),
            format!("test]\nasync fn {name}("),
            format!("test(start_paused = true)]\nasync fn {name}("),
        ]
        .iter()
        .any(|written| bare.contains(written))
    };
    for (page, least) in [
        ("tests/README.md", 100),
        ("docs/coming-from.md", 40),
        ("docs/coming-from-manuale.md", 10),
        ("docs/threats.md", 40),
    ] {
        let text = fs::read_to_string(root.join(page)).expect("there is such a page");
        let mut named = named_tests(&text);
        assert!(
            named.len() > least,
            "{page}: only {named:?} are read as names of tests"
        );
        named.retain(|name| !is_test(name));
        assert!(named.is_empty(), "{page}: no such tests: {named:?}");
    }
}

#[test]
fn the_guard_sees_what_it_is_to_see() {
    let page = "| a | `b` | c |\n| `d` | e | `f`, `g_h` |\n| i | `j` |\n";
    assert_eq!(named_tests(page), ["f", "g_h", "j"]);
    let code = "use crate::{\n    values::{A, B},\n    plan::Plan,\n};\nuse crate::ports;\ncrate::daemon::x();";
    assert_eq!(used(code), ["values", "plan", "ports", "daemon"]);
    let code =
        "pub struct A;\n    pub(super) enum B<'a> {\npub fn c()\nstruct D;\npub(crate) type E = A;";
    assert_eq!(public_types(code), ["A", "B", "E"]);
    let code = "pub(super) async fn one(\n    a: u8,\n) -> u8 {\n    {\n        a\n    }\n}\n\
                trait T {\n    fn none(&self);\n    fn two(&self) {\n        // fn none() {\n\n    }\n}\n\
                impl<F: Fn(u8)> U for F {\n    fn three() {}\n}\n";
    let found = functions(code);
    let found: Vec<_> = found
        .iter()
        .map(|(name, lines)| (name.as_str(), *lines))
        .collect();
    assert_eq!(found, [("one", 7), ("two", 4), ("three", 1)]);
    let code = "//! Why one.\n//! How.\n\n/// Whether two.\n#[a]\nlet a = 1; // What.\n    /// However.\n///\n/// What.\n";
    let found = docs(code);
    assert_eq!(
        found,
        [(1, "Why one."), (4, "Whether two."), (7, "However.")]
    );
    let questions: Vec<_> = found.iter().map(|(_, doc)| is_question(doc)).collect();
    assert_eq!(questions, [true, true, false]);
    let code = "a('\"', \"b \\\"c\\\" \\\n   d\"); // \"no\"\nfn e<'a>() { \"f\" }";
    let found = literals(code);
    let found: Vec<_> = found
        .iter()
        .map(|(line, text)| (*line, text.as_str()))
        .collect();
    assert_eq!(found, [(1, "b \\\"c\\\" d"), (3, "f")]);
    let text =
        "It is no\nhost, Told `whom` {told}; there is no port, and it is no longer all the same.";
    assert_eq!(hard_words(text), ["told", "all the same", "is no host"]);
    assert_eq!(prose("a\n```sh\ntold\n```\nb"), "a\n\nb");
}

#[test]
fn there_is_one_tls_provider_and_one_http_stack() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"))
        .expect("there is a lock");
    let lock: toml::Table = lock.parse().expect("the lock is TOML");
    let packages = lock["package"].as_array().expect("it lists packages");
    let named = |name: &str| {
        packages
            .iter()
            .filter(|package| package["name"].as_str() == Some(name))
            .count()
    };
    for name in [
        "openssl-sys",
        "native-tls",
        "boring",
        "mbedtls",
        "reqwest",
        "ureq",
        "isahc",
        "curl",
        "actix-http",
    ] {
        assert_eq!(
            named(name),
            0,
            "{name} would be a second TLS provider or HTTP stack"
        );
    }
    for name in [
        "rustls",
        "hyper",
        "hyper-util",
        "http",
        "aws-lc-rs",
        "tokio",
    ] {
        assert_eq!(named(name), 1, "{name} must be there once");
    }
    // The lock lists these for features of rustls-webpki and hyper that nobody turns on: what is built is what counts.
    for name in ["ring", "h2"] {
        assert_eq!(
            built_with(name),
            "",
            "{name} would be a second TLS provider or HTTP stack"
        );
    }
}

/// Who brings a package into the build; nothing when nobody does.
fn built_with(name: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo alone knows which features are on"
    )]
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "--target",
            "all",
            "--invert",
            name,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    String::from_utf8_lossy(&tree.stdout).into_owned()
}
