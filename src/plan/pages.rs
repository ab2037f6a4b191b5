//! The reading of a page that another server shows where ours was looked for.

use std::net::IpAddr;

use crate::{observe::VisitEnd, values::Host};

/// Words on pages of those who sell names.
const PARKED: &[&str] = &[
    "domain is for sale",
    "domain for sale",
    "buy this domain",
    "domain is parked",
    "parked domain",
    "parked free",
    "domain has been registered",
    "domain parking",
    "diese domain",
];

/// Number of characters of another server's words that are shown.
const SHOWN: usize = 60;

/// The answer of another server at this address. A page inside a network is not for everybody who reads our status: at
/// most its title is shown.
pub fn stranger(at: IpAddr, status: u16, server: Option<&str>, page: &str) -> VisitEnd {
    let text = first_words(page);
    let lower = text.to_lowercase();
    let quote = match Host::from(at).is_reserved() {
        true => first_words(title(page).unwrap_or_default()),
        false => text,
    };
    VisitEnd::Other {
        status,
        server: server.map(first_words),
        is_parked: PARKED.iter().any(|words| lower.contains(words)),
        quote: cut(&quote, SHOWN),
    }
}

/// The text between the tags of the title.
fn title(page: &str) -> Option<&str> {
    // That has the same bytes at the same places.
    let lower = page.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let begin = tag + lower[tag..].find('>')? + 1;
    let length = lower[begin..].find("</title")?;
    Some(&page[begin..begin + length])
}

/// Number of characters of a page's text that are kept.
const KEPT: usize = 400;

/// The words of a page for its readers: its text in one line, without tags and what a terminal acts upon.
fn first_words(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while text.len() < KEPT * 4 && !rest.is_empty() {
        let (before, tag) = rest.split_once('<').unwrap_or((rest, ""));
        text.push_str(before);
        text.push(' ');
        let skipped = ["script", "style"].iter().find(|name| {
            let begin = tag.get(..name.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        });
        // What such an element holds is no text.
        let end = skipped.and_then(|_| tag.find("</").map(|at| &tag[at + 1..]));
        rest = end.unwrap_or(tag);
        rest = rest.split_once('>').map_or("", |(_, after)| after);
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), KEPT)
}

/// The server that answers with a page of its own, in words.
pub(super) fn other(status: u16, server: Option<&str>, is_parked: bool, quote: &str) -> String {
    let who = match server {
        Some(server) => format!(" ({})", cut(server, 40)),
        None => String::new(),
    };
    let what = match is_parked {
        true => format!("a parking page answers{who}"),
        false => format!("another server{who} answers with status {status}"),
    };
    match quote {
        "" => what,
        quote => format!("{what}: {quote:?}"),
    }
}

/// Number of characters of a thumbprint: those of 32 bytes in base64url.
///
/// <https://www.rfc-editor.org/rfc/rfc7638#section-3>
const THUMBPRINT: usize = 43;

/// The answer by the thumbprint of another account's key, where a page is such a one; `own` is what is looked for.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.1>
pub fn other_account(token: &str, own: &str, page: &str) -> Option<VisitEnd> {
    let thumbprint = |text: &str| {
        let after = text.trim_end().strip_prefix(token)?.strip_prefix('.')?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_one = after.len() == THUMBPRINT && after.bytes().all(is_base64url);
        is_one.then(|| after.to_owned())
    };
    Some(VisitEnd::OtherAccount {
        own: thumbprint(own)?,
        answered: thumbprint(page).filter(|_| own != page.trim_end())?,
    })
}

/// The beginning of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_for_another_account_is_told_from_any_other_page() {
        let (ours, theirs) = ("o".repeat(43), "T-_0".repeat(11)[..43].to_owned());
        let own = format!("token.{ours}");
        let told = VisitEnd::OtherAccount {
            answered: theirs.clone(),
            own: ours.clone(),
        };
        for (page, end) in [
            (format!("token.{theirs}"), Some(&told)),
            (format!("token.{theirs}\n"), Some(&told)),
            (own.clone(), None),
            (format!("other.{theirs}"), None),
            (format!("token.{theirs}x"), None),
            (format!("token.{}", "é".repeat(43)), None),
            (format!("token{theirs}"), None),
            ("token.".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(other_account("token", &own, &page).as_ref(), end, "{page}");
        }
        let unknown = "token.0123456789abcdef";
        assert_eq!(
            other_account("token", unknown, &format!("token.{theirs}")),
            None
        );
    }

    #[test]
    fn of_a_page_inside_a_network_the_title_is_shown_at_most() {
        let page =
            "<TITLE lang=en>FRITZ!Box</TITLE><p>the password is 1234, this domain is for sale";
        let untitled = "<title>the password is 1234";
        let quoted = |at: &str, page: &str| {
            let at = at.parse().expect("an address");
            match stranger(at, 200, None, page) {
                VisitEnd::Other {
                    is_parked, quote, ..
                } => (is_parked, quote),
                end => panic!("{end:?}"),
            }
        };
        for at in [
            "10.0.0.5",
            "172.16.0.1",
            "192.168.178.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.5",
        ] {
            assert_eq!(quoted(at, page), (true, "FRITZ!Box".to_owned()), "{at}");
            assert_eq!(quoted(at, untitled), (false, String::new()), "{at}");
        }
        let whole = "FRITZ!Box the password is 1234, this domain is for sale";
        for at in ["1.2.3.4", "2606:4700::1"] {
            assert_eq!(quoted(at, page), (true, whole.to_owned()), "{at}");
        }
        let long = format!("<title>{}</title>", "x".repeat(1000));
        assert_eq!(quoted("10.0.0.5", &long).1.len(), SHOWN);
    }

    #[test]
    fn the_words_of_a_page_are_its_text_without_tags_scripts_and_escapes() {
        for (page, words) in [
            (
                "<!DOCTYPE html>\n<html><head><title>Parked</title><style>a{b}</style></head><body>\x1b[31m Hi",
                "Parked [31m Hi",
            ),
            ("plain\r\ntext", "plain text"),
            ("<script>if (a<b) x</script>ö", "ö"),
            ("<unfinished", ""),
            ("", ""),
        ] {
            assert_eq!(first_words(page), words);
        }
        assert_eq!(first_words(&"ä ".repeat(10_000)).chars().count(), KEPT);
    }
}
