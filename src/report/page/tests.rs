//! Pages, of worlds made of words and broken in one place each.

use super::*;
use crate::{
    desire::tests::{container, proxy},
    observe::{Bearer, Health},
    report::overview::tests::{begun, overview},
};

fn shop() -> Bearer {
    container("shop", 4).label("host", "shop.example")
}

/// Status and text of a page, and how many steps it took.
fn seen(overview: Overview, path: &str, query: &str) -> (u16, String, usize) {
    let templates = PageTemplates::new().expect("templates can be read");
    let page = page(path, query, Rc::new(overview), &templates).expect("there is a page");
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
        let page = page(path, "", Rc::new(overview([])), &templates);
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
        place("nobody takes requests for /") < place("All names"),
        "{text}"
    );
    assert!(text.contains("docker logs late"), "{text}");
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
