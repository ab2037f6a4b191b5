use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use thiserror::Error;
use url::Url;

use super::{
    CA_PRESETS, CaLimits, ExternalAccount, Issuer, IssuerName, IssuerNames, Issuers, Limit,
    MacAlgorithm, Secret, in_one_spelling, issuers::listed, nearest, preset_at,
};

/// The settings of one CA; none for what they leave to the settings about all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaSettings {
    /// The URL of its directory, in one spelling; a preset brings its own.
    pub directory: Option<String>,
    /// A file with roots that are trusted in addition to the usual ones.
    pub root: Option<PathBuf>,
    /// True if its terms are agreed to.
    pub agree_tos: Option<bool>,
    /// The contact.
    pub email: Option<String>,
    /// New orders of one account; inside, nothing where it has no such limit.
    pub orders: Option<Option<Limit>>,
    /// The same of certificates for exactly the same names.
    pub same_names: Option<Option<Limit>>,
    /// The same of failed validations of one name.
    pub failures: Option<Option<Limit>>,
    /// The same of new orders in any second.
    pub orders_per_second: Option<Option<u32>>,
    /// True if renewals count as no new orders.
    pub are_renewals_exempt: Option<bool>,
    /// The CA's name for the key that it gave out at its web site.
    pub eab_key_id: Option<String>,
    /// That key.
    pub eab_key: Option<Secret>,
    /// A file with that key.
    pub eab_key_file: Option<PathBuf>,
    /// The algorithm with which that key signs.
    pub eab_algorithm: Option<MacAlgorithm>,
    /// The name of the CA at which what it is asked for is tried out.
    pub staging: Option<String>,
    /// The root at which the chain is to end.
    pub chain: Option<String>,
}

impl CaSettings {
    /// Finds what is only half said about the account at the CA's web site; nothing where all or nothing is.
    fn half_external(&self) -> Option<&'static str> {
        match (&self.eab_key_id, &self.eab_key, &self.eab_key_file) {
            (Some(_), None, None) => Some(
                "has eab-key-id and no key; add eab-key-file, a file with the key that the CA gave out",
            ),
            (None, Some(_), _) | (None, _, Some(_)) => Some(
                "has a key for an external account and no eab-key-id; add what the CA calls the key",
            ),
            (_, Some(_), Some(_)) => Some("has eab-key and eab-key-file; keep one of the two"),
            (None, None, None) if self.eab_algorithm.is_some() => Some(
                "has eab-algorithm and no key; add eab-key-id and eab-key-file, or leave it out",
            ),
            (_, Some(key), None) if ExternalAccount::key_bytes(key).is_err() => Some(
                "has an eab-key that is not base64url; copy the MAC key as the CA shows it, whole",
            ),
            _ => None,
        }
    }

    /// The URL of a CA's directory, in the one spelling that stands for all.
    ///
    /// # Errors
    /// When it is no URL, or one that can't be asked in safety.
    pub fn read_directory(text: &str) -> Result<String, CaError> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => Ok(in_one_spelling(text)),
            Ok(url) if url.has_host() => Err(CaError::NotHttps(text.to_owned())),
            _ => Err(CaError::NoUrl),
        }
    }
}

/// All CAs that have a name: the presets, and those of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaTable(BTreeMap<String, CaSettings>);

impl CaTable {
    /// The presets and these.
    ///
    /// # Errors
    /// The first whose name stands for another CA already, or that has no directory.
    pub fn new(own: BTreeMap<String, CaSettings>) -> Result<Self, CaTableError> {
        let mut seen = BTreeSet::new();
        for (name, ca) in &own {
            let is_plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-');
            let is_word = [Issuer::SELF_SIGNED, Issuer::NONE, Self::DEFAULT].contains(&&**name);
            let name = name.clone();
            if name.is_empty() || is_word || !name.chars().all(is_plain) {
                return Err(CaTableError::Name { name });
            }
            if let Some(problem) = ca.half_external() {
                return Err(CaTableError::ExternalAccount { name, problem });
            }
            let is_preset = preset(&name).is_some();
            match &ca.directory {
                None if is_preset => {}
                None => return Err(CaTableError::NoDirectory { name }),
                Some(_) if is_preset => return Err(CaTableError::OfPreset { name }),
                Some(directory) => {
                    let mut presets = CA_PRESETS.iter();
                    let is_of_preset = presets.any(|preset| preset.directory == directory);
                    if is_of_preset || !seen.insert(directory) {
                        let directory = directory.clone();
                        return Err(CaTableError::Twice { name, directory });
                    }
                }
            }
        }
        let table = Self(own);
        for (name, ca) in &table.0 {
            let unknown = |word: &&String| table.directory_of(word).is_none();
            if let Some(word) = ca.staging.as_ref().filter(unknown) {
                return Err(CaTableError::Staging {
                    name: name.clone(),
                    word: word.clone(),
                    nearest: nearest(word, table.words()).map(str::to_owned),
                });
            }
        }
        Ok(table)
    }

    /// The key in the table of CAs for the one that is asked where no label says: no CA's name.
    pub const DEFAULT: &str = "default";

    /// Reads the setting `ca`: words of the label, or URLs of CAs' directories, in the order in which they are asked.
    ///
    /// # Errors
    /// When one is neither, naming the nearest word, or they are no list.
    pub fn of_setting(&self, text: &str) -> Result<Option<Issuers>, CaError> {
        let words = listed(text)?;
        if *words == [Issuer::NONE] {
            return Ok(None);
        }
        let issuers = words.into_iter().map(|word| self.of_word(word));
        Issuers::new(issuers.collect::<Result<_, _>>()?).map(Some)
    }

    /// Reads one word of the setting.
    fn of_word(&self, word: &str) -> Result<Issuer, CaError> {
        if word == Issuer::SELF_SIGNED {
            return Ok(Issuer::SelfSigned);
        }
        if let Some(directory) = self.directory(word) {
            return Ok(Issuer::Ca(directory));
        }
        match CaSettings::read_directory(word) {
            Err(CaError::NoUrl) => Err(self.unknown(word)),
            read => read.map(Issuer::Ca),
        }
    }

    /// Those who have these names.
    ///
    /// # Errors
    /// When nobody has one of them, naming the nearest word.
    pub fn issuers(&self, names: &IssuerNames) -> Result<Issuers, CaError> {
        let issuers = names.iter().map(|name| match name {
            IssuerName::SelfSigned => Ok(Issuer::SelfSigned),
            IssuerName::Ca(word) => {
                let directory = self.directory(word);
                directory
                    .map(Issuer::Ca)
                    .ok_or_else(|| CaError::UnknownInLabel {
                        word: word.clone(),
                        nearest: nearest(word, self.words()).map(str::to_owned),
                    })
            }
        });
        Issuers::new(issuers.collect::<Result<_, _>>()?)
    }

    /// The URL of the directory of the CA that has this name.
    fn directory(&self, name: &str) -> Option<String> {
        let own = self.0.get(name).and_then(|ca| ca.directory.clone());
        own.or_else(|| preset(name).map(str::to_owned))
    }

    /// The URL of the directory of the CA with this name.
    fn directory_of(&self, word: &str) -> Option<&str> {
        let own = self.0.get(word).and_then(|ca| ca.directory.as_deref());
        own.or_else(|| preset(word))
    }

    /// The name of the CA with this directory, where it has one.
    pub fn name_of(&self, directory: &str) -> Option<&str> {
        let mut names = self.0.keys().map(String::as_str);
        let own = names.find(|name| self.directory_of(name) == Some(directory));
        own.or_else(|| Some(preset_at(directory)?.name))
    }

    /// The usual name of the CA with this directory, or the URL where it has none.
    pub fn called<'t>(&'t self, directory: &'t str) -> &'t str {
        self.name_of(directory).unwrap_or(directory)
    }

    /// The URL of the directory at which is tried out what the CA with this directory would be asked for, where one is known:
    /// that of the settings, else that of the preset.
    pub fn staging_of(&self, directory: &str) -> Option<&str> {
        let own = self.at(directory).and_then(|ca| ca.staging.as_deref());
        let word = own.or_else(|| preset_at(directory)?.staging)?;
        self.directory_of(word)
    }

    /// Each CA that the settings say something about, with the URL of its directory.
    pub fn own(&self) -> impl Iterator<Item = (&str, &CaSettings)> {
        self.0.iter().filter_map(|(name, ca)| {
            let directory = ca.directory.as_deref().or_else(|| preset(name));
            Some((directory?, ca))
        })
    }

    /// The settings of the CA with this directory.
    pub fn at(&self, directory: &str) -> Option<&CaSettings> {
        let found = self.own().find(|(own, _)| *own == directory);
        found.map(|(_, ca)| ca)
    }

    /// True if the terms of the CA with this directory are agreed to: in its own table, or by the setting `agree-tos`,
    /// which is about the CAs that are asked where no label says, and others with the same terms.
    pub fn agrees(&self, directory: &str, default: Option<&Issuers>, agree_tos: bool) -> bool {
        let own = self.at(directory).and_then(|ca| ca.agree_tos);
        let terms = |directory| preset_at(directory).map(|preset| preset.terms_of);
        let is_default = || {
            let mut defaults = default.into_iter().flat_map(Issuers::directories);
            defaults.any(|default| {
                default == directory
                    || terms(directory).is_some_and(|of| terms(default) == Some(of))
            })
        };
        own.unwrap_or_else(|| agree_tos && is_default())
    }

    /// The limits of the CA with this directory: those of the settings, else those of the preset.
    pub fn limits(&self, directory: &str) -> CaLimits {
        let published = preset_at(directory).map_or(CaLimits::NONE, |preset| preset.limits);
        let Some(own) = self.at(directory) else {
            return published;
        };
        CaLimits {
            orders: own.orders.unwrap_or(published.orders),
            same_names: own.same_names.unwrap_or(published.same_names),
            failures: own.failures.unwrap_or(published.failures),
            orders_per_second: own.orders_per_second.unwrap_or(published.orders_per_second),
            are_renewals_exempt: own
                .are_renewals_exempt
                .unwrap_or(published.are_renewals_exempt),
        }
    }

    fn unknown(&self, word: &str) -> CaError {
        CaError::Unknown {
            word: word.to_owned(),
            remedy: match nearest(word, self.words()) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => {
                    let words: Vec<_> = self.words().collect();
                    let words = words.join(", ");
                    format!("write one of {words}, or the https:// URL of its directory")
                }
            },
        }
    }

    /// The names of CAs that are no presets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.0.keys().map(String::as_str);
        own.filter(|name| preset(name).is_none())
    }

    /// All words that say who issues.
    fn words(&self) -> impl Iterator<Item = &str> {
        CA_PRESETS
            .iter()
            .map(|preset| preset.name)
            .chain(self.names())
            .chain([Issuer::SELF_SIGNED, Issuer::NONE])
    }
}

/// The directory of the preset with this name.
fn preset(name: &str) -> Option<&'static str> {
    let found = CA_PRESETS.iter().find(|preset| preset.name == name)?;
    Some(found.directory)
}

/// A setting or a label that names no CA.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaError {
    /// Neither a word nor a URL.
    #[error("{word:?} is not a known CA; {remedy}")]
    Unknown {
        /// The word as it was written.
        word: String,
        /// The remedy.
        remedy: String,
    },
    /// No word of the label.
    #[error("{word:?} is not a CA that a label can name{}", nearest.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownInLabel {
        /// The word as it was written.
        word: String,
        /// The word that was probably meant.
        nearest: Option<String>,
    },
    /// A word that says that no CA is asked, beside others.
    #[error("{0} stands alone, not in a list of CAs; leave it out, or the others")]
    NotInList(&'static str),
    /// A CA that is in a list twice.
    #[error("{0} is in the list of CAs twice; write it once")]
    Repeated(String),
    /// A URL in a label.
    #[error("a CA with a URL of its own belongs into the setting ca, where labels can't change it")]
    UrlInLabel,
    /// A URL that can't be asked in safety.
    #[error("{0:?} must begin with https://, because what a CA says is believed")]
    NotHttps(String),
    /// No URL at all.
    #[error("it is not a URL")]
    NoUrl,
}

/// A table of the settings that is no CA's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaTableError {
    /// A name that it can't have.
    #[error(
        "[ca.{name}]: the name of a CA is of lower-case letters, digits and hyphens, and not default, self-signed or none; \
         give it another"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A CA for trying out that nobody knows.
    #[error(
        "[ca.{name}]: staging = {word:?} is not the name of a CA{}; write that of a preset, or of a table of its own",
        nearest.as_ref().map(|word| format!("; did you mean {word:?}?")).unwrap_or_default()
    )]
    Staging {
        /// The CA's name.
        name: String,
        /// The word as it was written.
        word: String,
        /// The word that was probably meant.
        nearest: Option<String>,
    },
    /// Nowhere to ask.
    #[error(
        "[ca.{name}] has no directory; add directory = \"https://…\", the URL that the CA's documentation names"
    )]
    NoDirectory {
        /// The CA's name.
        name: String,
    },
    /// A preset with another directory.
    #[error(
        "[ca.{name}]: {name} is a preset and has its directory; leave the directory out, or give the CA another name"
    )]
    OfPreset {
        /// The CA's name.
        name: String,
    },
    /// An account at the CA's web site of which only half is said.
    #[error("[ca.{name}] {problem}")]
    ExternalAccount {
        /// The CA's name.
        name: String,
        /// The problem, and the remedy.
        problem: &'static str,
    },
    /// One CA under two names.
    #[error("[ca.{name}]: {directory} has another name already; keep one of the two")]
    Twice {
        /// The second name.
        name: String,
        /// The URL of its directory.
        directory: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CAs with these names and directories.
    fn table(cas: &[(&str, Option<&str>)]) -> Result<CaTable, CaTableError> {
        let own = cas.iter().map(|(name, directory)| {
            let directory = directory.map(str::to_owned);
            let ca = CaSettings {
                directory,
                ..CaSettings::default()
            };
            ((*name).to_owned(), ca)
        });
        CaTable::new(own.collect())
    }

    const CORP: &str = "https://ca.corp.example/directory";

    #[test]
    fn the_setting_takes_the_words_of_the_label_and_urls() {
        let table = table(&[("corp", Some(CORP))]).expect("a CA");
        let ca = |directory: &str| Ok(Some(Issuer::Ca(directory.to_owned()).into()));
        for preset in CA_PRESETS {
            assert_eq!(table.of_setting(preset.name), ca(preset.directory));
            assert_eq!(table.of_setting(preset.directory), ca(preset.directory));
        }
        assert_eq!(table.of_setting("corp"), ca(CORP));
        assert_eq!(
            table.of_setting("https://10.0.0.1:14000/dir"),
            ca("https://10.0.0.1:14000/dir")
        );
        for word in table.words() {
            let of_label = IssuerNames::of_label(word).expect("a word");
            let meant = of_label.map(|names| table.issuers(&names)).transpose();
            assert_eq!(table.of_setting(word), meant, "{word}");
        }
    }

    #[test]
    fn a_ca_is_the_same_however_its_url_is_spelled() {
        let of_setting = |text: &str| CaTable::default().of_setting(text);
        for preset in CA_PRESETS {
            let bare = preset.directory.strip_prefix("https://").expect("https");
            let (host, path) = bare.split_once('/').expect("a path");
            for spelled in [
                format!("https://{host}:443/{path}"),
                format!("HTTPS://{}/{path}", host.to_uppercase()),
                format!("https://{host}/{path}#begin"),
                format!("  https://{host}/./{path}"),
            ] {
                let issuer = of_setting(&spelled).expect("a CA").expect("a CA");
                assert_eq!(issuer.to_string(), preset.name, "{spelled}");
                assert_eq!(issuer.first().is_trusted(), preset.trusted, "{spelled}");
            }
        }
        let own = of_setting("HTTPS://CA.example:443/Dir").expect("a CA");
        assert_eq!(
            own,
            Some(Issuer::Ca("https://ca.example/Dir".to_owned()).into())
        );
        assert_eq!(in_one_spelling(""), "");
    }

    #[test]
    fn a_label_names_a_ca_or_says_that_none_is_asked() {
        let table = table(&[("corp", Some(CORP))]).expect("a CA");
        let meant = |word| {
            let names = IssuerNames::of_label(word)?;
            names.map(|names| table.issuers(&names)).transpose()
        };
        for preset in CA_PRESETS {
            let issuer = Issuer::Ca(preset.directory.to_owned());
            assert_eq!(issuer.to_string(), preset.name);
            assert!(issuer.is_public());
            assert_eq!(meant(preset.name), Ok(Some(issuer.into())));
        }
        assert_eq!(meant("corp"), Ok(Some(Issuer::Ca(CORP.to_owned()).into())));
        assert_eq!(meant("self-signed"), Ok(Some(Issuer::SelfSigned.into())));
        assert_eq!(meant("none"), Ok(None));
        let problem = |word| meant(word).unwrap_err().to_string();
        assert_eq!(
            problem("stagin"),
            r#""stagin" is not a CA that a label can name; did you mean staging?"#
        );
        assert_eq!(
            problem("crop"),
            r#""crop" is not a CA that a label can name; did you mean corp?"#
        );
        assert_eq!(
            problem("Buypass"),
            r#""Buypass" is not a CA that a label can name"#
        );
        assert!(problem("https://ca.example/dir").contains("belongs into the setting ca"));
    }

    #[test]
    fn what_names_none_is_answered_with_the_nearest() {
        let problem = |setting| CaTable::default().of_setting(setting).unwrap_err();
        let told = |setting| problem(setting).to_string();
        assert_eq!(
            told("lets-encrypt"),
            r#""lets-encrypt" is not a known CA; did you mean letsencrypt?"#
        );
        assert_eq!(
            told("selfsigned"),
            r#""selfsigned" is not a known CA; did you mean self-signed?"#
        );
        assert_eq!(
            told("ca.example"),
            r#""ca.example" is not a known CA; write one of letsencrypt, staging, zerossl, google, google-staging, sslcom, sslcom-rsa, actalis, self-signed, none, or the https:// URL of its directory"#
        );
        assert_eq!(
            problem("http://ca/dir"),
            CaError::NotHttps("http://ca/dir".to_owned())
        );
        assert!(told("localhost:14000").contains("is not a known CA"));
        assert!(told("").contains("is not a known CA"));
    }

    #[test]
    fn terms_are_agreed_to_for_the_ca_of_the_settings_and_for_others_by_name() {
        let at = |name| preset(name).expect("a preset");
        let issuer = |name| Some(Issuers::from(Issuer::Ca(at(name).to_owned())));
        let mut table = table(&[("corp", Some(CORP)), ("zerossl", None)]).expect("CAs");
        let both = table.of_setting("corp google").expect("CAs");
        for (default, agree_tos, directory, expected) in [
            (issuer("letsencrypt"), true, at("letsencrypt"), true),
            (issuer("letsencrypt"), true, at("staging"), true),
            (issuer("staging"), true, at("letsencrypt"), true),
            (issuer("letsencrypt"), false, at("letsencrypt"), false),
            (issuer("letsencrypt"), true, at("zerossl"), false),
            (issuer("letsencrypt"), true, CORP, false),
            (Some(Issuer::Ca(CORP.to_owned()).into()), true, CORP, true),
            (both.clone(), true, at("google"), true),
            (both.clone(), true, CORP, true),
            (both, true, at("letsencrypt"), false),
            (
                Some(Issuer::Ca(CORP.to_owned()).into()),
                true,
                "https://other.example/",
                false,
            ),
            (Some(Issuer::SelfSigned.into()), true, at("google"), false),
            (None, true, at("google"), false),
        ] {
            let agrees = table.agrees(directory, default.as_ref(), agree_tos);
            assert_eq!(agrees, expected, "{default:?} {agree_tos} {directory}");
        }
        let own = table.0.get_mut("zerossl").expect("a CA");
        own.agree_tos = Some(true);
        assert!(table.agrees(at("zerossl"), issuer("letsencrypt").as_ref(), false));
        let own = table.0.get_mut("corp").expect("a CA");
        own.agree_tos = Some(false);
        assert!(!table.agrees(CORP, Some(&Issuer::Ca(CORP.to_owned()).into()), true));
    }

    #[test]
    fn half_an_external_account_is_told_with_what_to_write_and_no_key() {
        let (id, key) = (Some("kid-1".to_owned()), Some(Secret::new("c2VjcmV0")));
        let (file, algorithm) = (Some("/k".into()), Some(MacAlgorithm::Hs384));
        let ca =
            |eab_key_id: &Option<_>, eab_key: &Option<_>, eab_key_file: &Option<_>| CaSettings {
                eab_key_id: eab_key_id.clone(),
                eab_key: eab_key.clone(),
                eab_key_file: eab_key_file.clone(),
                ..CaSettings::default()
            };
        let bad = Some(Secret::new("sec ret"));
        let only_algorithm = CaSettings {
            eab_algorithm: algorithm,
            ..CaSettings::default()
        };
        for (ca, told) in [
            (ca(&id, &None, &None), Some("add eab-key-file")),
            (ca(&None, &key, &None), Some("no eab-key-id; add")),
            (ca(&None, &None, &file), Some("no eab-key-id; add")),
            (ca(&id, &key, &file), Some("keep one of the two")),
            (ca(&id, &bad, &None), Some("not base64url")),
            (only_algorithm, Some("eab-algorithm and no key")),
            (ca(&id, &key, &None), None),
            (ca(&id, &None, &file), None),
            (ca(&None, &None, &None), None),
        ] {
            let read = CaTable::new([("zerossl".to_owned(), ca)].into());
            let problem = read.err().map(|error| error.to_string());
            match (problem, told) {
                (Some(problem), Some(told)) => {
                    assert!(problem.starts_with("[ca.zerossl] has"), "{problem}");
                    assert!(
                        problem.contains(told) && !problem.contains("ret"),
                        "{problem}"
                    );
                }
                (problem, told) => assert_eq!((problem, told), (None, None)),
            }
        }
    }

    #[test]
    fn a_table_that_is_no_cas_is_told_with_what_to_write() {
        let told = |cas: &[_]| table(cas).unwrap_err().to_string();
        for name in ["", "Corp", "a.b", "none", "self-signed", "default"] {
            let told = told(&[(name, Some(CORP))]);
            assert!(told.contains("lower-case letters"), "{told}");
        }
        assert!(told(&[("corp", None)]).contains("[ca.corp] has no directory; add"));
        assert!(told(&[("staging", Some(CORP))]).contains("staging is a preset"));
        let preset = CA_PRESETS[0].directory;
        assert!(told(&[("mine", Some(preset))]).contains("has another name already"));
        let twice = told(&[("corp", Some(CORP)), ("other", Some(CORP))]);
        assert!(twice.contains("[ca.other]: https://ca.corp.example/directory has another name"));
        let preset = table(&[("staging", None)]).expect("what is said about a preset");
        assert_eq!(preset.own().count(), 1);
        assert_eq!(preset.words().count(), CA_PRESETS.len() + 2);
    }
}
