use std::collections::{BTreeMap, BTreeSet};

use crate::observe::PartName;

/// The check of new files by the consumer's own tool, before the consumer reloads, and the meaning of the tool's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The command; it refuses with any exit code but 0.
    pub words: Vec<String>,
    /// The new files and certificates, by the paths that the tool knows them by.
    pub names: BTreeMap<String, PartName>,
    /// The mark of those lines of its output that give the reason for a refusal.
    pub refuses: &'static str,
}

/// The most characters of a tool's output that people are shown.
const LONGEST: usize = 500;

impl Check {
    /// The new parts that the tool blames. A line is about the file that it names last: what stands before may be text
    /// that a file quotes.
    pub fn blamed(&self, output: &str) -> BTreeSet<PartName> {
        let last = |line: &&str| {
            let places = self
                .names
                .iter()
                .filter_map(|(path, file)| Some((place(line, path)?, file)));
            places
                .max_by_key(|(place, _)| *place)
                .map(|(_, file)| file.clone())
        };
        self.lines(output).iter().filter_map(last).collect()
    }

    /// The reason for its refusal, in its own words.
    pub fn reason(&self, output: &str) -> String {
        let reason = on_one_line(&self.lines(output).join("\n"));
        match reason.is_empty() {
            true => format!("`{}` says nothing", shell_words::join(&self.words)),
            false => reason,
        }
    }

    /// The lines with the reason, without what stands before that, such as the time; all of them where none has one.
    fn lines<'a>(&self, output: &'a str) -> Vec<&'a str> {
        let telling: Vec<_> = output
            .lines()
            .filter_map(|line| Some(&line[line.find(self.refuses)?..]))
            .collect();
        if telling.is_empty() {
            output.lines().collect()
        } else {
            telling
        }
    }
}

/// The words about a command that was run somewhere and failed.
pub fn run_failed(words: &[String], code: i64, output: &str) -> String {
    format!(
        "`{}` fails in it with exit code {code}: {}",
        shell_words::join(words),
        on_one_line(output)
    )
}

/// The output of a tool, as people read it: no container can write into a terminal or forge a line of the log.
fn on_one_line(output: &str) -> String {
    let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = line.chars().take(LONGEST).map(|c| match c {
        ' '..='~' => c.to_string(),
        _ => c.escape_debug().to_string(),
    });
    let more = if line.chars().nth(LONGEST).is_some() {
        "…"
    } else {
        ""
    };
    shown.collect::<String>() + more
}

/// Where a line names this path last: the whole of it, not the beginning of a longer one.
fn place(line: &str, path: &str) -> Option<usize> {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let whole = |at: &usize| {
        let (before, after) = (&line[..*at], &line[*at + path.len()..]);
        !before.ends_with(goes_on) && !after.starts_with(goes_on)
    };
    line.match_indices(path)
        .map(|(at, _)| at)
        .filter(whole)
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/etc/nginx/conf.d";

    fn file(name: &str) -> PartName {
        PartName::try_from(name.to_owned()).expect("a name")
    }

    fn check(files: &[&str]) -> Check {
        let named = |name: &&str| (format!("{FOLDER}/{name}"), file(name));
        let words = ["nginx", "-t"].map(str::to_owned).into();
        Check {
            words,
            names: files.iter().map(named).collect(),
            refuses: "[emerg]",
        }
    }

    fn blamed(output: &str) -> Vec<String> {
        let files = [
            "quaymaster-a.example.conf",
            "quaymaster-a.example.conf.x",
            "quaymaster-b.example.conf",
        ];
        check(&files)
            .blamed(output)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_file_that_the_words_end_in_is_blamed() {
        for (output, expected) in [
            (
                "nginx: [emerg] unknown directive \"x\" in {}/quaymaster-a.example.conf:12\nnginx: configuration file \
              /etc/nginx/nginx.conf test failed\n",
                &["quaymaster-a.example.conf"][..],
            ),
            (
                "[emerg] x in {}/quaymaster-a.example.conf.x:1",
                &["quaymaster-a.example.conf.x"],
            ),
            // Warnings about one, refused for the other.
            (
                "nginx: [warn] y in {}/quaymaster-a.example.conf:1\nnginx: [emerg] x in {}/quaymaster-b.example.conf:2",
                &["quaymaster-b.example.conf"],
            ),
            // What a file quotes accuses nobody.
            (
                "[emerg] host not found in \"{}/quaymaster-b.example.conf:1\" in {}/quaymaster-a.example.conf:3",
                &["quaymaster-a.example.conf"],
            ),
            // The user's own, or none at all.
            (
                "[emerg] a duplicate default server in /etc/nginx/sites-enabled/default:22",
                &[],
            ),
            ("[emerg] x in {}/quaymaster-c.example.conf:1", &[]),
            ("[emerg] x in /other{}/quaymaster-a.example.conf:1", &[]),
            (
                "[emerg] cannot load certificate \"/certificates/live/a/fullchain.pem\"",
                &[],
            ),
            ("", &[]),
            // Another tool may name several, and mark no line.
            (
                "{}/quaymaster-a.example.conf: no\n{}/quaymaster-b.example.conf: no",
                &["quaymaster-a.example.conf", "quaymaster-b.example.conf"],
            ),
        ] {
            assert_eq!(blamed(&output.replace("{}", FOLDER)), expected, "{output}");
        }
    }

    #[test]
    fn the_reason_is_what_the_tool_says_on_one_line() {
        let check = check(&[]);
        let output =
            "nginx: [warn] old\r\nnginx: [emerg]  unknown\u{1b}[2J \"x\"\nnginx: test failed\n";
        assert_eq!(check.reason(output), "[emerg] unknown\\u{1b}[2J \"x\"");
        assert_eq!(check.reason("one\n two\n"), "one two");
        assert_eq!(check.reason(" \n"), "`nginx -t` says nothing");
        assert_eq!(check.reason(&"ä".repeat(5000)).chars().count(), LONGEST + 1);
    }
}
