use std::{collections::BTreeMap, path::PathBuf, rc::Rc};

use clap::{Arg, ArgAction, Command};
use serde::Serialize;

use super::{
    Call, Exit, Failure, arguments, block_on, consent, json, print, setup, table::table, terminal,
    thumbprint,
};
use crate::{
    adapters::{acme, disk::Folders},
    ports::{AccountDesk, AccountStatus, AuthorityError, KeptAccount, RolledOver, SeenAccount},
    values::{CA_PRESETS, Issuers, preset_at},
};

pub(super) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    command
        .arg(
            ca_argument()
                .help("a CA, as the setting ca names it; without one, all accounts are listed"),
        )
        .arg(
            flag("roll-over")
                .requires("ca-name")
                .conflicts_with("deactivate")
                .help("give the account a new key"),
        )
        .arg(
            flag("deactivate")
                .requires("ca-name")
                .help("end the account at the CA, for good; asks on a terminal"),
        )
        .arg(consent::yes())
        .arg(arguments::format(&["text", "json"]))
}

/// The CA that a command is about.
pub(super) fn ca_argument() -> Arg {
    Arg::new("ca-name").value_name("NAME")
}

/// The directory of the CA that is meant: the one of this name, or that of the setting `ca`.
pub(super) fn directory(call: &Call) -> Result<String, Failure> {
    let settings = &call.settings;
    let word = call.options.get_one::<String>("ca-name");
    let issuers = match word {
        None => settings.ca.clone(),
        Some(word) => settings.cas.of_setting(word).map_err(|_| {
            let own = settings.cas.names();
            let presets = CA_PRESETS.iter().map(|preset| preset.name);
            let names: Vec<_> = presets.chain(own).collect();
            Failure::Usage(format!(
                "{word:?} is not a known CA; write one of {}, or the https:// URL of a CA's directory",
                names.join(", ")
            ))
        })?,
    };
    let mut directories = issuers.iter().flat_map(Issuers::directories);
    let problem = match (directories.next(), directories.next()) {
        (Some(_), Some(_)) if word.is_some() => "names several CAs",
        (Some(directory), _) => return Ok(directory.to_owned()),
        (None, _) => "asks no CA, and has no account",
    };
    Err(Failure::Usage(format!(
        "{} {problem}; name one CA",
        word.map_or("the setting ca", String::as_str)
    )))
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let folders = setup::folders(call, None);
    if call.options.get_one::<String>("ca-name").is_none() {
        let accounts = listed(call, &folders)?;
        print(&match call.wants_json() {
            true => json(&accounts)?,
            false => all(&accounts, terminal::width()),
        })?;
        return Ok(Exit::Done);
    }
    let directory = directory(call)?;
    let ca = call.settings.cas.called(&directory).to_owned();
    let desk = setup::desk(call, folders, &directory, false)?;
    block_on(async {
        if call.options.get_flag("roll-over") {
            let rolled = desk.roll_over().await?;
            print(&match call.wants_json() {
                true => json(&rolled)?,
                false => rolled_over(&ca, &rolled, call.settings.thumbprint),
            })?;
            return Ok(Exit::Done);
        }
        if call.options.get_flag("deactivate") {
            return deactivate(call, &*desk, &ca).await;
        }
        let seen = desk.look().await?;
        let shown = AccountReport::of(ca, directory, kept(&*desk)?, seen);
        print(&match call.wants_json() {
            true => json(&shown)?,
            false => shown.text(),
        })?;
        Ok(match shown.seen.status {
            AccountStatus::Valid => Exit::Done,
            _ => Exit::Partly,
        })
    })
}

/// The account on disk, which was there a moment ago.
pub(super) fn kept(desk: &dyn AccountDesk) -> Result<KeptAccount, Failure> {
    let gone = || AuthorityError::Ours {
        what: "the account was put aside meanwhile; ask again".to_owned(),
        source: None,
    };
    Ok(desk.kept()?.ok_or_else(gone)?)
}

/// An account in the list of all.
#[derive(Serialize)]
struct Listed {
    /// The CA, as settings name it; what its folder is called, where no setting names it any more.
    ca: String,
    #[serde(flatten)]
    account: KeptAccount,
}

fn listed(call: &Call, folders: &Rc<Folders>) -> Result<Vec<Listed>, Failure> {
    let settings = &call.settings;
    let presets = CA_PRESETS.iter().map(|preset| preset.directory);
    let own = settings.cas.own().map(|(directory, _)| directory);
    let default = settings.ca.iter().flat_map(Issuers::directories);
    let known: BTreeMap<_, _> = presets
        .chain(own)
        .chain(default)
        .map(|directory| (Folders::account_folder(directory), directory))
        .collect();
    let name = |folder: String| {
        let directory = known.get(&folder);
        directory.map_or(folder, |directory| {
            settings.cas.called(directory).to_owned()
        })
    };
    let mut accounts = Vec::new();
    for (folder, text) in folders.accounts()? {
        match acme::kept_account(&text) {
            Some(account) => accounts.push(Listed {
                ca: name(folder),
                account,
            }),
            None => tracing::warn!(
                "the account in {} is damaged, and left out",
                folders.account_place(&folder).display()
            ),
        }
    }
    Ok(accounts)
}

fn all(accounts: &[Listed], width: Option<usize>) -> String {
    if accounts.is_empty() {
        return "there is no account; `quaymaster register` makes one, and so does the first order\n"
            .to_owned();
    }
    let rows: Vec<_> = accounts
        .iter()
        .map(|Listed { ca, account }| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            [ca.clone(), or_none(&account.url), or_none(&account.email)]
        })
        .collect();
    table(["CA", "ACCOUNT", "E-MAIL"], &rows, width)
}

/// An account with what its CA says.
#[derive(Serialize)]
pub(super) struct AccountReport {
    ca: String,
    directory: String,
    #[serde(flatten)]
    account: KeptAccount,
    #[serde(flatten)]
    seen: SeenAccount,
    /// The line of a zone that lets this account alone obtain certificates; none where the CA does not say how it is named.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8657#section-3>
    caa: Option<String>,
}

impl AccountReport {
    pub(super) fn of(
        ca: String,
        directory: String,
        account: KeptAccount,
        seen: SeenAccount,
    ) -> Self {
        let preset = preset_at(&directory).and_then(|preset| preset.caa.first().copied());
        let identity = preset.or_else(|| seen.caa_identities.first().map(String::as_str));
        let line =
            |(identity, url)| format!(r#"example.org. CAA 0 issue "{identity}; accounturi={url}""#);
        let caa = identity.zip(account.url.as_ref()).map(line);
        Self {
            ca,
            directory,
            account,
            seen,
            caa,
        }
    }

    pub(super) fn text(&self) -> String {
        let Self {
            ca,
            account,
            seen,
            caa,
            ..
        } = self;
        let url = account.url.as_deref().unwrap_or("-");
        let status = match seen.status {
            AccountStatus::Valid => "valid".to_owned(),
            AccountStatus::Deactivated => format!(
                "deactivated: the CA takes no request of it; `quaymaster account {ca} --deactivate` puts its record aside, \
                 then `quaymaster register {ca}` makes another"
            ),
            AccountStatus::Revoked => format!(
                "revoked: the CA has shut it, ask the CA why; `quaymaster account {ca} --deactivate` puts its record aside"
            ),
            AccountStatus::Unknown => format!(
                "unknown to the CA: it has lost it; the next order, or `quaymaster register {ca}`, makes another"
            ),
        };
        let contact = match seen.contact.as_slice() {
            [] => "the CA shows none".to_owned(),
            some => some.join(", "),
        };
        let agreed = match seen.terms_agreed {
            Some(true) => "agreed to; ",
            Some(false) => "not agreed to; ",
            None => "",
        };
        let terms = seen.terms.as_deref().unwrap_or("the CA names none");
        let mut lines = vec![
            format!("{ca}: {url}"),
            format!("  status   {status}"),
            format!("  contact  {contact}"),
            format!("  terms    {agreed}{terms}"),
            format!(
                "  key      {}, thumbprint {}",
                account.key_type, account.thumbprint
            ),
        ];
        if account.is_key_changing {
            lines.push(format!(
                "a change of the key was cut off before the CA accepted the new one; `quaymaster account {ca} \
                 --roll-over` ends it"
            ));
        }
        lines.push(match caa {
            Some(line) => format!("  CAA      {line}"),
            None => "  CAA      the CA does not say by which domain records name it".to_owned(),
        });
        lines.join("\n") + "\n"
    }
}

fn rolled_over(ca: &str, rolled: &RolledOver, is_by_thumbprint: bool) -> String {
    let RolledOver {
        url,
        thumbprint,
        was_begun,
    } = rolled;
    let what = match was_begun {
        true => {
            "the change of its key that was cut off earlier is complete: the CA accepts only the new one"
        }
        false => "it has a new key, and the CA accepts only the new one",
    };
    let mut text = format!("{ca}: {url}\n  {what}\n  thumbprint {thumbprint}\n");
    if is_by_thumbprint {
        text += "  your server still answers challenges by the one before: no order by http-01 succeeds until it has this one\n";
        text += &thumbprint::server_lines(thumbprint);
    }
    text
}

/// An account that has ended.
#[derive(Serialize)]
struct Deactivated<'a> {
    ca: &'a str,
    url: Option<String>,
    /// Where its record is kept.
    kept: PathBuf,
}

async fn deactivate(call: &Call, desk: &dyn AccountDesk, ca: &str) -> Result<Exit, Failure> {
    let url = desk.kept()?.and_then(|kept| kept.url);
    if let Some(url) = &url {
        let what = format!(
            "The account {url} ends at the CA {ca}, and nothing brings it back. It can't order, renew or revoke anything any \
             more. Certificates that it obtained stay valid, and are served. A daemon makes another account with its next \
             order where agree-tos is set; end it, or change the setting ca, where it should not."
        );
        if !consent::is_given(call, &what, "End the account?")? {
            return Ok(Exit::Interrupted);
        }
    }
    let kept = desk.deactivate().await?;
    let url_text = url.clone().unwrap_or_default();
    let text = format!(
        "{ca}: {url_text} is deactivated; its record is kept as {}\n",
        kept.display()
    );
    print(&match call.wants_json() {
        true => json(&Deactivated { ca, url, kept })?,
        false => text,
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Issuer;

    fn shown(directory: &str, status: AccountStatus, identities: &[&str]) -> AccountReport {
        let account = KeptAccount {
            url: Some("https://ca.example/acct/1".to_owned()),
            key_type: "ec-256".to_owned(),
            thumbprint: "print".to_owned(),
            email: None,
            is_key_changing: status == AccountStatus::Unknown,
        };
        let seen = SeenAccount {
            status,
            contact: Vec::new(),
            terms_agreed: Some(true),
            terms: Some("https://ca.example/terms".to_owned()),
            caa_identities: identities.iter().map(|&text| text.to_owned()).collect(),
        };
        let ca = Issuer::Ca(directory.to_owned()).to_string();
        AccountReport::of(ca, directory.to_owned(), account, seen)
    }

    #[test]
    fn the_caa_line_names_the_ca_as_its_preset_has_it_else_as_it_says_itself() {
        let [known, own] = [CA_PRESETS[0].directory, "https://ca.example/dir"];
        for (directory, identities, expected) in [
            (known, &["other.example"][..], Some("letsencrypt.org")),
            (own, &["ca.example", "other.example"], Some("ca.example")),
            (own, &[], None),
        ] {
            let shown = shown(directory, AccountStatus::Valid, identities);
            let line = expected.map(|name| {
                format!(
                    r#"example.org. CAA 0 issue "{name}; accounturi=https://ca.example/acct/1""#
                )
            });
            assert_eq!(shown.caa, line);
            let told = shown.text();
            let words = line.as_deref().unwrap_or("does not say by which domain");
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn an_account_that_can_not_be_used_is_told_with_what_to_type() {
        let directory = CA_PRESETS[0].directory;
        for (status, words) in [
            (AccountStatus::Valid, "status   valid\n"),
            (
                AccountStatus::Deactivated,
                "`quaymaster account letsencrypt --deactivate` puts its record aside",
            ),
            (AccountStatus::Revoked, "ask the CA why"),
            (AccountStatus::Unknown, "`quaymaster register letsencrypt`"),
        ] {
            let told = shown(directory, status, &[]).text();
            assert!(told.contains(words), "{told}");
            let is_changing = told.contains("--roll-over` ends it");
            assert_eq!(is_changing, status == AccountStatus::Unknown, "{told}");
        }
    }
}
