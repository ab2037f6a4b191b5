//! Pages, of worlds made of words and broken in one place each.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    desire::tests::{container, proxy},
    observe::{Bearer, Health, HistoryEntry},
    ports::{DiskError, FoundEntries},
    report::overview::tests::{begun, overview},
};

fn shop() -> Bearer {
    container("shop", 4).label("host", "shop.example")
}

/// A history in which a label has written.
struct Past;

impl Histories for Past {
    fn add_history(&self, _: &[HistoryEntry]) -> Result<(), DiskError> {
        panic!("pages write nothing")
    }

    fn history(&self, names: BTreeSet<String>) -> Box<dyn Iterator<Item = FoundEntries>> {
        let names: Vec<_> = names.into_iter().collect();
        let some = (0..120).map(move |number| {
            Ok(vec![HistoryEntry {
                at: Timestamp::from_seconds(1_700_000_000 + number),
                event: "failed".to_owned(),
                level: "error".to_owned(),
                names: names.clone(),
                text: format!("<script>{number}</script> of {}", names.join("+")),
            }])
        });
        let damaged = || DiskError::Damaged {
            path: "/state/history/old.jsonl".into(),
            problem: "it is not a file".to_owned(),
        };
        Box::new(some.chain(std::iter::once_with(move || Err(damaged()))))
    }
}

#[test]
fn the_page_of_a_name_has_what_happened_last_to_it_its_certificate_and_its_containers() {
    let (_, html, steps) = seen(overview([proxy(), shop()]), "/name/shop.example", "");
    let text = words(&html);
    assert!(text.contains("What has happened"), "{text}");
    assert_eq!(html.matches("of shop+shop.example").count(), 50, "{html}");
    let (latest, earlier) = (
        html.find("119&lt;").expect("it is there"),
        html.find("70&lt;").expect("it is there"),
    );
    assert!(latest < earlier && !html.contains("69&lt;"), "{html}");
    assert!(!html.contains("<script>"), "{html}");
    assert!(
        text.contains("/state/history/old.jsonl can't be understood: it is not a file"),
        "{text}"
    );
    assert!(steps > 120, "it is read in steps: {steps}");
}

/// Status and text of a page, and how many steps it took.
fn seen(overview: Overview, path: &str, query: &str) -> (u16, String, usize) {
    let templates = PageTemplates::new().expect("templates can be read");
    let page = page(path, query, Rc::new(overview), &templates, &Past).expect("there is a page");
    assert_eq!(page.media_type, "text/html; charset=utf-8");
    let pieces: Vec<_> = page.body.collect();
    let steps = pieces.len();
    let text = String::from_utf8(pieces.concat()).expect("it is text");
    assert!(text.ends_with("</html>"), "{text}");
    (page.status, text, steps)
}

/// The words of a page for a reader, in one line.
fn words(html: &str) -> String {
    let body = html.split_once("<main").expect("it has a main part").1;
    let mut words = String::new();
    for piece in body.split('<').skip(1) {
        words.push_str(piece.split_once('>').map_or("", |(_, text)| text));
        words.push(' ');
    }
    let words = words.replace("&#x2f;", "/").replace("&#x27;", "'");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_name_that_is_served_well_has_a_row_and_nothing_is_wrong() {
    let (status, html, _) = seen(overview([proxy(), shop()]), "/", "");
    let text = words(&html);
    assert_eq!(status, 200);
    assert!(
        text.contains("0 in trouble 0 to look at 0 waiting 1 served"),
        "{text}"
    );
    assert!(text.contains("shop.example served proxy 20"), "{text}");
    assert!(!text.contains("What is wrong"), "{text}");
}

#[test]
fn every_page_is_rendered_and_others_are_not_there() {
    for path in [
        "/",
        "/servers",
        "/cas",
        "/name/shop.example",
        "/name/*.example",
    ] {
        let (_, html, _) = seen(overview([proxy(), shop()]), path, "");
        assert!(html.contains("<nav aria-label=\"Pages\">"), "{path}");
        let empty = seen(overview([]), path, "").1;
        assert!(empty.contains("<h1>"), "{path}");
    }
    let templates = PageTemplates::new().expect("templates can be read");
    for path in ["/name/", "/name/a b", "/names", "/name/../x", ""] {
        let page = page(path, "", Rc::new(overview([])), &templates, &Past);
        assert!(page.is_none(), "{path}");
    }
}

#[test]
fn trouble_comes_first_in_words_with_what_to_do() {
    let mut silent = container("late", 5).label("host", "late.example");
    silent.health = Some(Health::Unhealthy);
    let mut odd = container("odd", 6).label("host", "odd.example");
    odd.exposed = [8080, 9090].into();
    let (_, html, _) = seen(overview([proxy(), shop(), silent, odd]), "/", "");
    let text = words(&html);
    let place = |words: &str| {
        text.find(words)
            .unwrap_or_else(|| panic!("{words}: {text}"))
    };
    assert!(place("What is wrong, and what to do") < place("All names"));
    assert!(
        place("no container takes requests for /") < place("All names"),
        "{text}"
    );
    assert!(text.contains("docker logs late"), "{text}");
    // As bad as it is in the table, and no worse.
    assert!(
        html.contains(
            "<article class=\"card bad\">\n<h3><a href=\"&#x2f;name&#x2f;late.example\">"
        ),
        "{html}"
    );
    assert!(
        text.contains("container odd, label quaymaster.port"),
        "{text}"
    );
    assert!(
        text.contains("add this label with the number of the port"),
        "{text}"
    );
    let table = &text[place("All names")..];
    let row = |host: &str| {
        table
            .find(host)
            .unwrap_or_else(|| panic!("{host}: {table}"))
    };
    assert!(
        row("late.example no container") < row("shop.example served"),
        "{table}"
    );
}

#[test]
fn an_engine_that_is_gone_is_on_each_page_with_the_reason() {
    for path in ["/", "/servers", "/cas", "/name/shop.example"] {
        let mut lost = overview([proxy(), shop()]);
        lost.tally.note_engine(
            None,
            Some("the Docker engine can't be <reached>".to_owned()),
        );
        let (_, html, _) = seen(lost, path, "");
        assert!(words(&html).contains("engine not reached"), "{path}");
        assert!(
            html.contains("engine can&#x27;t be &lt;reached&gt;"),
            "{html}"
        );
    }
}

#[test]
fn a_page_of_a_name_tells_its_story_and_its_certificate() {
    let (status, html, _) = seen(overview([proxy(), shop()]), "/name/shop.example", "");
    let text = words(&html);
    assert_eq!(status, 200);
    assert!(text.contains("served well"), "{text}");
    assert!(
        text.contains("container shop asks for it by its label quaymaster.host"),
        "{text}"
    );
    assert!(text.contains("live/shop.example"), "{text}");
    // Nobody looked, so nothing is said of that.
    assert!(!text.contains("can't be looked at from here"), "{text}");
    let (status, html, _) = seen(overview([proxy(), shop()]), "/name/sohp.example", "");
    assert_eq!(status, 404);
    assert!(words(&html).contains("No container asks for this name"));
}

#[test]
fn nothing_from_a_label_becomes_markup() {
    let evil = container("evil", 5).label("host", "<script>alert(1)</script>");
    let (_, html, _) = seen(overview([proxy(), evil]), "/", "q=%3Cscript%3E%22");
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
    // Nothing on a page is from elsewhere, or runs.
    for word in ["<script", "http://", "https://", "onload", "javascript:"] {
        let own = html.replace("https://ca.example/directory", "");
        assert!(!own.contains(word), "{word}: {own}");
    }
}

#[test]
fn thousands_of_names_are_shown_a_hundred_at_a_time_and_made_in_steps() {
    let hosts: Vec<_> = (0..450).map(|n| format!("n{n:04}.example")).collect();
    let many = || container("many", 6).label("host", &hosts.join(" "));
    let rows = |html: &str| html.matches("<tr class=").count();
    let (_, html, steps) = seen(begun([proxy(), many()]), "/", "");
    assert_eq!(rows(&html), 100);
    assert!(html.contains("450 names, page 1 of 5"), "{}", words(&html));
    assert!(steps > 4, "{steps} steps");
    let (_, html, _) = seen(begun([proxy(), many()]), "/", "page=5");
    assert_eq!(rows(&html), 50);
    assert!(html.contains("n0449.example") && !html.contains("Next page"));
    // A page that is not there is the last.
    for page in ["99", "18446744073709551615", "-1", "x"] {
        let (_, html, _) = seen(begun([proxy(), many()]), "/", &format!("page={page}"));
        assert!(rows(&html) > 0, "{page}");
    }
    let (_, html, _) = seen(begun([proxy(), many()]), "/", "q=N044");
    assert_eq!(rows(&html), 10);
}

/// The colours of a theme, by their names in the style sheet.
fn colours(block: &str) -> BTreeMap<&str, &str> {
    let declared = block
        .split(';')
        .filter_map(|line| line.trim().split_once(':'));
    let colours = declared.filter_map(|(name, value)| {
        Some((
            name.trim().strip_prefix("--")?,
            value.trim().strip_prefix('#')?,
        ))
    });
    colours.collect()
}

/// How bright a colour is.
///
/// <https://www.w3.org/TR/WCAG22/#dfn-relative-luminance>
fn luminance(colour: &str) -> f64 {
    let whole = match colour.len() {
        3 => colour.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => colour.to_owned(),
    };
    let part = |at: usize| {
        let byte = u8::from_str_radix(&whole[at..at + 2], 16).expect("two digits");
        let share = f64::from(byte) / 255.0;
        match share <= 0.040_45 {
            true => share / 12.92,
            false => ((share + 0.055) / 1.055).powf(2.4),
        }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn what_is_written_can_be_read_in_light_and_in_dark() {
    assert!((contrast("fff", "000000") - 21.0).abs() < 0.01);
    let css = include_str!("../../../templates/page/frame.html");
    assert!(css.contains("<meta name=\"color-scheme\" content=\"light dark\">"));
    let themes: Vec<_> = css
        .split(":root {")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or_default())
        .collect();
    assert_eq!(themes.len(), 2, "a light one and a dark one");
    let dark = css
        .split_once("@media (prefers-color-scheme: dark)")
        .expect("there is a dark theme")
        .1;
    assert!(dark.contains(themes[1]), "the second is the dark one");
    let names = |theme: &str| {
        colours(theme)
            .keys()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(themes[0]), names(themes[1]), "each colour is in both");
    for theme in themes {
        let colours = colours(theme);
        let plain = ["text", "soft", "link"].into_iter();
        let plain = plain.flat_map(|word| [(word, "page"), (word, "card")]);
        let badges = [
            ("bad", "bad-bg"),
            ("warn", "warn-bg"),
            ("wait", "wait-bg"),
            ("ok", "ok-bg"),
        ];
        for (written, ground) in plain.chain(badges) {
            let contrast = contrast(colours[written], colours[ground]);
            assert!(contrast >= 4.5, "{written} on {ground}: {contrast:.2}");
        }
        // What tells where a card or a field begins.
        for ground in ["page", "card"] {
            assert!(contrast(colours["soft"], colours[ground]) >= 3.0);
        }
    }
    // Nothing has a colour of its own beside these.
    let rules = css.split_once("* { box-sizing").expect("rules follow").1;
    for rule in rules
        .split_once("</style>")
        .expect("they end")
        .0
        .split([';', '{', '}'])
    {
        if let Some((name, value)) = rule.split_once(':')
            && matches!(name.trim(), "color" | "background")
        {
            let value = value.trim();
            assert!(value.starts_with("var(--") || value == "inherit", "{rule}");
        }
    }
}

/// What stands in an attribute, wherever a page has it.
fn attributes<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
    let start = format!(" {name}=\"");
    let values = html
        .split(&start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    values.collect()
}

#[test]
fn each_part_of_a_page_has_a_name_for_those_who_hear_it() {
    let mut odd = container("odd", 6).label("host", "odd.example");
    odd.exposed = [8080, 9090].into();
    for path in ["/", "/servers", "/cas", "/name/shop.example"] {
        let (_, html, _) = seen(overview([proxy(), shop(), odd.clone()]), path, "");
        assert_eq!(html.matches("<html lang=\"en\">").count(), 1, "{path}");
        assert_eq!(html.matches("<h1>").count(), 1, "{path}");
        let ids = attributes(&html, "id");
        for name in ["aria-labelledby", "for"] {
            for id in attributes(&html, name) {
                assert!(ids.contains(&id), "{path}: {name}={id}");
            }
        }
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{path}: {ids:?}");
        assert_eq!(
            html.matches("<input ").count(),
            attributes(&html, "for").len(),
            "{path}"
        );
        let tables = html.matches("<table>").count();
        assert_eq!(html.matches("<table>\n<caption>").count(), tables, "{path}");
        assert_eq!(
            html.matches("<th ").count(),
            html.matches("<th scope=").count(),
            "{path}"
        );
        for part in ["<section", "<nav", "<meter"] {
            let parts = html.split(part).skip(1);
            for tag in parts.filter_map(|rest| rest.split('>').next()) {
                assert!(tag.contains("aria-label"), "{path}: {part}{tag}");
            }
        }
        assert!(
            html.contains("<a class=\"skip\" href=\"#main\">") && ids.contains(&"main"),
            "{path}"
        );
    }
}
