use std::{collections::BTreeMap, time::Duration};

use super::nearest;

/// Characters of a table's name.
const LONGEST_NAME: usize = 40;

/// The names of the tables `[dns.NAME]` of the settings, by which labels choose how TXT records are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsNames {
    waits: BTreeMap<String, Duration>,
    usual: Option<String>,
}

impl DnsNames {
    /// The tables that there are, with how long each one's records have to stand before a CA looks, and the table that the
    /// setting `dns` names. Where there is one table alone, it needs no setting.
    pub fn new(waits: BTreeMap<String, Duration>, setting: Option<String>) -> Self {
        let alone = || waits.keys().next().filter(|_| waits.len() == 1).cloned();
        let usual = setting.or_else(alone);
        Self { waits, usual }
    }

    /// Time that records of this table have to stand before a CA looks, at least.
    pub fn wait(&self, name: &str) -> Duration {
        self.waits.get(name).copied().unwrap_or_default()
    }

    /// The names of all tables.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.waits.keys().map(String::as_str)
    }

    /// Reads the name of a table.
    ///
    /// # Errors
    /// When it could not be written in a variable, too.
    pub fn read_name(word: &str) -> Result<String, String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match !word.is_empty() && word.len() <= LONGEST_NAME && word.chars().all(is_plain) {
            true => Ok(word.to_owned()),
            false => Err(
                "it is not the name of a table [dns.NAME]; such names have lower-case letters, digits and hyphens"
                    .to_owned(),
            ),
        }
    }

    /// The table that is used where no label says.
    pub fn usual(&self) -> Option<&str> {
        self.usual.as_deref()
    }

    /// The reason why records can't be set by the table of this name, and the remedy; none where they can.
    pub fn problem(&self, name: Option<&str>) -> Option<(String, String)> {
        match name {
            Some(name) if self.waits.contains_key(name) => None,
            Some(name) => {
                let meant = nearest(name, self.known()).map(|meant| format!(", or did you mean {meant}?"));
                Some((
                    format!("the settings have no table [dns.{name}]"),
                    format!(
                        "write the table [dns.{name}] with its provider into the settings{}",
                        meant.unwrap_or_default()
                    ),
                ))
            }
            None if self.waits.is_empty() => Some((
                "dns-01 needs a TXT record, and the settings do not say how it is set".to_owned(),
                "write a table [dns.NAME] with its provider into the settings, or challenge=http-01"
                    .to_owned(),
            )),
            None => {
                let known: Vec<_> = self.known().collect();
                Some((
                    "there are several tables [dns.NAME], and nothing says which of them sets its record"
                        .to_owned(),
                    format!(
                        "write one of them, {}, into the label dns or the setting dns",
                        known.join(", ")
                    ),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_table_needs_no_word_and_others_are_named() {
        let names = |known: &[&str], setting: Option<&str>| {
            let known = known
                .iter()
                .map(|name| ((*name).to_owned(), Duration::ZERO));
            let known = known.collect();
            DnsNames::new(known, setting.map(str::to_owned))
        };
        assert_eq!(names(&["home"], None).usual(), Some("home"));
        assert_eq!(names(&["home", "work"], None).usual(), None);
        assert_eq!(names(&["home", "work"], Some("work")).usual(), Some("work"));
        let both = names(&["home", "work"], None);
        assert_eq!(both.problem(Some("home")), None);
        for (names, asked, problem, remedy) in [
            (&both, None, "several tables", "home, work"),
            (
                &both,
                Some("hone"),
                "no table [dns.hone]",
                "did you mean home?",
            ),
            (
                &DnsNames::default(),
                None,
                "do not say how it is set",
                "a table [dns.NAME]",
            ),
        ] {
            let told = names.problem(asked).expect("it can't be followed");
            assert!(told.0.contains(problem), "{told:?}");
            assert!(told.1.contains(remedy), "{told:?}");
        }
    }
}
