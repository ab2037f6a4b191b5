use std::collections::BTreeSet;

/// Metrics under the names of another tool, for dashboards and alerts that are made for that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricSet {
    /// Those of cert-manager.
    ///
    /// <https://cert-manager.io/docs/devops-tips/prometheus-metrics/>
    CertManager,
    /// Those of x509-certificate-exporter.
    ///
    /// <https://github.com/enix/x509-certificate-exporter>
    X509,
}

impl MetricSet {
    /// All of them, with the words that settings use.
    pub const WORDS: [(&'static str, Self); 2] =
        [("cert-manager", Self::CertManager), ("x509", Self::X509)];

    /// The word that settings use.
    pub fn word(self) -> &'static str {
        match self {
            Self::CertManager => "cert-manager",
            Self::X509 => "x509",
        }
    }

    /// Reads words, separated by commas or blanks.
    ///
    /// # Errors
    /// When there is none, or one is not known, in words.
    pub fn read_all(text: &str) -> Result<BTreeSet<Self>, String> {
        let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
        let read = |word: &str| {
            let row = Self::WORDS.iter().find(|(known, _)| *known == word);
            let known = || Self::WORDS.map(|(known, _)| known).join(", ");
            row.map(|(_, set)| *set)
                .ok_or_else(|| format!("{word:?} is not one of {}", known()))
        };
        let words = words.filter(|word| !word.is_empty());
        let sets: BTreeSet<_> = words.map(read).collect::<Result<_, _>>()?;
        match sets.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(sets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_by_their_words_and_another_is_told_the_right_ones() {
        for (word, set) in MetricSet::WORDS {
            assert_eq!(set.word(), word);
            assert_eq!(MetricSet::read_all(word), Ok([set].into()));
        }
        let both = MetricSet::WORDS.map(|(_, set)| set).into();
        assert_eq!(MetricSet::read_all(" x509, cert-manager"), Ok(both));
        assert_eq!(
            MetricSet::read_all("x509 traefik"),
            Err(r#""traefik" is not one of cert-manager, x509"#.to_owned())
        );
        assert!(MetricSet::read_all(" ,").is_err());
    }
}
