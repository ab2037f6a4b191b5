//! The common part of `authorize`, `issue` and `renew --folder`: an order of a user on a terminal or of a script,
//! without labels.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use clap::{Arg, ArgAction};
use serde::Serialize;

use super::{Call, Exit, Failure, hands::TerminalHands, json, print, setup, watch::Stop};
use crate::{
    adapters::disk::{Folders, HandFolder, HandPlace, Lock},
    desire::Issuance,
    execute::{HandCall, HandFailure},
    observe::HandTask,
    plan::{AskedByHand, by_hand},
    ports::{AttemptRecords, Attempts, AuthorityError, HandOrders, Hands},
    values::{CertificateName, ChallengeType, Host, Issuer, Issuers, KeyType, Retry},
};

/// The names that a command is about.
pub(super) fn names_argument() -> Arg {
    Arg::new("name")
        .value_name("NAME")
        .action(ArgAction::Append)
}

/// The option that chooses the challenge.
pub(super) fn method() -> Arg {
    let arg = Arg::new("method").long("method").value_name("METHOD");
    arg.help("how the CA sees that the names are yours: http or dns; without it, as the setting challenge says")
}

/// Lets the CA look at once.
pub(super) fn yes() -> Arg {
    let arg = Arg::new("yes").long("yes").action(ArgAction::SetTrue);
    arg.help("the file or record is in place: let the CA look, without checking it first")
}

/// The wish of a user.
pub(super) struct HandWish {
    pub(super) names: Vec<Host>,
    /// Where that is said for this order alone.
    pub(super) key_type: KeyType,
    /// The root at which the chain is to end.
    pub(super) chain: Option<String>,
}

impl HandWish {
    pub(super) fn of(call: &Call, names: Vec<Host>) -> Self {
        Self {
            names,
            key_type: call.settings.key_type,
            chain: None,
        }
    }

    /// The names, as they are written on a command line.
    pub(super) fn listed(&self) -> String {
        words_for(&self.names, false)
    }
}

/// The words of a command line for an order of these names; by DNS where their order is, or no CA does it otherwise.
pub(super) fn words_for<'n>(names: impl IntoIterator<Item = &'n Host>, is_by_dns: bool) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let needs_dns = is_by_dns || names.iter().any(|name| name.is_wildcard());
    let words = shell_words::join(names.iter().map(|name| name.as_str()));
    match needs_dns {
        true => format!("--method dns {words}"),
        false => words,
    }
}

/// Names from the command line, each once.
pub(super) fn names(call: &Call) -> Result<Vec<Host>, Failure> {
    let mut names = Vec::new();
    for word in call.options.get_many::<String>("name").unwrap_or_default() {
        let host = Host::parse(word)
            .map_err(|error| Failure::Usage(format!("{word:?} is not a host: {error}")))?;
        if !names.contains(&host) {
            names.push(host);
        }
    }
    Ok(names)
}

/// The directory of the CA that is asked: the first of the setting `ca`.
pub(super) fn directory(call: &Call) -> Result<String, Failure> {
    let mut directories = call.settings.ca.iter().flat_map(Issuers::directories);
    directories.next().map(str::to_owned).ok_or_else(|| {
        Failure::Usage("the setting ca names no CA, and one has to be asked: add --ca".to_owned())
    })
}

fn challenge(call: &Call) -> Result<ChallengeType, Failure> {
    let word = match call.options.get_one::<String>("method").map(String::as_str) {
        None => return Ok(call.settings.challenge),
        Some("http") => "http-01",
        Some("dns") => "dns-01",
        Some(word) => word,
    };
    word.parse()
        .map_err(|error| Failure::Usage(format!("--method: {error}")))
}

/// The end of an order.
pub(super) enum HandEnd<T> {
    Done(T),
    /// Something has to be put somewhere first.
    Hands(HandReport),
    /// By Ctrl-C or SIGTERM.
    Interrupted,
}

/// The steps to do by hand, or that there are none, as printed.
#[derive(Serialize)]
pub(super) struct HandReport {
    pub(super) ca: String,
    pub(super) names: BTreeSet<Host>,
    pub(super) outcome: HandOutcome,
    /// The files and records to be put somewhere.
    pub(super) tasks: Vec<ReportedTask>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HandOutcome {
    /// The CA has seen that the names are ours.
    Authorized,
    /// Something has to be put somewhere first.
    ByHand,
}

#[derive(Serialize)]
pub(super) struct ReportedTask {
    #[serde(flatten)]
    pub(super) task: HandTask,
    /// The reason why it is not seen.
    pub(super) problem: String,
}

impl HandReport {
    fn of(ca: String, names: BTreeSet<Host>, unseen: Vec<(HandTask, String)>) -> Self {
        let tasks = unseen.into_iter();
        let tasks = tasks.map(|(task, problem)| ReportedTask { task, problem });
        Self {
            ca,
            names,
            outcome: HandOutcome::ByHand,
            tasks: tasks.collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let Self { ca, tasks, .. } = self;
        let tasks = tasks.iter().map(|it| {
            let ReportedTask { task, problem } = it;
            format!("{}  not seen   {problem}\n", told(task))
        });
        format!(
            "{ca} has to see this first; then run the same command again:\n{}",
            tasks.collect::<String>()
        )
    }
}

/// The file or record to be put somewhere, in words for people.
pub(super) fn told(task: &HandTask) -> String {
    match task {
        HandTask::File {
            name,
            url,
            path,
            content,
        } => format!("{name}: a file at {url}\n  path       {path}\n  content    {content}\n"),
        HandTask::Record {
            name,
            record,
            value,
        } => format!("{name}: a TXT record\n  record     {record}.\n  value      {value}\n"),
    }
}

/// Makes an order, or goes on with the one that there is, and does this with it.
pub(super) async fn ordered<T>(
    call: &Call,
    wish: &HandWish,
    work: impl AsyncFnOnce(&HandCall<'_>) -> Result<T, HandFailure>,
) -> Result<HandEnd<T>, Failure> {
    let settings = &call.settings;
    let directory = directory(call)?;
    let mut asked = asked(call, wish, &directory)?;
    let planned = |asked: &AskedByHand| {
        by_hand(asked, setup::now())
            .map_err(|error| Failure::Usage(format!("{error}; nothing was asked for")))
    };
    let (word, mut obtain) = planned(&asked)?;
    let mut stop = Stop::new()?;
    let (issuing, clock) = setup::issuing(call, (&directory, wish.chain.as_ref())).await?;
    if let Some(terms) = issuing.authorities.at(&directory)?.terms_to_agree().await {
        return Err(AuthorityError::Terms { terms }.into());
    }
    let folder = taken(call, &setup::folders(call, None), &word, wish)?;
    if asked.issuance.profile.is_none()
        && let Some(begun) = folder.hand_order()?
    {
        asked.issuance.profile = begun.profile;
        (_, obtain) = planned(&asked)?;
    }
    let is_automatic = match asked.issuance.challenge {
        ChallengeType::Http01 => settings.webroot.is_some() || settings.answers_itself(),
        ChallengeType::Dns01 => asked.issuance.dns.is_some(),
    };
    let hands = (!is_automatic).then(|| TerminalHands::of(call));
    let order = HandCall {
        issuing: &folder.issuing(&issuing),
        clock: &*clock,
        orders: &folder,
        obtain: &obtain,
        hands: hands.as_ref().map(|hands| hands as &dyn Hands),
    };
    // Whoever is asked for something has the terminal to themselves.
    let shown = hands.is_none().then(|| call.progress.show());
    let ended = tokio::select! {
        ended = work(&order) => Some(ended),
        _ = stop.wait() => None,
    };
    drop(shown);
    folder.end()?;
    match ended {
        None => {
            tracing::info!("what the CA has seen is kept: the same command goes on with it");
            Ok(HandEnd::Interrupted)
        }
        Some(Ok(done)) => Ok(HandEnd::Done(done)),
        Some(Err(HandFailure::Hands(unseen))) => {
            let ca = settings.cas.called(&directory).to_owned();
            Ok(HandEnd::Hands(HandReport::of(ca, asked.names, unseen)))
        }
        Some(Err(HandFailure::Failed { problem, blame })) => Err(Failure::Order { problem, blame }),
    }
}

/// The request to the CA with this directory.
fn asked(call: &Call, wish: &HandWish, directory: &str) -> Result<AskedByHand, Failure> {
    let settings = &call.settings;
    let challenge = challenge(call)?;
    let tables = settings.dns_tables.names(settings.dns.as_deref());
    // Without a table, people set the records.
    let dns = tables.usual().filter(|_| challenge == ChallengeType::Dns01);
    Ok(AskedByHand {
        names: wish.names.iter().cloned().collect(),
        issuance: Issuance {
            issuer: Issuer::Ca(directory.to_owned()),
            challenge,
            dns: dns.map(str::to_owned),
            key_type: wish.key_type,
            profile: settings.profile.clone(),
        },
        webroot: settings.webroot.clone(),
        self_check: setup::self_check(settings),
        record_wait: dns.map_or(Duration::ZERO, |dns| tables.wait(dns)),
        limits: settings.cas.limits(directory),
    })
}

/// The folder of the order, which is nobody else's meanwhile.
fn taken(
    call: &Call,
    folders: &Rc<Folders>,
    word: &str,
    wish: &HandWish,
) -> Result<HandFolder, Failure> {
    let state = &call.settings.state;
    let who = |pid: Option<u32>| pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
    if Lock::is_held(state)? {
        let orders = folders.orders()?;
        let attempts = folders.attempts()?;
        let mut names = wish.names.iter().map(CertificateName::from);
        if let Some(name) = names.find(|name| orders.contains(name) && is_at_work(&attempts, name))
        {
            return Err(Failure::InTheWay(format!(
                "the daemon{} orders a certificate for {name} at this moment; wait for its end, which `quaymaster status` shows",
                who(Lock::holder(state)?)
            )));
        }
    }
    match HandFolder::take(state, word, setup::tell)? {
        HandPlace::Ours(folder) => Ok(folder),
        HandPlace::Theirs(pid) => Err(Failure::InTheWay(format!(
            "another command{} is at work on the order for {}; wait for its end",
            who(pid),
            wish.listed()
        ))),
    }
}

/// Whether the daemon is at work on an order that is on record, instead of waiting for its next try after a failure.
fn is_at_work(attempts: &AttemptRecords, name: &CertificateName) -> bool {
    match attempts.get(name) {
        None | Some(Err(_)) => true,
        Some(Ok(attempt)) => {
            attempt.was_cut_off() || matches!(attempt.retry, Retry::Propagation(_))
        }
    }
}

/// Prints what has to be done by hand.
pub(super) fn print_hands(call: &Call, report: &HandReport) -> Result<Exit, Failure> {
    print(&match call.wants_json() {
        true => json(report)?,
        false => report.text(),
    })?;
    Ok(Exit::ByHand)
}
