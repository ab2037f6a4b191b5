use std::fmt;

use url::Url;

use super::{CaLimits, Limit};

/// A CA that settings can name by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaPreset {
    /// The word.
    pub name: &'static str,
    /// The URL of its directory.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>
    pub directory: &'static str,
    /// A description, for people.
    pub what: &'static str,
    /// True if browsers trust its certificates.
    pub trusted: bool,
    /// The preset of the same people for trying things out.
    pub staging: Option<&'static str>,
    /// Whose terms its are: the name of the preset that settings agree to.
    pub terms_of: &'static str,
    /// The domains by which CAA records name it, the one to write first.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8659#section-4.2>
    pub caa: &'static [&'static str],
    /// The limits of one account.
    pub limits: CaLimits,
}

/// The CAs that settings can name. A private CA is named by the URL of its directory.
pub const CA_PRESETS: &[CaPreset] = &[
    CaPreset {
        name: "letsencrypt",
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt",
        trusted: true,
        staging: Some("staging"),
        terms_of: "letsencrypt",
        caa: &["letsencrypt.org"],
        // <https://letsencrypt.org/docs/rate-limits/>
        limits: CaLimits {
            orders: Some(Limit::new(300, 3)),
            same_names: Some(Limit::new(5, 7 * 24)),
            failures: Some(Limit::new(5, 1)),
            // Each takes a nonce, of which so many may be asked for at once.
            orders_per_second: Some(9),
            are_renewals_exempt: true,
        },
    },
    CaPreset {
        name: "staging",
        directory: "https://acme-staging-v02.api.letsencrypt.org/directory",
        what: "Let's Encrypt's staging CA: generous limits, trusted by nobody",
        trusted: false,
        staging: Some("staging"),
        terms_of: "letsencrypt",
        caa: &["letsencrypt.org"],
        // <https://letsencrypt.org/docs/staging-environment/#rate-limits>
        limits: CaLimits {
            orders: Some(Limit::new(1500, 3)),
            same_names: Some(Limit::new(30_000, 7 * 24)),
            failures: Some(Limit::new(60, 1)),
            orders_per_second: Some(9),
            are_renewals_exempt: true,
        },
    },
    // None of these publishes limits that we could count. Each takes accounts alone that belong to one at its web site.
    // <https://go-acme.github.io/lego/advanced/caservers/>
    CaPreset {
        name: "zerossl",
        directory: "https://acme.zerossl.com/v2/DV90",
        what: "ZeroSSL; needs eab-key-id and eab-key",
        trusted: true,
        staging: None,
        terms_of: "zerossl",
        caa: &[
            "sectigo.com",
            "comodoca.com",
            "comodo.com",
            "usertrust.com",
            "trust-provider.com",
        ],
        limits: CaLimits::NONE,
    },
    CaPreset {
        name: "google",
        directory: "https://dv.acme-v02.api.pki.goog/directory",
        what: "Google Trust Services; needs eab-key-id and eab-key, used within 7 days",
        trusted: true,
        staging: Some("google-staging"),
        terms_of: "google",
        caa: &["pki.goog"],
        limits: CaLimits::NONE,
    },
    CaPreset {
        name: "google-staging",
        directory: "https://dv.acme-v02.test-api.pki.goog/directory",
        what: "Google's staging CA: trusted by nobody; needs an eab-key-id and eab-key of its own",
        trusted: false,
        staging: Some("google-staging"),
        terms_of: "google",
        caa: &["pki.goog"],
        limits: CaLimits::NONE,
    },
    CaPreset {
        name: "sslcom",
        directory: "https://acme.ssl.com/sslcom-dv-ecc",
        what: "SSL.com, for EC keys; needs eab-key-id and eab-key",
        trusted: true,
        staging: None,
        terms_of: "sslcom",
        caa: &["ssl.com"],
        limits: CaLimits::NONE,
    },
    CaPreset {
        name: "sslcom-rsa",
        directory: "https://acme.ssl.com/sslcom-dv-rsa",
        what: "SSL.com, for RSA keys; needs eab-key-id and eab-key",
        trusted: true,
        staging: None,
        terms_of: "sslcom",
        caa: &["ssl.com"],
        limits: CaLimits::NONE,
    },
    CaPreset {
        name: "actalis",
        directory: "https://acme-api.actalis.com/acme/directory",
        what: "Actalis; needs eab-key-id and eab-key; its free plan takes one name a certificate and no wildcard",
        trusted: true,
        staging: None,
        terms_of: "actalis",
        caa: &["actalis.it"],
        limits: CaLimits::NONE,
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

    /// The URL of the CA's directory; nothing where no CA is asked.
    pub fn directory(&self) -> Option<&str> {
        match self {
            Self::Ca(directory) => Some(directory),
            Self::SelfSigned => None,
        }
    }

    /// True if its clients trust its certificates; false for a staging CA. Users who ask for a self-signed certificate,
    /// or name a CA of their own, trust these themselves.
    pub fn is_trusted(&self) -> bool {
        self.directory().is_none_or(Self::is_ca_trusted)
    }

    /// The same of the CA with this directory URL.
    pub fn is_ca_trusted(directory: &str) -> bool {
        preset_at(directory).is_none_or(|preset| preset.trusted)
    }

    /// True if it issues only for names and addresses that are reachable from everywhere.
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
/// where it is the usual one. CAs are distinguished by this text. What is no URL stays as it is.
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
