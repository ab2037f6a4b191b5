//! Lines of a zone file, for people to paste and for programs to read: those that are needed, those that are waited for, and those
//! that shut others out.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use url::Url;

use crate::{
    ports::StandingProof,
    values::{DnsProvider, DnsSettings, Host},
};

/// Lines about one matter.
#[derive(Serialize)]
pub(super) struct ZonePart {
    /// The matter, in a word for programs.
    about: &'static str,
    /// The matter, in words for people.
    #[serde(skip)]
    heading: &'static str,
    /// What is worth knowing about them, or why there are none.
    pub notes: Vec<String>,
    /// The records themselves.
    pub records: Vec<ZoneRecord>,
    /// True if nobody should set them without thinking about it: they are printed as comments.
    is_offered: bool,
}

/// A record of DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ZoneRecord {
    /// Its name, without a dot at the end.
    pub name: String,
    /// How long resolvers may keep it, in seconds, where that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its data, as zone files have it.
    pub data: String,
}

impl fmt::Display for ZoneRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. ", self.name)?;
        if let Some(ttl) = self.ttl {
            write!(f, "{ttl} ")?;
        }
        write!(f, "{} {}", self.kind, self.data)
    }
}

impl ZonePart {
    /// Records to set, about which nothing is known yet.
    pub fn new(about: &'static str, heading: &'static str) -> Self {
        Self {
            about,
            heading,
            notes: Vec::new(),
            records: Vec::new(),
            is_offered: false,
        }
    }

    /// The same of records that are printed as comments.
    pub fn offered(about: &'static str, heading: &'static str) -> Self {
        Self {
            is_offered: true,
            ..Self::new(about, heading)
        }
    }

    /// Takes a record, or the reason why there is none.
    pub fn add(&mut self, line: Result<ZoneRecord, String>) {
        match line {
            Ok(record) => self.records.push(record),
            Err(note) => self.notes.push(note),
        }
    }

    fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.records.is_empty()
    }
}

/// The text of a zone file.
pub(super) fn zone_text(parts: &[ZonePart]) -> String {
    let mut lines = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("; {}", part.heading));
        lines.extend(part.notes.iter().map(|note| format!("; {note}")));
        let begin = if part.is_offered { "; " } else { "" };
        let records = part.records.iter();
        lines.extend(records.map(|record| format!("{begin}{record}")));
    }
    lines.join("\n") + "\n"
}

/// The record that leads from where the CA looks to where records are set, or why there is none.
pub(super) fn cname(
    at: &str,
    table: Option<(&str, &DnsSettings)>,
    alias: Option<&str>,
) -> Result<ZoneRecord, String> {
    let name = at.strip_prefix("_acme-challenge.").unwrap_or(at);
    let line = |to: String| {
        Ok(ZoneRecord {
            name: at.to_owned(),
            ttl: None,
            kind: "CNAME",
            data: format!("{to}."),
        })
    };
    if let Some(zone) = alias {
        return line(format!("{name}.{zone}"));
    }
    let Some((table, dns)) = table else {
        return Err(format!(
            "{at}.  CNAME to a name in a zone that may be changed from here; --alias ZONE writes the line"
        ));
    };
    let is_acme_dns = dns
        .provider
        .is_some_and(|it| it.name == DnsProvider::ACME_DNS);
    match (&dns.zone, &dns.subdomain) {
        (zone, Some(subdomain)) if is_acme_dns => {
            let of_url = || acme_dns_zone(dns);
            let zone = zone.clone().or_else(of_url).unwrap_or_default();
            line(format!("{subdomain}.{zone}"))
        }
        (Some(zone), _) if at != zone && !at.ends_with(&format!(".{zone}")) => {
            line(format!("{name}.{zone}"))
        }
        (Some(zone), _) => Err(format!(
            "{at}.  needs none: it lies in {zone}, where [dns.{table}] sets records"
        )),
        (None, _) => Err(format!(
            "{at}.  needs none if [dns.{table}] may change its zone; else --alias ZONE writes one to a zone that it may change"
        )),
    }
}

/// The zone of an acme-dns server that is named by its URL alone: most have the same name.
fn acme_dns_zone(dns: &DnsSettings) -> Option<String> {
    let url = dns.url.as_deref().or(dns.provider?.url)?;
    let url = Url::parse(url).ok()?;
    url.domain().map(str::to_owned)
}

/// Parts of the CAA records for one CA.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-4>, <https://www.rfc-editor.org/rfc/rfc8657#section-3>
pub(super) struct CaaLine<'c> {
    pub identity: &'c str,
    pub account: Option<&'c str>,
    pub by_dns: bool,
    pub by_http: bool,
}

impl CaaLine<'_> {
    /// The record of one name.
    pub fn of(&self, name: &Host) -> ZoneRecord {
        let (tag, methods) = match (name.is_wildcard(), self.by_dns, self.by_http) {
            // No other method proves one.
            (true, ..) => ("issuewild", "dns-01"),
            (false, true, true) => ("issue", "dns-01,http-01"),
            (false, true, false) => ("issue", "dns-01"),
            (false, false, _) => ("issue", "http-01"),
        };
        let account = self
            .account
            .map_or_else(String::new, |url| format!("; accounturi={url}"));
        ZoneRecord {
            name: bare(name).to_owned(),
            ttl: None,
            kind: "CAA",
            data: format!(
                "0 {tag} \"{}{account}; validationmethods={methods}\"",
                self.identity
            ),
        }
    }
}

/// The name without the star of a wildcard.
fn bare(name: &Host) -> &str {
    let name = name.as_str();
    name.strip_prefix("*.").unwrap_or(name)
}

/// The standing proofs of these names: one for a name and its wildcard, which holds for both.
pub(super) fn standing(names: &[Host], proof: &StandingProof<'_>) -> Vec<ZoneRecord> {
    let mut places: BTreeMap<&str, bool> = BTreeMap::new();
    for name in names {
        *places.entry(bare(name)).or_default() |= name.is_wildcard();
    }
    let record = |(name, is_wildcard): (&str, bool)| ZoneRecord {
        name: StandingProof::place(name),
        ttl: None,
        kind: "TXT",
        data: in_quotes(&proof.text(name, is_wildcard)),
    };
    places.into_iter().map(record).collect()
}

/// A text of a TXT record, in strings of at most 255 bytes.
///
/// <https://www.rfc-editor.org/rfc/rfc1035#section-3.3>
fn in_quotes(text: &str) -> String {
    let bytes: Vec<_> = text.chars().collect();
    let strings = bytes.chunks(255).map(|string| {
        let string: String = string.iter().collect();
        format!("\"{string}\"")
    });
    strings.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::DNS_PROVIDERS;

    fn table(provider: &str) -> DnsSettings {
        let row = DNS_PROVIDERS.iter().find(|row| row.name == provider);
        DnsSettings {
            provider: row.copied(),
            ..DnsSettings::default()
        }
    }

    fn said(line: Result<ZoneRecord, String>) -> String {
        line.map_or_else(|note| note, |record| record.to_string())
    }

    #[test]
    fn the_cname_line_leads_where_the_table_or_the_word_says() {
        let at = "_acme-challenge.shop.example";
        let of_zone = |zone: &str| DnsSettings {
            zone: Some(zone.to_owned()),
            ..table("rfc2136")
        };
        let registered = DnsSettings {
            subdomain: Some("8e57".to_owned()),
            ..table("acme-dns")
        };
        let own = DnsSettings {
            url: Some("https://dns.corp.example:8443/api".to_owned()),
            ..registered.clone()
        };
        for (table, alias, expected) in [
            (
                None,
                Some("acme.example"),
                "_acme-challenge.shop.example. CNAME shop.example.acme.example.",
            ),
            (
                Some(of_zone("acme.corp.example")),
                None,
                "_acme-challenge.shop.example. CNAME shop.example.acme.corp.example.",
            ),
            (
                Some(registered),
                None,
                "_acme-challenge.shop.example. CNAME 8e57.auth.acme-dns.io.",
            ),
            (
                Some(own),
                None,
                "_acme-challenge.shop.example. CNAME 8e57.dns.corp.example.",
            ),
            (
                Some(of_zone("shop.example")),
                None,
                "_acme-challenge.shop.example.  needs none: it lies in shop.example, where [dns.home] sets records",
            ),
        ] {
            let table = table.as_ref().map(|table| ("home", table));
            assert_eq!(said(cname(at, table, alias)), expected);
        }
        assert!(said(cname(at, None, None)).contains("--alias ZONE writes the line"));
        let unknown = table("cloudflare");
        let told = cname(at, Some(("home", &unknown)), None).expect_err("the zone is not known");
        assert!(told.contains("may change its zone"), "{told}");
    }

    #[test]
    fn caa_lines_name_account_and_method_and_wildcards_are_proven_by_dns_alone() {
        let line = CaaLine {
            identity: "ca.example",
            account: Some("https://ca.example/acct/1"),
            by_dns: false,
            by_http: true,
        };
        let of = |line: &CaaLine<'_>, name: &str| {
            line.of(&Host::parse(name).expect("a name")).to_string()
        };
        assert_eq!(
            of(&line, "shop.example"),
            r#"shop.example. CAA 0 issue "ca.example; accounturi=https://ca.example/acct/1; validationmethods=http-01""#
        );
        let unknown = CaaLine {
            account: None,
            by_dns: true,
            ..line
        };
        assert_eq!(
            of(&unknown, "shop.example"),
            r#"shop.example. CAA 0 issue "ca.example; validationmethods=dns-01,http-01""#
        );
        assert_eq!(
            of(&unknown, "*.shop.example"),
            r#"shop.example. CAA 0 issuewild "ca.example; validationmethods=dns-01""#
        );
    }

    #[test]
    fn a_standing_proof_is_offered_as_a_comment_once_for_a_name_and_its_wildcard() {
        let names = ["*.shop.example", "shop.example", "mail.example"];
        let names = names.map(|name| Host::parse(name).expect("a name"));
        let proof = StandingProof {
            issuer: "ca.example",
            hash_prefix: None,
            account: "https://ca.example/acct/1",
            thumbprint: "",
        };
        let mut part = ZonePart::offered("dns-persist-01", "think first");
        part.records = standing(&names, &proof);
        let expected = "; think first\n\
            ; _validation-persist.mail.example. TXT \"ca.example; accounturi=https://ca.example/acct/1\"\n\
            ; _validation-persist.shop.example. TXT \"ca.example; accounturi=https://ca.example/acct/1; policy=wildcard\"\n";
        assert_eq!(zone_text(&[ZonePart::new("none", "empty"), part]), expected);
        let long = in_quotes(&"x".repeat(300));
        assert_eq!(
            long,
            format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45))
        );
    }
}
