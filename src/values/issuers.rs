use std::{fmt, sync::Arc};

use itertools::Itertools;

use super::{CaError, Issuer};

/// Those who issue a certificate, in the order in which they are asked: the next one when those before it fail. There is at
/// least one, and none is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuers(Arc<[Issuer]>);

impl Issuers {
    /// These, in their order.
    ///
    /// # Errors
    /// When there are none, one is there twice, or one that is no CA stands beside others.
    pub(super) fn new(issuers: Vec<Issuer>) -> Result<Self, CaError> {
        if let Some(twice) = repeated(&issuers) {
            return Err(CaError::Repeated(twice.to_string()));
        }
        match &*issuers {
            [] => Err(CaError::NoUrl),
            [_] => Ok(Self(issuers.into())),
            several if several.contains(&Issuer::SelfSigned) => {
                Err(CaError::NotInList(Issuer::SELF_SIGNED))
            }
            _ => Ok(Self(issuers.into())),
        }
    }

    /// The one that is asked first.
    pub fn first(&self) -> &Issuer {
        &self.0[0]
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Issuer> + Clone {
        self.0.iter()
    }

    /// True if there is a second one.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// The URLs of the directories of those that are CAs.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Issuer::directory)
    }

    /// Those of which this holds; all where it holds of none.
    pub fn preferring(&self, holds: impl Fn(&Issuer) -> bool) -> Self {
        if self.0.iter().all(&holds) {
            return self.clone();
        }
        let some: Vec<_> = self.0.iter().filter(|it| holds(it)).cloned().collect();
        match some.is_empty() {
            true => self.clone(),
            false => Self(some.into()),
        }
    }
}

impl From<Issuer> for Issuers {
    fn from(issuer: Issuer) -> Self {
        Self(Arc::new([issuer]))
    }
}

impl fmt::Display for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().format(", "))
    }
}

/// Those who issue a certificate, as a label names them, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerNames(Vec<IssuerName>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerName {
    /// The CA that has this name, if one has.
    Ca(String),
    /// Nobody but the certificate's own key.
    SelfSigned,
}

impl IssuerNames {
    /// Reads the label `ca`: names of CAs, `self-signed`, or `none` for a certificate that is provided. Never a URL:
    /// the writer of a label does not choose a CA to trust.
    ///
    /// # Errors
    /// When there is a URL among them, a name is there twice, or a word that is no CA's name stands beside others.
    pub fn of_label(text: &str) -> Result<Option<Self>, CaError> {
        if text.contains("://") {
            return Err(CaError::UrlInLabel);
        }
        let words = listed(text)?;
        if let Some(twice) = repeated(&words) {
            return Err(CaError::Repeated((*twice).to_owned()));
        }
        let names = words.into_iter().map(|word| match word {
            Issuer::SELF_SIGNED => Some(IssuerName::SelfSigned),
            Issuer::NONE => None,
            name => Some(IssuerName::Ca(name.to_owned())),
        });
        Ok(names.collect::<Option<Vec<_>>>().map(Self))
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &IssuerName> {
        self.0.iter()
    }
}

/// The words of a list, of which each may name a CA; the empty one where there is none.
///
/// # Errors
/// When one of several says that no CA is asked.
pub(super) fn listed(text: &str) -> Result<Vec<&str>, CaError> {
    let is_between = |c: char| c.is_whitespace() || c == ',';
    let words = text.split(is_between).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        return Ok(vec![""]);
    }
    let alone = [Issuer::SELF_SIGNED, Issuer::NONE];
    let alone = alone.into_iter().find(|word| words.contains(word));
    match alone.filter(|_| words.len() > 1) {
        Some(word) => Err(CaError::NotInList(word)),
        None => Ok(words),
    }
}

/// The first that is there twice.
fn repeated<T: PartialEq>(of: &[T]) -> Option<&T> {
    let mut each = of.iter().enumerate();
    let found = each.find(|(place, one)| of[..*place].contains(one));
    found.map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::CaTable;

    #[test]
    fn a_list_of_cas_is_read_with_commas_and_blanks_in_its_order() {
        let table = CaTable::default();
        let named = |text: &str| {
            let setting = table.of_setting(text).expect("CAs").expect("CAs");
            let label = IssuerNames::of_label(text).expect("CAs").expect("CAs");
            assert_eq!(table.issuers(&label), Ok(setting.clone()), "{text}");
            setting.to_string()
        };
        for text in [
            "letsencrypt zerossl google",
            "letsencrypt,zerossl,google",
            " letsencrypt , zerossl\n google,",
        ] {
            assert_eq!(named(text), "letsencrypt, zerossl, google");
        }
        assert_eq!(named("zerossl letsencrypt"), "zerossl, letsencrypt");
        let several = table.of_setting("letsencrypt https://ca.example/dir");
        let several = several.expect("CAs").expect("CAs");
        assert_eq!(several.to_string(), "letsencrypt, https://ca.example/dir");
        assert!(several.are_several());
        assert_eq!(several.first().to_string(), "letsencrypt");
    }

    #[test]
    fn what_is_no_list_of_cas_is_told() {
        let table = CaTable::default();
        for (text, expected) in [
            (
                "letsencrypt self-signed",
                "self-signed stands alone, not in a list of CAs; leave it out, or the others",
            ),
            (
                "none, zerossl",
                "none stands alone, not in a list of CAs; leave it out, or the others",
            ),
            (
                "zerossl google zerossl",
                "zerossl is in the list of CAs twice; write it once",
            ),
        ] {
            let setting = table.of_setting(text).unwrap_err().to_string();
            let label = IssuerNames::of_label(text).unwrap_err().to_string();
            assert_eq!((&*setting, &*label), (expected, expected), "{text}");
        }
        let twice = "letsencrypt https://acme-v02.api.letsencrypt.org:443/directory";
        let twice = table.of_setting(twice).unwrap_err().to_string();
        assert_eq!(
            twice,
            "letsencrypt is in the list of CAs twice; write it once"
        );
        let unknown = table.of_setting("letsencrypt zerosl").unwrap_err();
        assert_eq!(
            unknown.to_string(),
            r#""zerosl" is not a known CA; did you mean zerossl?"#
        );
        let of_label = IssuerNames::of_label("letsencrypt zerosl").expect("names");
        let unknown = table.issuers(&of_label.expect("names")).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            r#""zerosl" is not a CA that a label can name; did you mean zerossl?"#
        );
    }

    #[test]
    fn of_a_list_those_are_preferred_of_which_something_holds() {
        let table = CaTable::default();
        let three = table.of_setting("letsencrypt staging zerossl");
        let three = three.expect("CAs").expect("CAs");
        let trusted = three.preferring(Issuer::is_trusted);
        assert_eq!(trusted.to_string(), "letsencrypt, zerossl");
        assert_eq!(three.preferring(|_| false), three);
        assert_eq!(three.preferring(|_| true), three);
    }
}
