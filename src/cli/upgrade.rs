use std::path::PathBuf;

use clap::{Arg, Command, value_parser};
use serde::Serialize;

use super::{
    Call, Exit, Failure, arguments, block_on, by_hand::directory, consent, json, print, setup,
};
use crate::{
    adapters::disk,
    ports::{AuthorityError, Problem},
};

pub(super) fn arguments(command: Command) -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .default_value("account.json")
        .value_parser(value_parser!(PathBuf));
    command
        .arg(file.help("manuale's account.json"))
        .arg(consent::yes())
        .arg(arguments::format(&["text", "json"]))
}

/// The outcome, as printed.
#[derive(Serialize)]
struct Upgrade {
    outcome: UpgradeOutcome,
    file: PathBuf,
    url: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum UpgradeOutcome {
    /// The file says where the account is now.
    Upgraded,
    /// It said so before.
    Unchanged,
}

/// True if an account has the URL of the protocol's first version, as Let's Encrypt had it.
///
/// <https://community.letsencrypt.org/t/end-of-life-plan-for-acmev1/88430>
fn is_of_first_version(url: &str) -> bool {
    url.contains("://acme-v01.") || url.contains("/acme/reg/")
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let default = PathBuf::from("account.json");
    let file = call.options.get_one::<PathBuf>("file").unwrap_or(&default);
    let account = disk::account_key(file)?;
    let Some(url) = account.url else {
        return Err(Failure::Usage(format!(
            "{} does not say where its account is, so there is nothing to upgrade; `quaymaster register --account {0}` takes \
             over the account of a key",
            file.display()
        )));
    };
    if !is_of_first_version(&url) {
        return tell(call, UpgradeOutcome::Unchanged, file, url);
    }
    let directory = directory(call)?;
    let ca = call.settings.cas.called(&directory).to_owned();
    let desk = setup::desk(call, setup::folders(call, None), &directory, false)?;
    block_on(async {
        let Some(found) = desk.find(&account.key).await? else {
            return Err(AuthorityError::Refused {
                problem: Problem::AccountDoesNotExist,
                detail: format!(
                    "there is no account with the key in {} at the CA {ca}; name the CA that has it by --ca",
                    file.display()
                ),
            }
            .into());
        };
        let what = format!(
            "{} says that its account is at {url}, which is of the first version of the protocol; at the CA {ca} it is at {found}.",
            file.display()
        );
        if !consent::is_given(call, &what, "Write that into the file?")? {
            return Ok(Exit::Interrupted);
        }
        disk::move_account(file, &found)?;
        tell(call, UpgradeOutcome::Upgraded, file, found)
    })
}

fn tell(
    call: &Call,
    outcome: UpgradeOutcome,
    file: &std::path::Path,
    url: String,
) -> Result<Exit, Failure> {
    let words = match outcome {
        UpgradeOutcome::Upgraded => "upgraded",
        UpgradeOutcome::Unchanged => "nothing to upgrade",
    };
    let text = format!("{}: {words}: {url}\n", file.display());
    let upgrade = Upgrade {
        outcome,
        file: file.to_owned(),
        url,
    };
    print(&match call.wants_json() {
        true => json(&upgrade)?,
        false => text,
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_the_first_version_is_known_by_its_url() {
        for (url, expected) in [
            ("https://acme-v01.api.letsencrypt.org/acme/reg/1", true),
            ("https://acme-v02.api.letsencrypt.org/acme/reg/1", true),
            ("https://acme-v02.api.letsencrypt.org/acme/acct/1", false),
            ("https://ca.example/account/1", false),
        ] {
            assert_eq!(is_of_first_version(url), expected, "{url}");
        }
    }
}
