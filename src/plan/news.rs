//! Decisions about news: what a receiver is told, when, in which order, and when it is tried again.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    observe::{Happening, News, NewsBook, OpenMatter, OwedNews},
    values::{NotifySettings, Timestamp},
};

/// News that is owed to one receiver at the same time: a day of trouble fits, and a broken receiver fills no disk.
const MOST_OWED: usize = 500;

/// Matters of which the end is waited for.
const MOST_OPEN: usize = 2000;

/// The pause after the first failure to deliver, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Enters what has happened. Says whether anything is to be written down.
pub fn enter(book: &mut NewsBook, happening: &Happening, wanted: &NotifySettings) -> bool {
    let is_wanted = |news: &News| wanted.events.has(&news.event) && wanted.is_about(&news.names);
    match happening {
        Happening::Moment(news) if is_wanted(news) => owe(book, news.clone()),
        // It is told once, however often it is met.
        Happening::Begins(news) if is_wanted(news) && !book.open.contains_key(&news.matter) => {
            if book.open.len() >= MOST_OPEN {
                book.dropped += 1;
                return true;
            }
            book.next += 1;
            let open = OpenMatter {
                news: news.clone(),
                number: book.next,
                is_told: false,
            };
            book.open.insert(news.matter.clone(), open);
        }
        _ => return false,
    }
    true
}

/// Ends a matter. Says whether anything is to be written down.
pub fn end(book: &mut NewsBook, matter: &str, now: Timestamp) -> bool {
    let Some(open) = book.open.remove(matter) else {
        return false;
    };
    // What was over before anybody was told of it stays between us.
    if open.is_told {
        let News { text, at, .. } = &open.news;
        owe(
            book,
            News {
                is_over: true,
                text: format!("resolved: {text}"),
                at: now,
                since: *at,
                ..open.news.clone()
            },
        );
    }
    true
}

/// Ends what is open and not so any more, as it may be after a start.
pub fn end_others(book: &mut NewsBook, ongoing: &BTreeSet<String>, now: Timestamp) -> bool {
    let gone: Vec<_> = book
        .open
        .keys()
        .filter(|matter| !ongoing.contains(*matter))
        .cloned()
        .collect();
    gone.iter()
        .fold(false, |changed, matter| end(book, matter, now) | changed)
}

/// Owes what has lasted long enough to be told.
pub fn ripen(book: &mut NewsBook, after: Duration, now: Timestamp) -> bool {
    let ripe = |open: &&mut OpenMatter| !open.is_told && wait(open, after, now).is_zero();
    let mut due = Vec::new();
    for open in book.open.values_mut().filter(ripe) {
        open.is_told = true;
        due.push((open.number, open.news.clone()));
    }
    due.sort_by_key(|(number, _)| *number);
    let is_any = !due.is_empty();
    due.into_iter().for_each(|(_, news)| owe(book, news));
    is_any
}

/// How long it takes until the next matter has lasted long enough; nothing where none is waited for.
pub fn next_ripe(book: &NewsBook, after: Duration, now: Timestamp) -> Option<Duration> {
    let waiting = book.open.values().filter(|open| !open.is_told);
    waiting.map(|open| wait(open, after, now)).min()
}

/// How long a matter has to last still. A clock that was set back makes nobody wait longer than they said.
fn wait(open: &OpenMatter, after: Duration, now: Timestamp) -> Duration {
    (open.news.at + after).since(now).min(after)
}

fn owe(book: &mut NewsBook, news: News) {
    if book.owed.len() >= MOST_OWED {
        book.owed.pop_front();
        book.dropped += 1;
    }
    book.next += 1;
    // The time is in it, because a receiver may remember ids longer than we remember a number.
    let id = format!("{}-{}", news.at.millis(), book.next);
    book.owed.push_back(OwedNews { id, news });
}

/// Takes what was delivered, and the count of what was told as left out with it, off the book.
pub fn delivered(book: &mut NewsBook, id: &str, dropped: u64) {
    book.owed.retain(|owed| owed.id != id);
    book.dropped = book.dropped.saturating_sub(dropped);
}

/// The pause after so many failures in a row, and no shorter than the receiver asks for within reason.
pub fn pause_after(failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::NewsChoice;

    const T: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn news(event: &str, name: &str) -> News {
        News {
            event: event.to_owned(),
            matter: format!("{event} {name}"),
            is_over: false,
            level: "error".to_owned(),
            names: vec![name.to_owned()],
            text: format!("{name} is ill"),
            at: T,
            since: T,
            certificate: None,
        }
    }

    fn owed(book: &NewsBook) -> Vec<String> {
        book.owed
            .iter()
            .map(|owed| owed.news.text.clone())
            .collect()
    }

    #[test]
    fn trouble_is_told_once_when_it_has_lasted_and_once_more_when_it_is_over() {
        let (mut book, wanted) = (NewsBook::default(), NotifySettings::default());
        let ill = Happening::Begins(news("failed", "shop.example"));
        assert!(enter(&mut book, &ill, &wanted));
        assert!(!enter(&mut book, &ill, &wanted), "it is open already");
        assert_eq!(next_ripe(&book, wanted.after, T), Some(wanted.after));
        assert!(!ripen(&mut book, wanted.after, T + wanted.after - SECOND));
        assert!(ripen(&mut book, wanted.after, T + wanted.after));
        assert!(!ripen(&mut book, wanted.after, T + wanted.after * 9));
        assert_eq!(next_ripe(&book, wanted.after, T), None);
        assert!(!enter(&mut book, &ill, &wanted), "it is told already");
        assert!(end(&mut book, "failed shop.example", T + SECOND));
        assert!(!end(&mut book, "failed shop.example", T + SECOND));
        assert_eq!(
            owed(&book),
            ["shop.example is ill", "resolved: shop.example is ill"]
        );
        let over = &book.owed[1].news;
        assert_eq!((over.is_over, over.since, over.at), (true, T, T + SECOND));
        assert_ne!(book.owed[0].id, book.owed[1].id);
    }

    #[test]
    fn what_is_over_before_it_was_told_is_not_told() {
        let (mut book, wanted) = (NewsBook::default(), NotifySettings::default());
        enter(&mut book, &Happening::Begins(news("failed", "a")), &wanted);
        assert!(end(&mut book, "failed a", T + SECOND));
        assert!(book.open.is_empty() && book.owed.is_empty(), "{book:?}");
    }

    #[test]
    fn what_becomes_due_together_is_told_in_the_order_in_which_it_happened() {
        let (mut book, wanted) = (NewsBook::default(), NotifySettings::default());
        for name in ["z", "a", "m"] {
            enter(&mut book, &Happening::Begins(news("failed", name)), &wanted);
        }
        assert!(ripen(&mut book, Duration::ZERO, T));
        assert_eq!(owed(&book), ["z is ill", "a is ill", "m is ill"]);
    }

    #[test]
    fn what_ended_while_nobody_looked_is_over_at_the_next_start() {
        let (mut book, wanted) = (NewsBook::default(), NotifySettings::default());
        for name in ["a", "b"] {
            enter(&mut book, &Happening::Begins(news("failed", name)), &wanted);
        }
        ripen(&mut book, Duration::ZERO, T);
        book.owed.clear();
        assert!(end_others(
            &mut book,
            &["failed b".to_owned()].into(),
            T + SECOND
        ));
        assert_eq!(owed(&book), ["resolved: a is ill"]);
        assert!(!end_others(
            &mut book,
            &["failed b".to_owned()].into(),
            T + SECOND
        ));
    }

    #[test]
    fn events_and_names_choose_and_a_clock_that_was_set_back_delays_nothing() {
        let wanted = NotifySettings {
            events: NewsChoice::parse("obtained failed").unwrap(),
            names: vec!["a".to_owned()],
            ..NotifySettings::default()
        };
        let mut book = NewsBook::default();
        for (happening, expected) in [
            (Happening::Moment(news("obtained", "a")), true),
            (Happening::Moment(news("obtained", "b")), false),
            (Happening::Moment(news("archived", "a")), false),
            (Happening::Begins(news("notice", "a")), false),
            (Happening::Begins(news("failed", "a")), true),
        ] {
            assert_eq!(
                enter(&mut book, &happening, &wanted),
                expected,
                "{happening:?}"
            );
        }
        assert_eq!(owed(&book), ["a is ill"]);
        let long_ago = T - Duration::from_secs(1_000_000);
        assert_eq!(next_ripe(&book, SECOND, long_ago), Some(SECOND));
    }

    #[test]
    fn what_is_owed_is_bounded_and_what_was_left_out_is_counted() {
        let (mut book, wanted) = (NewsBook::default(), NotifySettings::default());
        for number in 0..MOST_OWED + 3 {
            let lost = Happening::Moment(news("account-lost", &number.to_string()));
            enter(&mut book, &lost, &wanted);
        }
        assert_eq!((book.owed.len(), book.dropped), (MOST_OWED, 3));
        let first = book.owed[0].clone();
        assert_eq!(first.news.text, "3 is ill");
        delivered(&mut book, &first.id, 2);
        assert_eq!((book.owed.len(), book.dropped), (MOST_OWED - 1, 1));
        assert_eq!(book.owed[0].news.text, "4 is ill");
        for number in 0..=MOST_OPEN {
            enter(
                &mut book,
                &Happening::Begins(news("failed", &number.to_string())),
                &wanted,
            );
        }
        assert_eq!((book.open.len(), book.dropped), (MOST_OPEN, 2));
    }

    #[test]
    fn pauses_grow_up_to_an_hour_and_a_receiver_s_wish_counts_within_that() {
        let seconds = |failures, asked| pause_after(failures, asked).as_secs();
        assert_eq!(
            [1, 2, 3, 9, 10, 1000].map(|n| seconds(n, None)),
            [10, 20, 40, 2560, 3600, 3600]
        );
        assert_eq!(seconds(1, Some(Duration::from_secs(90))), 90);
        assert_eq!(seconds(1, Some(Duration::from_secs(90_000))), 3600);
    }
}
