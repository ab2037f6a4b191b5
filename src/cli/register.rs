use std::path::PathBuf;

use clap::{Arg, Command, value_parser};
use serde::Serialize;

use super::{
    Call, Exit, Failure,
    account::{AccountReport, ca_argument, directory},
    arguments, block_on, consent, json, print, setup, thumbprint,
};
use crate::{
    adapters::disk,
    ports::{AccountDesk, AuthorityError, RegisteredAccount, RegistrationOutcome},
};

pub(super) fn arguments(command: Command) -> Command {
    let account = Arg::new("account")
        .long("account")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    command
        .arg(ca_argument().help("a CA, as the setting ca names it; without one, that of the setting"))
        .arg(account.help(
            "take over the account with the key in FILE: PEM, as lego and acme.sh have it, certbot's private_key.json, or manuale's account.json; RSA or EC P-256 or P-384",
        ))
        .arg(consent::yes())
        .arg(arguments::format(&["text", "json"]))
}

/// The outcome, as printed.
#[derive(Serialize)]
struct Registered {
    outcome: RegistrationOutcome,
    /// The reason why the CA did not take the e-mail address of the settings, where it did not.
    email_problem: Option<String>,
    /// The lines for the user's server, where one answers challenges.
    #[serde(skip)]
    lines: Option<String>,
    #[serde(flatten)]
    account: AccountReport,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let directory = directory(call)?;
    let ca = call.settings.cas.called(&directory).to_owned();
    let file = call.options.get_one::<PathBuf>("account");
    let key = file.map(|path| disk::account_key(path)).transpose()?;
    if let (Some(path), Some(key)) = (file, &key)
        && key.is_exposed
    {
        tracing::warn!(
            "{0} may be read by others than its owner, and so is the account theirs; take that right away with `chmod 600 \
             {0}`, and give the account a new key with `quaymaster account {ca} --roll-over`",
            path.display()
        );
    }
    block_on(async {
        let made = |is_agreed| setup::desk(call, setup::folders(call, None), &directory, is_agreed);
        let mut desk = made(call.options.get_flag("yes"))?;
        let registered = match &key {
            Some(key) => desk.recover(&key.key).await,
            None => desk.register().await,
        };
        let registered = match registered {
            Err(AuthorityError::Terms { terms }) => {
                let what = format!(
                    "An account at the CA {ca} needs your agreement to its terms, which are at {terms} (the setting \
                     agree-tos says it, too)."
                );
                if !consent::is_given(call, &what, "Do you agree to them?")? {
                    return Ok(Exit::Interrupted);
                }
                desk = made(true)?;
                desk.register().await?
            }
            registered => registered?,
        };
        tell(call, &*desk, ca, directory.clone(), registered).await
    })
}

async fn tell(
    call: &Call,
    desk: &dyn AccountDesk,
    ca: String,
    directory: String,
    registered: RegisteredAccount,
) -> Result<Exit, Failure> {
    let RegisteredAccount {
        outcome,
        refused_email,
        ..
    } = registered;
    let seen = desk.look().await?;
    let kept = super::account::kept(desk)?;
    let is_by_thumbprint = call.settings.thumbprint;
    let registered = Registered {
        outcome,
        lines: is_by_thumbprint.then(|| thumbprint::server_lines(&kept.thumbprint)),
        email_problem: refused_email.map(|refused| {
            format!(
                "the CA does not take the e-mail address {}: {}; correct the setting email, or leave it out",
                refused.email, refused.problem
            )
        }),
        account: AccountReport::of(ca, directory, kept, seen),
    };
    print(&match call.wants_json() {
        true => json(&registered)?,
        false => text(&registered),
    })?;
    Ok(match registered.email_problem {
        Some(_) => Exit::Partly,
        None => Exit::Done,
    })
}

fn text(registered: &Registered) -> String {
    let outcome = match registered.outcome {
        RegistrationOutcome::Registered => "registered",
        RegistrationOutcome::Known => "already there; nothing was registered",
        RegistrationOutcome::RegisteredAgain => {
            "registered again, because the CA had lost the previous account; records that name its URL (CAA \
             accounturi) must be changed"
        }
        RegistrationOutcome::Recovered => {
            "taken over; you can delete the file with its key, or leave it to its program"
        }
    };
    let mut text = format!("{outcome}\n{}", registered.account.text());
    if let Some(problem) = &registered.email_problem {
        text += &format!("  e-mail   {problem}\n");
    }
    if let Some(lines) = &registered.lines {
        text += lines;
    }
    text
}
