use thiserror::Error;
use url::Url;

/// A CA that settings can name by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaPreset {
    /// The word.
    pub name: &'static str,
    /// The URL of its directory.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
    pub directory: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Whether browsers trust its certificates.
    pub public: bool,
}

/// The CAs that settings can name. A private CA is named by the URL of its directory.
pub const CA_PRESETS: &[CaPreset] = &[
    CaPreset {
        name: "letsencrypt",
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt",
        public: true,
    },
    CaPreset {
        name: "staging",
        directory: "https://acme-staging-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt's staging CA: generous limits, trusted by nobody",
        public: false,
    },
];

/// A setting that names no CA.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaError {
    /// Neither a preset nor a URL.
    #[error("{word:?} is no CA; {}", remedy(*.nearest))]
    Unknown {
        /// What was written.
        word: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A URL that can't be asked in safety.
    #[error("{0:?} must begin with https://, because what a CA says is believed")]
    NotHttps(String),
}

fn remedy(nearest: Option<&str>) -> String {
    let presets = CA_PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("write one of {presets}, or the https:// URL of its directory"),
    }
}

/// The directory URL that the setting `ca` means: a preset by name, or the URL itself.
///
/// # Errors
/// When it is neither, naming the nearest preset.
pub fn directory_of(setting: &str) -> Result<String, CaError> {
    if let Some(preset) = CA_PRESETS.iter().find(|preset| preset.name == setting) {
        return Ok(preset.directory.to_owned());
    }
    match Url::parse(setting) {
        Ok(url) if url.scheme() == "https" => Ok(setting.to_owned()),
        Ok(url) if url.has_host() => Err(CaError::NotHttps(setting.to_owned())),
        _ => Err(CaError::Unknown { word: setting.to_owned(), nearest: nearest(setting) }),
    }
}

fn nearest(word: &str) -> Option<&'static str> {
    /// Below this, two words have little in common.
    const ALIKE: f64 = 0.8;
    let scored = CA_PRESETS.iter().map(|preset| (strsim::jaro_winkler(word, preset.name), preset.name));
    scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_named_by_a_word_or_a_url() {
        for preset in CA_PRESETS {
            assert_eq!(directory_of(preset.name), Ok(preset.directory.to_owned()));
            assert_eq!(directory_of(preset.directory), Ok(preset.directory.to_owned()));
        }
        assert_eq!(directory_of("https://10.0.0.1:14000/dir"), Ok("https://10.0.0.1:14000/dir".to_owned()));
    }

    #[test]
    fn what_names_none_is_answered_with_the_nearest() {
        let problem = |setting| directory_of(setting).unwrap_err().to_string();
        assert_eq!(problem("lets-encrypt"), r#""lets-encrypt" is no CA; did you mean letsencrypt?"#);
        assert_eq!(
            problem("ca.example"),
            r#""ca.example" is no CA; write one of letsencrypt, staging, or the https:// URL of its directory"#
        );
        assert_eq!(directory_of("http://ca/dir"), Err(CaError::NotHttps("http://ca/dir".to_owned())));
        assert!(problem("localhost:14000").contains("is no CA"));
        assert!(problem("").contains("is no CA"));
    }
}
