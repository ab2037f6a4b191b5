use super::terminal::Paint;
use crate::report::Findings;

/// Rows of words as aligned columns, two blanks apart, under a heading; nothing when there are no rows. On a terminal
/// that is too narrow cells go on below themselves, and where that is too narrow, too, each row is a list.
pub(super) fn table<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells = |column: usize| {
        rows.iter()
            .map(move |row| row[column].as_str())
            .chain([heading[column]])
    };
    let characters = |text: &str| text.chars().count();
    let natural =
        std::array::from_fn(|column| cells(column).map(characters).max().unwrap_or_default());
    let words = std::array::from_fn(|column| {
        cells(column)
            .flat_map(|cell| cell.split(' '))
            .map(characters)
            .max()
            .unwrap_or_default()
    });
    let Some(widths) = fitted(natural, words, width) else {
        return listed(heading, rows, width);
    };
    let heading = heading.map(str::to_owned);
    [&heading]
        .into_iter()
        .chain(rows)
        .map(|row| lines(row, &widths))
        .collect()
}

/// The widths of columns that fit: the widest give way first, and none breaks a word, since people copy names; nothing
/// when they can't.
fn fitted<const N: usize>(
    mut widths: [usize; N],
    words: [usize; N],
    width: Option<usize>,
) -> Option<[usize; N]> {
    let Some(width) = width else {
        return Some(widths);
    };
    let room = width.saturating_sub(2 * N.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let able = widths
            .iter_mut()
            .zip(words)
            .filter(|(width, word)| **width > *word);
        let (widest, _) = able.max_by_key(|(width, _)| **width)?;
        *widest -= 1;
    }
    Some(widths)
}

/// One row, on as many lines as its longest cell needs.
fn lines<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells: [Vec<String>; N] =
        std::array::from_fn(|column| wrapped(&row[column], widths[column]));
    let most = cells.iter().map(Vec::len).max().unwrap_or_default();
    let line = |number: usize| {
        let each = cells.iter().zip(widths);
        let each = each
            .map(|(cell, width)| format!("{:width$}", cell.get(number).map_or("", String::as_str)));
        format!("{}\n", each.collect::<Vec<_>>().join("  ").trim_end())
    };
    (0..most).map(line).collect()
}

/// Each row as its words under their headings, an empty line between rows.
fn listed<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> String {
    let item = |row: &[String; N]| {
        let lines = heading.iter().zip(row).enumerate();
        lines
            .map(|(number, (heading, cell))| match number {
                0 => format!("{heading} {cell}\n"),
                _ => format!(
                    "  {}: {}\n",
                    heading.to_lowercase(),
                    hanging(cell, 4 + heading.len(), width)
                ),
            })
            .collect::<String>()
    };
    rows.iter().map(item).collect::<Vec<_>>().join("\n")
}

/// A text in lines of at most `width` characters, broken between words where that can be.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.len() > width {
            lines.push(String::new());
        }
        while word.len() > width {
            let rest = word.split_off(width);
            fill(&mut lines, &word);
            lines.push(String::new());
            word = rest;
        }
        fill(&mut lines, &word);
    }
    lines
}

fn fill(lines: &mut [String], word: &[char]) {
    let Some(line) = lines.last_mut() else { return };
    if !line.is_empty() {
        line.push(' ');
    }
    line.extend(word);
}

/// Findings, each under what it is about, with its remedy below it.
pub(super) fn findings(findings: &Findings, paint: Paint, width: Option<usize>) -> String {
    let mut parts: Vec<(&str, String)> = Vec::new();
    for finding in &findings.0 {
        let mut lines = format!(
            "  {}  {}\n",
            paint.state(finding.state),
            hanging(&finding.says, 11, width)
        );
        if let Some(remedy) = &finding.remedy {
            lines.push_str(&format!("{:11}-> {}\n", "", hanging(remedy, 14, width)));
        }
        match parts.iter_mut().find(|(about, _)| *about == finding.about) {
            Some((_, text)) => text.push_str(&lines),
            None => parts.push((finding.about, lines)),
        }
    }
    parts
        .into_iter()
        .map(|(about, lines)| format!("\n{about}\n{lines}"))
        .collect()
}

/// A text whose further lines begin below its first.
pub(super) fn hanging(text: &str, indent: usize, width: Option<usize>) -> String {
    // Narrower than this, a text is easier to read where the terminal breaks it.
    const NARROWEST_TEXT: usize = 24;
    match width
        .and_then(|width| width.checked_sub(indent))
        .filter(|room| *room >= NARROWEST_TEXT)
    {
        Some(room) => wrapped(text, room).join(&format!("\n{:indent$}", "")),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 3]) -> [String; 3] {
        cells.map(str::to_owned)
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_word() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["shop.example".to_owned(), "22".to_owned()],
        ];
        assert_eq!(
            table(["NAME", "N"], &rows, None),
            "NAME          N\na             1\nshop.example  22\n"
        );
        assert_eq!(table(["NAME"], &[], None), "");
    }

    #[test]
    fn a_narrow_terminal_gets_every_word_all_the_same() {
        let rows = [row([
            "shop.example",
            "valid",
            "2027-02-20T18:17:00Z and some more words",
        ])];
        for width in [20, 40, 60, 80] {
            let text = table(["CERTIFICATE", "STATE", "UNTIL"], &rows, Some(width));
            let words: Vec<_> = text.split_whitespace().collect();
            for word in ["shop.example", "valid", "2027-02-20T18:17:00Z", "words"] {
                assert!(words.contains(&word), "{width}: {text}");
            }
            if width > 20 {
                assert!(
                    text.lines().all(|line| line.chars().count() <= width),
                    "{width}: {text}"
                );
            }
        }
        assert_eq!(
            table(["CERTIFICATE", "STATE", "UNTIL"], &rows, Some(20)),
            "CERTIFICATE shop.example\n  state: valid\n  until: 2027-02-20T18:17:00Z and some more words\n"
        );
    }

    #[test]
    fn words_that_are_too_long_are_broken_and_none_is_lost() {
        assert_eq!(wrapped("ab cdefghij k", 4), ["ab", "cdef", "ghij", "k"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("a b c", 5), ["a b c"]);
    }
}
