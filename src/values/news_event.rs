use std::collections::BTreeSet;

use super::nearest;

/// An event that may be sent somewhere: a row of the table of such events.
#[derive(Debug, PartialEq, Eq)]
pub struct NewsEvent {
    /// The event's name, as the log has it.
    pub name: &'static str,
    /// The event that says that it is over; none where it is news of a moment.
    pub over: Option<&'static str>,
    /// The word that stands for it and others like it.
    pub group: &'static str,
    /// Its meaning, for people.
    pub doc: &'static str,
}

/// The group of events that are sent where nothing else is said.
const TROUBLE: &str = "trouble";
/// The group of events that say what became of certificates.
const CERTIFICATES: &str = "certificates";
/// The group of events about servers that refused something or were not seen with it.
const SERVERS: &str = "servers";
/// The word for all events.
const ALL: &str = "all";

const fn lasting(name: &'static str, over: &'static str, doc: &'static str) -> NewsEvent {
    NewsEvent {
        name,
        over: Some(over),
        group: TROUBLE,
        doc,
    }
}

const fn moment(name: &'static str, group: &'static str, doc: &'static str) -> NewsEvent {
    NewsEvent {
        name,
        over: None,
        group,
        doc,
    }
}

/// Every event that may be sent.
pub const NEWS_EVENTS: &[NewsEvent] = &[
    lasting(
        "failed",
        "failure-over",
        "a certificate could not be obtained, or a server could not be updated",
    ),
    lasting(
        "notice",
        "notice-over",
        "a certificate expires soon, has expired, or can't be used",
    ),
    lasting(
        "complaint",
        "complaint-over",
        "a label or a setting can't be followed, or a server holds something back",
    ),
    lasting(
        "consumer-stopped",
        "consumer-runs",
        "a server that quaymaster configures does not run",
    ),
    lasting(
        "waits",
        "waits-over",
        "a container comes and goes, so that it takes no requests",
    ),
    lasting(
        "engine-lost",
        "engine-seen",
        "the Docker engine can't be reached",
    ),
    lasting(
        "disk-fault",
        "disk-fault-over",
        "something on disk is not as it should be",
    ),
    lasting(
        "template-broken",
        "template-mended",
        "one of your templates can't be used",
    ),
    moment(
        "account-lost",
        TROUBLE,
        "a CA lost the account, and a new one was registered",
    ),
    moment(
        "account-damaged",
        TROUBLE,
        "an account on disk can't be used, and a new one takes its place",
    ),
    moment("obtained", CERTIFICATES, "a certificate was obtained"),
    moment(
        "fell-back",
        CERTIFICATES,
        "a self-signed certificate was made in place of one that is missing",
    ),
    moment(
        "other-ca",
        CERTIFICATES,
        "a different CA of the list is asked",
    ),
    moment(
        "mended",
        CERTIFICATES,
        "a damaged certificate was repaired from its copy",
    ),
    moment(
        "taken-up",
        CERTIFICATES,
        "a certificate of yours was copied over one of quaymaster's",
    ),
    moment(
        "archived",
        CERTIFICATES,
        "an unused certificate was archived",
    ),
    moment(
        "restored",
        CERTIFICATES,
        "an archived certificate is in use again",
    ),
    moment(
        "deleted",
        CERTIFICATES,
        "an archived certificate was deleted",
    ),
    moment(
        "refused",
        SERVERS,
        "a server refused a configuration or certificate",
    ),
    moment(
        "templates-refused",
        SERVERS,
        "a server refused what your new templates make",
    ),
    moment(
        "unproven",
        SERVERS,
        "a server was reloaded, but does not serve what is new",
    ),
];

impl NewsEvent {
    /// The row of the event with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        NEWS_EVENTS.iter().find(|row| row.name == name)
    }
}

/// The events that somebody wants to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewsChoice(BTreeSet<&'static str>);

impl Default for NewsChoice {
    fn default() -> Self {
        Self(names(TROUBLE).collect())
    }
}

/// The events that a word stands for.
fn names(word: &str) -> impl Iterator<Item = &'static str> {
    let rows = NEWS_EVENTS.iter();
    let rows = rows.filter(move |row| word == ALL || row.group == word || row.name == word);
    rows.map(|row| row.name)
}

impl NewsChoice {
    /// Reads names of events and groups, separated by commas or blanks.
    ///
    /// # Errors
    /// When there is none, or one is not known, naming the nearest.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut chosen = BTreeSet::new();
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            let before = chosen.len();
            let mut found = names(word).peekable();
            let is_known = found.peek().is_some();
            chosen.extend(found);
            if before == chosen.len() && !is_known {
                return Err(unknown(word));
            }
        }
        match chosen.is_empty() {
            true => Err("there is no event in it".to_owned()),
            false => Ok(Self(chosen)),
        }
    }

    /// Whether the event of this name is wanted.
    pub fn has(&self, event: &str) -> bool {
        self.0.contains(event)
    }
}

fn unknown(word: &str) -> String {
    let groups = [ALL, TROUBLE, CERTIFICATES, SERVERS];
    let words = NEWS_EVENTS.iter().map(|row| row.name).chain(groups);
    let overs = NEWS_EVENTS.iter().find(|row| row.over == Some(word));
    if let Some(row) = overs {
        return format!("{word} is sent with {}; write that", row.name);
    }
    let meant = nearest(word, words).map(|name| format!("did you mean {name}?"));
    let meant = meant.unwrap_or_else(|| {
        "write trouble, certificates, servers, all, or names of events".to_owned()
    });
    format!("{word:?} is not an event that can be sent; {meant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_chosen_by_name_and_by_group_and_another_word_is_told_the_right_one() {
        let trouble = NewsChoice::default();
        assert!(trouble.has("failed") && trouble.has("account-lost") && !trouble.has("obtained"));
        assert_eq!(NewsChoice::parse("trouble"), Ok(trouble));
        let both = NewsChoice::parse("obtained, failed failed").unwrap();
        assert!(both.has("obtained") && both.has("failed") && !both.has("notice"));
        let all = NewsChoice::parse("all").unwrap();
        assert!(NEWS_EVENTS.iter().all(|row| all.has(row.name)));
        for (wrong, expected) in [
            ("obtaind", "did you mean obtained?"),
            ("complaint-over", "complaint-over is sent with complaint"),
            ("xyzzyx", "write trouble, certificates, servers, all"),
            (" ,", "there is no event in it"),
        ] {
            let told = NewsChoice::parse(wrong).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn each_event_stands_there_once_and_each_word_for_itself() {
        let mut seen = BTreeSet::new();
        for row in NEWS_EVENTS {
            assert!(seen.insert(row.name), "{}", row.name);
            assert_eq!(NewsEvent::named(row.name), Some(row));
            assert!(!["all", "trouble", "certificates", "servers"].contains(&row.name));
        }
    }
}
