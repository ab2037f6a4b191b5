//! The reading of CAA records: they may forbid a CA to issue for a name.

use crate::{
    observe::{CaaIssuer, CaaRecord, CaaRecords},
    values::ChallengeType,
};

/// Tags of records that every CA knows, or that are about something else than certificates of web servers.
///
/// <https://www.iana.org/assignments/pkix-parameters/pkix-parameters.xhtml#caa-properties>
const KNOWN_TAGS: &[&str] = &[
    "issue",
    "issuewild",
    "iodef",
    "issuemail",
    "issuevmc",
    "contactemail",
    "contactphone",
];

/// Who wants to issue, and how.
#[derive(Clone, Copy, Debug)]
pub struct CaaAsker<'a> {
    /// The domains that the CA recognises as its own, the one to write first.
    pub identities: &'a [&'a str],
    /// The URL of our account there, where there is one already.
    pub account: Option<&'a str>,
    /// The challenge by which names are validated.
    pub method: ChallengeType,
    /// True of a wildcard: where there are records about these, they alone count.
    pub is_wildcard: bool,
}

/// What keeps the CA from issuing for a name, and what to write instead; nothing where it may.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-4>, <https://www.rfc-editor.org/rfc/rfc8657#section-3>
pub fn forbidden(records: &CaaRecords, asker: CaaAsker<'_>) -> Option<String> {
    let at = &records.at;
    let critical = |it: &&CaaRecord| it.is_critical && !KNOWN_TAGS.contains(&it.tag.as_str());
    if let Some(record) = records.all.iter().find(critical) {
        return Some(format!(
            "the CAA record {} of {at} is marked as critical, and CAs don't know it: remove it",
            words(record)
        ));
    }
    let tagged = |tag: &'static str| records.all.iter().filter(move |it| it.tag == tag);
    let tag = match asker.is_wildcard && tagged("issuewild").next().is_some() {
        true => "issuewild",
        false => "issue",
    };
    let issue: Vec<_> = tagged(tag).collect();
    let own = asker.identities.first()?;
    let is_ours = |issuer: &&CaaIssuer| asker.identities.contains(&issuer.domain.as_str());
    let of_ours = issue
        .iter()
        .filter_map(|it| it.issuer.as_ref())
        .filter(is_ours);
    let mut problems = Vec::new();
    for issuer in of_ours {
        match condition(issuer, asker) {
            None => return None,
            Some(problem) => problems.push(problem),
        }
    }
    match (issue.as_slice(), problems.first()) {
        ([], _) => None,
        (_, Some(problem)) => Some(format!("the CAA record of {at} for {own} {problem}")),
        (all, None) => {
            let all: Vec<_> = all.iter().map(|record| words(record)).collect();
            Some(format!(
                "the CAA records of {at} ({}) don't let this CA issue: add the record {at}. CAA 0 {tag} {own:?}",
                all.join(", ")
            ))
        }
    }
}

/// The condition of a record that we don't meet, if there is one.
fn condition(issuer: &CaaIssuer, asker: CaaAsker<'_>) -> Option<String> {
    let values = |key: &str| {
        let mut all = issuer.parameters.iter();
        let found = all.find(|(known, _)| known.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    };
    if let Some(account) = values("accounturi")
        && asker.account != Some(account)
    {
        return Some(match asker.account {
            Some(own) => format!(
                "is for the account {account} alone, and ours is {own}: write accounturi={own} into it"
            ),
            None => format!(
                "is for the account {account} alone, and we have none there yet: bring that account here, or leave \
                 accounturi out until there is one"
            ),
        });
    }
    let method = asker.method.to_string();
    if let Some(methods) = values("validationmethods")
        && !methods.split(',').any(|known| known.trim() == method)
    {
        return Some(format!(
            "allows validation by {methods} alone, and this name is validated by {method}: add {method} to its \
             validationmethods"
        ));
    }
    None
}

fn words(record: &CaaRecord) -> String {
    format!("{} {:?}", record.tag, record.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Host;

    fn record(is_critical: bool, tag: &str, value: &str) -> CaaRecord {
        let mut parts = value.split(';').map(str::trim);
        let issuer = CaaIssuer {
            domain: parts.next().unwrap_or_default().to_owned(),
            parameters: parts
                .filter_map(|part| part.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        };
        CaaRecord {
            is_critical,
            tag: tag.to_owned(),
            value: value.to_owned(),
            issuer: Some(issuer),
        }
    }

    #[test]
    fn caa_records_forbid_a_ca_as_the_rfc_says_and_the_record_is_named() {
        const ACCOUNT: &str = "https://ca.example/acct/1";
        let ours = Some(ACCOUNT);
        let mine = format!("ca.example; accounturi={ACCOUNT}");
        for (records, account, problem) in [
            (vec![], ours, None),
            (vec![(false, "iodef", "mailto:a@b.example")], ours, None),
            (vec![(false, "issuewild", ";")], ours, None),
            (vec![(false, "issue", "ca.example")], None, None),
            (vec![(true, "issue", "also.example")], None, None),
            (
                vec![(false, "issue", ";"), (false, "issue", "ca.example")],
                None,
                None,
            ),
            (vec![(false, "issue", &mine)], ours, None),
            (
                vec![(
                    false,
                    "issue",
                    "ca.example; validationmethods=dns-01,http-01",
                )],
                None,
                None,
            ),
            (vec![(true, "contactemail", "a@b.example")], ours, None),
            (
                vec![(false, "issue", ";")],
                ours,
                Some(
                    r#"the CAA records of shop.example (issue ";") don't let this CA issue: add the record shop.example. CAA 0 issue "ca.example""#,
                ),
            ),
            (
                vec![
                    (false, "issue", "other.example"),
                    (false, "issuewild", "ca.example"),
                ],
                ours,
                Some(
                    r#"the CAA records of shop.example (issue "other.example") don't let this CA issue: add the record shop.example. CAA 0 issue "ca.example""#,
                ),
            ),
            (
                vec![(true, "tbs", "x"), (false, "issue", "ca.example")],
                ours,
                Some(
                    r#"the CAA record tbs "x" of shop.example is marked as critical, and CAs don't know it: remove it"#,
                ),
            ),
            (
                vec![(
                    false,
                    "issue",
                    "ca.example; accounturi=https://ca.example/acct/2",
                )],
                ours,
                Some(
                    "the CAA record of shop.example for ca.example is for the account https://ca.example/acct/2 alone, and ours \
                     is https://ca.example/acct/1: write accounturi=https://ca.example/acct/1 into it",
                ),
            ),
            (
                vec![(false, "issue", &mine)],
                None,
                Some(
                    "the CAA record of shop.example for ca.example is for the account https://ca.example/acct/1 alone, and we \
                     have none there yet: bring that account here, or leave accounturi out until there is one",
                ),
            ),
            (
                vec![(false, "issue", "ca.example; validationmethods=dns-01")],
                ours,
                Some(
                    "the CAA record of shop.example for ca.example allows validation by dns-01 alone, and this name is \
                     validated by http-01: add http-01 to its validationmethods",
                ),
            ),
        ] {
            let all = records
                .iter()
                .map(|(critical, tag, value)| record(*critical, tag, value));
            let records = CaaRecords {
                at: Host::parse("shop.example").expect("a name"),
                all: all.collect(),
            };
            let asker = CaaAsker {
                identities: &["ca.example", "also.example"],
                account,
                method: ChallengeType::Http01,
                is_wildcard: false,
            };
            assert_eq!(
                forbidden(&records, asker).as_deref(),
                problem,
                "{records:?}"
            );
        }
    }

    #[test]
    fn a_record_that_can_t_be_read_lets_nobody_issue() {
        let unread = CaaRecord {
            issuer: None,
            ..record(false, "issue", "%%%")
        };
        let records = CaaRecords {
            at: Host::parse("shop.example").expect("a name"),
            all: vec![unread],
        };
        let asker = CaaAsker {
            identities: &["ca.example"],
            account: None,
            method: ChallengeType::Http01,
            is_wildcard: false,
        };
        assert!(forbidden(&records, asker).is_some());
    }

    #[test]
    fn of_a_wildcard_records_about_wildcards_alone_count_where_there_are_any() {
        let records = |all: &[(&str, &str)]| CaaRecords {
            at: Host::parse("shop.example").expect("a name"),
            all: all
                .iter()
                .map(|(tag, value)| record(false, tag, value))
                .collect(),
        };
        let told = |all: &[(&str, &str)], is_wildcard| {
            let asker = CaaAsker {
                identities: &["ca.example"],
                account: None,
                method: ChallengeType::Dns01,
                is_wildcard,
            };
            forbidden(&records(all), asker)
        };
        let (ours, others) = (("issue", "ca.example"), ("issuewild", "other.example"));
        assert_eq!(told(&[ours], true), None);
        assert_eq!(told(&[ours, others], false), None);
        assert_eq!(
            told(&[("issue", ";"), ("issuewild", "ca.example")], true),
            None
        );
        let refused = told(&[ours, others], true).expect("another CA alone may issue wildcards");
        assert!(
            refused.ends_with(r#"add the record shop.example. CAA 0 issuewild "ca.example""#),
            "{refused}"
        );
        let by_page = told(&[("issue", "ca.example; validationmethods=http-01")], true);
        let refused = by_page.expect("dns-01 is not allowed");
        assert!(
            refused.ends_with("add dns-01 to its validationmethods"),
            "{refused}"
        );
    }
}
