//! The one account whose thumbprint a server of the user's answers by, and accounts that it does not answer for.

use std::collections::BTreeSet;

use crate::{
    cli::Call,
    daemon::Daemon,
    desire::Desired,
    report::Findings,
    values::{CaTable, ChallengeType, Issuers},
};

const ABOUT: &str = "thumbprint";

/// An account, as far as it lies here.
#[derive(Clone, Debug)]
enum KnownAccount {
    /// There is none.
    Missing,
    /// Its key is being changed.
    Changing,
    /// It is known by this thumbprint.
    Known(String),
}

/// Checks that one thumbprint is right for all CAs that a certificate is asked of, where a server answers by it.
pub(super) fn look(call: &Call, daemon: &Daemon, desired: Option<&Desired>, told: &mut Findings) {
    if !call.settings.thumbprint {
        return;
    }
    let wanted = desired.map(|desired| desired.certificates.values());
    let by_http = wanted
        .into_iter()
        .flatten()
        .filter(|wanted| wanted.issuance.challenge == ChallengeType::Http01);
    let mut lists: BTreeSet<Vec<&str>> = by_http
        .map(|wanted| wanted.issuers.directories().collect())
        .collect();
    if lists.is_empty() {
        lists.extend(
            call.settings
                .ca
                .iter()
                .map(|ca: &Issuers| ca.directories().collect()),
        );
    }
    let account = |directory: &str| {
        let Ok(authority) = daemon.ports.issuing.authorities.at(directory) else {
            return KnownAccount::Missing;
        };
        match (authority.thumbprint(), authority.account_url()) {
            (Some(thumbprint), _) => KnownAccount::Known(thumbprint),
            (None, Some(_)) => KnownAccount::Changing,
            (None, None) => KnownAccount::Missing,
        }
    };
    tell(&lists, account, &call.settings.cas, told);
}

fn tell(
    lists: &BTreeSet<Vec<&str>>,
    account: impl Fn(&str) -> KnownAccount,
    cas: &CaTable,
    told: &mut Findings,
) {
    let firsts: BTreeSet<_> = lists.iter().filter_map(|list| list.first()).collect();
    for first in firsts {
        let ca = cas.called(first);
        match account(first) {
            KnownAccount::Known(thumbprint) => {
                told.ok(ABOUT, format!("the server has to answer by {thumbprint} for {ca}"));
            }
            KnownAccount::Changing => told.problem(
                ABOUT,
                format!("the key of the account at {ca} is being changed"),
                format!(
                    "`quaymaster account {ca} --roll-over` ends that; write the thumbprint that it prints into the line of the server"
                ),
            ),
            KnownAccount::Missing => told.problem(
                ABOUT,
                format!("there is no account at {ca} yet by whose thumbprint a server could answer"),
                format!("`quaymaster register {ca}` makes it, and prints the lines for haproxy and nginx"),
            ),
        }
    }
    let pairs: BTreeSet<_> = lists
        .iter()
        .filter_map(|list| list.split_first())
        .flat_map(|(first, others)| others.iter().map(move |other| (first, other)))
        .collect();
    for (first, other) in pairs {
        let (ca, first_ca) = (cas.called(other), cas.called(first));
        let says = match (account(first), account(other)) {
            (KnownAccount::Known(one), KnownAccount::Known(two)) if one == two => continue,
            (_, KnownAccount::Known(thumbprint)) => format!(
                "the account at {ca} has a different key ({thumbprint}) from the account at {first_ca}, the first CA \
                 of the list"
            ),
            _ => format!(
                "the account at {ca} will have a different key from the account at {first_ca}, the first CA of the list"
            ),
        };
        told.problem(
            ABOUT,
            format!("{says}: a server answers with one thumbprint only, so {ca} could validate nothing"),
            format!(
                "leave {ca} out of the list, prove the names by challenge=dns-01, or have the server pass challenges on to \
                 quaymaster (listen-http), which answers for each account"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FindingState;

    #[test]
    fn each_ca_of_a_list_is_named_whose_account_has_another_key_than_the_first() {
        let known = |thumbprint: &str| KnownAccount::Known(thumbprint.to_owned());
        let account = |directory: &str| match directory {
            "https://one.example" | "https://same.example" => known("ONE"),
            "https://two.example" => known("TWO"),
            "https://changing.example" => KnownAccount::Changing,
            _ => KnownAccount::Missing,
        };
        for (list, problems) in [
            (&["one"][..], &[][..]),
            (&["one", "same"], &[]),
            (
                &["one", "same", "two"],
                &[
                    "the account at https://two.example has a different key (TWO) from the account at \
                     https://one.example",
                ],
            ),
            (
                &["one", "missing"],
                &[
                    "the account at https://missing.example will have a different key from the account at \
                     https://one.example",
                ],
            ),
            (
                &["missing"],
                &["there is no account at https://missing.example yet"],
            ),
            (
                &["changing"],
                &["the key of the account at https://changing.example is being changed"],
            ),
        ] {
            let urls: Vec<_> = list
                .iter()
                .map(|name| format!("https://{name}.example"))
                .collect();
            let list = urls.iter().map(String::as_str).collect();
            let mut told = Findings::default();
            tell(
                &BTreeSet::from([list]),
                account,
                &CaTable::default(),
                &mut told,
            );
            let found: Vec<_> = told.problems().collect();
            assert_eq!(found.len(), problems.len(), "{found:?}");
            for (finding, begin) in found.iter().zip(problems) {
                assert!(finding.says.starts_with(begin), "{finding:?}");
                assert!(finding.remedy.is_some(), "{finding:?}");
            }
            let well = told
                .0
                .iter()
                .filter(|it| it.state == FindingState::Ok)
                .count();
            assert_eq!(well, usize::from(urls[0] == "https://one.example"));
        }
    }
}
