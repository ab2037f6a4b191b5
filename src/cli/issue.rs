use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, value_parser};
use itertools::Itertools;
use serde::Serialize;

use super::{
    Call, Exit, Failure, arguments, block_on,
    by_hand::{self, HandEnd, HandWish, names_argument, ordered, print_hands},
    forget::named,
    hand_over::{DaemonAnswer, Offered, offered},
    json, print,
};
use crate::{
    adapters::{
        disk::{self, LaidOut},
        x509::{CertificateDetails, SigningRequest},
    },
    ports::CertificateKey,
    values::{CertificateName, Host, Layout, Secret},
};

/// Under which names files are put where nothing is said: those of manuale, whose users these commands are for.
pub(super) const USUAL_LAYOUT: &str = "manuale";

pub(super) fn arguments(command: Command) -> Command {
    let path = |name: &'static str, value: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(value_parser!(PathBuf))
    };
    let word =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    let must_staple = Arg::new("ocsp-must-staple")
        .long("ocsp-must-staple")
        .action(ArgAction::SetTrue)
        .hide(true);
    command
        .arg(names_argument().help("host names and addresses; with --csr, the names of the signing request"))
        .arg(by_hand::method())
        .arg(
            path("csr", "FILE")
                .conflicts_with("key")
                .help("a signing request of yours, in PEM or DER: its names count, and no key is written"),
        )
        .arg(path("key", "FILE").help("a key of yours, in PEM, in place of a new one"))
        .arg(word("chain", "NAME").help("the root at which the chain is to end, of those that the CA offers"))
        .arg(path("output", "FOLDER").default_value(".").help("where the files go"))
        .arg(word("layout", "LAYOUT").default_value(USUAL_LAYOUT).help(
            "the names of the files: a layout, or pairs such as `fullchain=tls.crt, privkey=tls.key`",
        ))
        .arg(word("as", "NAME").help("what the certificate is called in the names of its files; without it, its first name"))
        .arg(by_hand::yes())
        .arg(arguments::format(&["text", "json"]))
        .arg(must_staple)
}

/// A certificate that was issued, as it is printed.
#[derive(Serialize)]
pub(super) struct IssuedReport {
    ca: String,
    names: Vec<String>,
    issuer: String,
    serial: String,
    not_after: String,
    key_type: String,
    sha256: String,
    files: Vec<PathBuf>,
    /// What the daemon does with it; nothing where none works on this state, or nobody wants its names.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<DaemonAnswer>,
}

impl IssuedReport {
    /// What is said of the certificate that lies in these files, and of what the daemon does with it.
    pub(super) fn of(
        call: &Call,
        files: Vec<PathBuf>,
        daemon: Option<DaemonAnswer>,
    ) -> Result<Self, Failure> {
        let CertificateDetails {
            names,
            issuer,
            serial,
            not_after,
            key_type,
            sha256,
            ..
        } = disk::details_of(&files)?;
        let directory = by_hand::directory(call)?;
        Ok(Self {
            ca: call.settings.cas.called(&directory).to_owned(),
            names,
            issuer,
            serial,
            not_after: not_after.to_string(),
            key_type,
            sha256,
            files,
            daemon,
        })
    }

    pub(super) fn text(&self) -> String {
        let Self {
            ca,
            names,
            serial,
            not_after,
            key_type,
            sha256,
            files,
            daemon,
            ..
        } = self;
        let files = files
            .iter()
            .map(|path| path.display())
            .join("\n              ");
        let daemon = daemon.iter().flat_map(DaemonAnswer::text);
        let daemon: String = daemon
            .map(|line| format!("  daemon      {line}\n"))
            .collect();
        format!(
            "{}: issued by {ca}\n  until       {not_after}\n  serial      {serial}\n  key         {key_type}\n  \
             SHA-256     {sha256}\n  files       {files}\n{daemon}",
            names.join(", ")
        )
    }
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    if call.options.get_flag("ocsp-must-staple") {
        return Err(Failure::Usage(
            "no CA issues certificates that demand OCSP stapling any more, since they have ended OCSP: leave \
             --ocsp-must-staple out"
                .to_owned(),
        ));
    }
    let file = |name| call.options.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let request = file("csr").map(disk::signing_request).transpose()?;
    let key = file("key").map(disk::certificate_key).transpose()?;
    let names = asked_names(call, file("csr").zip(request.as_ref()))?;
    let first = names.first().cloned();
    let first = first.ok_or_else(|| Failure::Usage("name a host, or a --csr".to_owned()))?;
    let mut wish = HandWish::of(call, names);
    wish.chain = call.options.get_one::<String>("chain").cloned();
    let name = match call.options.get_one::<String>("as") {
        Some(word) => named(word)?,
        None => CertificateName::from(&first),
    };
    let layout = layout(call)?;
    if request.is_some() && layout.files(&name).all(|(_, piece)| piece.has_key()) {
        return Err(Failure::Usage(format!(
            "all files of the layout {layout} hold the key, which a --csr leaves with you; choose another --layout"
        )));
    }
    let folder = file("output").unwrap_or(Path::new("."));
    let files = LaidOut::new(folder, layout, name, by_hand::directory(call)?)?;
    block_on(issue(call, &wish, (request, key), &files))
}

async fn issue(
    call: &Call,
    wish: &HandWish,
    (request, key): (Option<SigningRequest>, Option<Secret>),
    files: &LaidOut,
) -> Result<Exit, Failure> {
    let asked = match (&request, &key) {
        (Some(request), _) => CertificateKey::Request(&request.der),
        (None, Some(key)) => CertificateKey::Given(key),
        (None, None) => CertificateKey::Own,
    };
    let files = Offered::new(files);
    let work = async |order: &crate::execute::HandCall<'_>| order.issue(&asked, &files).await;
    match ordered(call, wish, work).await? {
        HandEnd::Interrupted => Ok(Exit::Interrupted),
        HandEnd::Hands(report) => print_hands(call, &report),
        HandEnd::Done(put) => {
            let daemon = offered(call, &files, &by_hand::directory(call)?).await?;
            let report = IssuedReport::of(call, put, daemon)?;
            print(&match call.wants_json() {
                true => json(&report)?,
                false => report.text(),
            })?;
            Ok(Exit::Done)
        }
    }
}

/// The names that are asked for. Those of a signing request count, and others are an error before any request.
fn asked_names(
    call: &Call,
    request: Option<(&Path, &SigningRequest)>,
) -> Result<Vec<Host>, Failure> {
    let names = by_hand::names(call)?;
    let Some((path, request)) = request else {
        return Ok(names);
    };
    let named: BTreeSet<_> = names.iter().cloned().collect();
    if !named.is_empty() && named != request.names {
        return Err(Failure::Usage(format!(
            "{} asks for {}, and the command line for {}; the CA would follow the first: leave the names out, or make another \
             signing request",
            path.display(),
            request.names.iter().join(", "),
            named.iter().join(", ")
        )));
    }
    let others = request.names.iter().filter(|name| **name != request.first);
    Ok([&request.first]
        .into_iter()
        .chain(others)
        .cloned()
        .collect())
}

fn layout(call: &Call) -> Result<Layout, Failure> {
    let word = call.options.get_one::<String>("layout");
    let word = word.map_or(USUAL_LAYOUT, String::as_str);
    Layout::parse(word).map_err(|error| Failure::Usage(format!("--layout: {error}")))
}
