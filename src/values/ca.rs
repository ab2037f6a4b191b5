use std::fmt;

use thiserror::Error;
use url::Url;

use super::nearest;

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
    pub trusted: bool,
}

/// The CAs that settings can name. A private CA is named by the URL of its directory.
pub const CA_PRESETS: &[CaPreset] = &[
    CaPreset {
        name: "letsencrypt",
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt",
        trusted: true,
    },
    CaPreset {
        name: "staging",
        directory: "https://acme-staging-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt's staging CA: generous limits, trusted by nobody",
        trusted: false,
    },
];

/// Who issues a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Issuer {
    /// The CA with this directory URL.
    Ca(String),
    /// Nobody but the certificate's own key: whoever asks for that trusts it himself.
    SelfSigned,
}

impl Issuer {
    /// The words for it beside those of the presets: made by us, and made by nobody here.
    pub const SELF_SIGNED: &str = "self-signed";
    /// See [`Self::SELF_SIGNED`].
    pub const NONE: &str = "none";

    /// What the label `ca` means: a preset by name, `self-signed`, or `none` for a certificate that is provided. Never a
    /// URL: whoever may write labels does not choose whom to believe.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn of_label(word: &str) -> Result<Option<Self>, CaError> {
        Self::of_word(word).ok_or_else(|| match word.contains("://") {
            true => CaError::UrlInLabel,
            false => CaError::UnknownInLabel {
                word: word.to_owned(),
            },
        })
    }

    /// What the setting `ca` means: a word of the label, or the URL of a CA's directory.
    ///
    /// # Errors
    /// When it is neither, naming the nearest word.
    pub fn of_setting(text: &str) -> Result<Option<Self>, CaError> {
        if let Some(meant) = Self::of_word(text) {
            return Ok(meant);
        }
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => Ok(Some(Self::Ca(in_one_spelling(text)))),
            Ok(url) if url.has_host() => Err(CaError::NotHttps(text.to_owned())),
            _ => Err(CaError::Unknown {
                word: text.to_owned(),
                nearest: nearest(text, words()),
            }),
        }
    }

    /// What a word means, if it is one: `Some(None)` is nobody.
    fn of_word(word: &str) -> Option<Option<Self>> {
        match word {
            Self::SELF_SIGNED => Some(Some(Self::SelfSigned)),
            Self::NONE => Some(None),
            _ => {
                let preset = CA_PRESETS.iter().find(|preset| preset.name == word)?;
                Some(Some(Self::Ca(preset.directory.to_owned())))
            }
        }
    }

    /// The URL of the CA's directory; nothing where no CA is asked.
    pub fn directory(&self) -> Option<&str> {
        match self {
            Self::Ca(directory) => Some(directory),
            Self::SelfSigned => None,
        }
    }

    /// Whether those trust what it issues whom that is meant for: not the CA for trying things out. Whoever asks for a
    /// self-signed certificate, or names a CA of their own, trusts these themselves.
    pub fn is_trusted(&self) -> bool {
        self.directory().is_none_or(Self::is_ca_trusted)
    }

    /// The same of the CA with this directory URL.
    pub fn is_ca_trusted(directory: &str) -> bool {
        preset_at(directory).is_none_or(|preset| preset.trusted)
    }

    /// Whether it issues for names and addresses alone that are reached from everywhere.
    pub fn is_public(&self) -> bool {
        self.directory().and_then(preset_at).is_some()
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ca(directory) => {
                f.write_str(preset_at(directory).map_or(directory.as_str(), |preset| preset.name))
            }
            Self::SelfSigned => f.write_str(Self::SELF_SIGNED),
        }
    }
}

/// The directory URL of a CA in the one spelling that stands for all: scheme and host in lower case, the port left out
/// where it is the usual one. CAs are told apart by this text. What is no URL stays as it is.
///
/// <https://url.spec.whatwg.org/#url-serializing>
pub fn in_one_spelling(directory: &str) -> String {
    let Ok(mut url) = Url::parse(directory) else {
        return directory.to_owned();
    };
    url.set_fragment(None);
    url.into()
}

/// The preset with this directory URL.
pub fn preset_at(directory: &str) -> Option<&'static CaPreset> {
    CA_PRESETS
        .iter()
        .find(|preset| preset.directory == directory)
}

/// A setting or a label that names no CA.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaError {
    /// Neither a word nor a URL.
    #[error("{word:?} is no CA; {}", remedy(*.nearest))]
    Unknown {
        /// What was written.
        word: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// No word of the label.
    #[error("{word:?} is no CA that a label can name{}", nearest(.word, words()).map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownInLabel {
        /// What was written.
        word: String,
    },
    /// A URL in a label.
    #[error("a CA with a URL of its own belongs into the setting ca, where labels can't change it")]
    UrlInLabel,
    /// A URL that can't be asked in safety.
    #[error("{0:?} must begin with https://, because what a CA says is believed")]
    NotHttps(String),
}

fn remedy(nearest: Option<&str>) -> String {
    let words = words().collect::<Vec<_>>().join(", ");
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("write one of {words}, or the https:// URL of its directory"),
    }
}

/// All words that say who issues.
fn words() -> impl Iterator<Item = &'static str> {
    CA_PRESETS
        .iter()
        .map(|preset| preset.name)
        .chain([Issuer::SELF_SIGNED, Issuer::NONE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_takes_the_words_of_the_label_and_urls() {
        let ca = |directory: &str| Ok(Some(Issuer::Ca(directory.to_owned())));
        for preset in CA_PRESETS {
            assert_eq!(Issuer::of_setting(preset.name), ca(preset.directory));
            assert_eq!(Issuer::of_setting(preset.directory), ca(preset.directory));
        }
        assert_eq!(
            Issuer::of_setting("https://10.0.0.1:14000/dir"),
            ca("https://10.0.0.1:14000/dir")
        );
        for word in words() {
            assert_eq!(Issuer::of_setting(word), Issuer::of_label(word), "{word}");
        }
    }

    #[test]
    fn a_ca_is_the_same_however_its_url_is_spelled() {
        for preset in CA_PRESETS {
            let bare = preset.directory.strip_prefix("https://").expect("https");
            let (host, path) = bare.split_once('/').expect("a path");
            for spelled in [
                format!("https://{host}:443/{path}"),
                format!("HTTPS://{}/{path}", host.to_uppercase()),
                format!("https://{host}/{path}#begin"),
                format!("  https://{host}/./{path}"),
            ] {
                let issuer = Issuer::of_setting(&spelled).expect("a CA").expect("a CA");
                assert_eq!(issuer.to_string(), preset.name, "{spelled}");
                assert_eq!(issuer.is_trusted(), preset.trusted, "{spelled}");
            }
        }
        let own = Issuer::of_setting("HTTPS://CA.example:443/Dir").expect("a CA");
        assert_eq!(own, Some(Issuer::Ca("https://ca.example/Dir".to_owned())));
        assert_eq!(in_one_spelling(""), "");
    }

    #[test]
    fn a_label_names_a_preset_or_says_that_none_is_asked() {
        for preset in CA_PRESETS {
            let issuer = Issuer::Ca(preset.directory.to_owned());
            assert_eq!(issuer.to_string(), preset.name);
            assert!(issuer.is_public());
            assert_eq!(Issuer::of_label(preset.name), Ok(Some(issuer)));
        }
        assert_eq!(
            Issuer::of_label("self-signed"),
            Ok(Some(Issuer::SelfSigned))
        );
        assert_eq!(Issuer::of_label("none"), Ok(None));
        let problem = |word| Issuer::of_label(word).unwrap_err().to_string();
        assert_eq!(
            problem("stagin"),
            r#""stagin" is no CA that a label can name; did you mean staging?"#
        );
        assert_eq!(
            problem("Buypass"),
            r#""Buypass" is no CA that a label can name"#
        );
        assert!(problem("https://ca.example/dir").contains("belongs into the setting ca"));
    }

    #[test]
    fn what_names_none_is_answered_with_the_nearest() {
        let problem = |setting| Issuer::of_setting(setting).unwrap_err().to_string();
        assert_eq!(
            problem("lets-encrypt"),
            r#""lets-encrypt" is no CA; did you mean letsencrypt?"#
        );
        assert_eq!(
            problem("selfsigned"),
            r#""selfsigned" is no CA; did you mean self-signed?"#
        );
        assert_eq!(
            problem("ca.example"),
            r#""ca.example" is no CA; write one of letsencrypt, staging, self-signed, none, or the https:// URL of its directory"#
        );
        assert_eq!(
            Issuer::of_setting("http://ca/dir"),
            Err(CaError::NotHttps("http://ca/dir".to_owned()))
        );
        assert!(problem("localhost:14000").contains("is no CA"));
        assert!(problem("").contains("is no CA"));
    }
}
