use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::{Digest, DnsName, DnsNameError, dns_name::is_reserved};

/// A host that a site answers for and a certificate covers: a host name, all names one label below another
/// (`*.shop.example`), or an IP address.
///
/// <https://www.rfc-editor.org/rfc/rfc9525#section-6.3>, <https://www.rfc-editor.org/rfc/rfc8738#section-3>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Host {
    /// As certificates write it; no two of them mean the same. Copies share it.
    text: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Name,
    Wildcard,
    Address(IpAddr),
}

/// The reason why a word can't be a host, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// A `*` that is not the whole first label.
    #[error("`*` can only be the whole first part, as in *.shop.example")]
    Star,
    /// A wildcard for more names than any host has.
    #[error("it has {0} characters, a host name at most 253")]
    TooLong(usize),
    /// Not a host name.
    #[error(transparent)]
    Name(#[from] DnsNameError),
}

impl Host {
    /// Reads a host as people write it: a name in any case and script, `*.` before one, an IPv4 or IPv6 address, the
    /// latter also in brackets.
    ///
    /// # Errors
    /// Says which rule the word breaks.
    pub fn parse(word: &str) -> Result<Self, HostError> {
        let bare = word
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = bare.map_or_else(
            || word.parse().ok(),
            |bare| bare.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        );
        if let Some(address) = address {
            return Ok(Self::from(address));
        }
        if let Some(parent) = word
            .strip_prefix("*.")
            .filter(|parent| !parent.contains('*'))
        {
            let text = format!("*.{}", DnsName::parse(parent)?);
            return if text.len() > 253 {
                Err(HostError::TooLong(text.len()))
            } else {
                Ok(Self::wildcard(text))
            };
        }
        if word.contains('*') {
            return Err(HostError::Star);
        }
        Ok(Self {
            text: String::from(DnsName::parse(word)?).into(),
            kind: Kind::Name,
        })
    }

    fn wildcard(text: String) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Wildcard,
        }
    }

    /// As certificates write it: `shop.example`, `*.shop.example`, `10.0.0.1`, `fd00::1`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            Kind::Address(address) => Some(address),
            Kind::Name | Kind::Wildcard => None,
        }
    }

    /// True if it stands for all names one label below another.
    pub fn is_wildcard(&self) -> bool {
        self.kind == Kind::Wildcard
    }

    /// As URLs, `Host` headers and nginx write it: an IPv6 address in brackets.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2>
    pub fn in_url(&self) -> String {
        match self.kind {
            Kind::Address(IpAddr::V6(_)) => format!("[{self}]"),
            _ => self.text.to_string(),
        }
    }

    /// Its word in names of files and folders: `_` for `*`, `-` for `:`, with a zero before an address that begins with
    /// `::`, and cut where a file name would become too long. No two hosts have the same word.
    pub fn file_word(&self) -> Arc<str> {
        /// A file name has at most 255 bytes, and something stands before and behind this.
        const LONGEST: usize = 200;
        let word = match self.kind {
            Kind::Name => Arc::clone(&self.text),
            Kind::Wildcard => self.text.replacen('*', "_", 1).into(),
            Kind::Address(_) if self.text.starts_with(':') => {
                format!("0{}", self.text.replace(':', "-")).into()
            }
            Kind::Address(_) => self.text.replace(':', "-").into(),
        };
        match word.len() > LONGEST {
            true => format!("{}-{}", &word[..LONGEST], Digest::of(&*word).short()).into(),
            false => word,
        }
    }

    /// A name under which clients ask for this host: the host itself, or some name below a wildcard.
    pub fn one_of(&self) -> String {
        match self.kind {
            Kind::Wildcard => self.text.replacen('*', "quaymaster-probe", 1),
            Kind::Name | Kind::Address(_) => self.text.to_string(),
        }
    }

    /// The wildcard that covers it, where one can.
    pub fn covering_wildcard(&self) -> Option<String> {
        let (_, parent) = self
            .text
            .split_once('.')
            .filter(|_| self.kind == Kind::Name)?;
        Some(format!("*.{parent}"))
    }

    /// The names above it, the nearest first; an address has none.
    pub fn parents(&self) -> Vec<Self> {
        let mut parents = Vec::new();
        let mut rest = &*self.text;
        while self.address().is_none()
            && let Some((_, above)) = rest.split_once('.')
        {
            parents.push(Self {
                text: above.into(),
                kind: Kind::Name,
            });
            rest = above;
        }
        parents
    }

    /// True if no public CA can issue for it: a name for local use, or an address that is not reachable from
    /// everywhere.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6761#section-6>, <https://www.rfc-editor.org/rfc/rfc6890#section-2.2>
    pub fn is_reserved(&self) -> bool {
        match self.kind {
            Kind::Name => is_reserved(&self.text),
            Kind::Wildcard => is_reserved(&self.text[2..]),
            Kind::Address(IpAddr::V4(address)) => is_local_v4(address),
            Kind::Address(IpAddr::V6(address)) => is_local_v6(address),
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_nobodys = first == 0 || address.is_documentation() || first >= 224;
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || is_shared
        || is_nobodys
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    let is_documentation = address.segments()[..2] == [0x2001, 0xdb8];
    let is_nobodys = address.is_unspecified() || address.is_multicast() || is_documentation;
    address.is_loopback()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || is_nobodys
}

impl From<IpAddr> for Host {
    /// An IPv4 address that is written as an IPv6 one is meant as the IPv4 one.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            text: address.to_string().into(),
            kind: Kind::Address(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.text.to_string()
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        Self::parse(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::CertificateName;

    fn host(word: &str) -> Host {
        Host::parse(word).unwrap()
    }

    #[test]
    fn names_above_come_the_nearest_first() {
        for (word, expected) in [
            ("a.b.example", &["b.example", "example"][..]),
            ("*.b.example", &["b.example", "example"]),
            ("example", &[]),
            ("10.0.0.1", &[]),
            ("fd00::1", &[]),
        ] {
            let parents = Host::parse(word).unwrap().parents();
            let parents: Vec<_> = parents.iter().map(Host::as_str).collect();
            assert_eq!(parents, expected, "{word}");
        }
    }

    #[test]
    fn hosts_of_all_kinds_are_read_as_people_write_them() {
        for (written, text, in_url, file_word) in [
            (
                "Shop.Example.",
                "shop.example",
                "shop.example",
                "shop.example",
            ),
            (
                "bücher.example",
                "xn--bcher-kva.example",
                "xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            (
                "*.Shop.Example",
                "*.shop.example",
                "*.shop.example",
                "_.shop.example",
            ),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"),
            ("[FD00:0::1]", "fd00::1", "[fd00::1]", "fd00--1"),
            ("::1", "::1", "[::1]", "0--1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ] {
            let host = host(written);
            assert_eq!(
                (host.as_str(), host.in_url().as_str()),
                (text, in_url),
                "{written}"
            );
            assert_eq!(&*host.file_word(), file_word);
            assert_eq!(CertificateName::from(&host).as_str(), file_word);
            assert_eq!(
                CertificateName::parse(file_word).map(String::from),
                Ok(file_word.to_owned())
            );
            assert_eq!(Host::parse(text), Ok(host));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_its_own_reason() {
        for (written, reason) in [
            ("*", HostError::Star),
            ("shop.*", HostError::Star),
            ("a*.shop.example", HostError::Star),
            ("*.*.example", HostError::Star),
            ("*.", HostError::Name(DnsNameError::Empty)),
            ("*.10.0.0.1", HostError::Name(DnsNameError::Number)),
            ("1.2.3", HostError::Name(DnsNameError::Number)),
            ("[10.0.0.1]", HostError::Name(DnsNameError::Character('['))),
            ("10.0.0.1:80", HostError::Name(DnsNameError::NotAlone)),
            ("fe80::1%eth0", HostError::Name(DnsNameError::NotAlone)),
            ("", HostError::Name(DnsNameError::Empty)),
        ] {
            assert_eq!(Host::parse(written), Err(reason), "{written:?}");
        }
        let long = vec!["a".repeat(50); 5].join(".");
        assert_eq!(
            Host::parse(&format!("*.{}", &long[..252])),
            Err(HostError::TooLong(254))
        );
    }

    #[test]
    fn long_names_have_short_files_that_differ() {
        let long = |end: &str| host(&format!("{}.{end}", vec!["a".repeat(60); 4].join(".")));
        let (one, other) = (long("one"), long("two"));
        assert_ne!(one.file_word(), other.file_word());
        assert_eq!(one.file_word().len(), 213);
    }

    #[test]
    fn names_and_addresses_that_are_reached_from_everywhere_can_be_certified() {
        for word in [
            "shop.org",
            "*.shop.org",
            "1.1.1.1",
            "2606:4700::1111",
            "100.128.0.1",
            "172.32.0.1",
        ] {
            assert!(!host(word).is_reserved(), "{word}");
        }
        for word in [
            "localhost",
            "shop.internal",
            "*.lan",
            "*.shop.example",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "2001:db8::1",
        ] {
            assert!(host(word).is_reserved(), "{word}");
        }
    }

    #[test]
    fn a_wildcard_is_looked_at_by_a_name_under_it() {
        assert_eq!(
            host("*.shop.example").one_of(),
            "quaymaster-probe.shop.example"
        );
        assert_eq!(host("shop.example").one_of(), "shop.example");
        assert_eq!(
            host("a.shop.example").covering_wildcard(),
            Some("*.shop.example".to_owned())
        );
        assert_eq!(host("10.0.0.1").covering_wildcard(), None);
        assert_eq!(host("*.shop.example").covering_wildcard(), None);
    }
}
