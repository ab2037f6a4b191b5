use clap::Command;

use super::{
    Call, Exit, Failure, arguments, block_on,
    by_hand::{
        self, HandEnd, HandOutcome, HandReport, HandWish, names_argument, ordered, print_hands,
    },
    json, print,
};

pub(super) fn arguments(command: Command) -> Command {
    command
        .arg(
            names_argument()
                .required(true)
                .help("host names and addresses; in whatever order, they are the same order"),
        )
        .arg(by_hand::method())
        .arg(by_hand::yes())
        .arg(arguments::format(&["text", "json"]))
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let wish = HandWish::of(call, by_hand::names(call)?);
    block_on(async {
        let work = async |order: &crate::execute::HandCall<'_>| order.authorize().await;
        match ordered(call, &wish, work).await? {
            HandEnd::Interrupted => Ok(Exit::Interrupted),
            HandEnd::Hands(report) => print_hands(call, &report),
            HandEnd::Done(()) => {
                let directory = by_hand::directory(call)?;
                let report = HandReport {
                    ca: call.settings.cas.called(&directory).to_owned(),
                    names: wish.names.iter().cloned().collect(),
                    outcome: HandOutcome::Authorized,
                    tasks: Vec::new(),
                };
                print(&match call.wants_json() {
                    true => json(&report)?,
                    false => format!(
                        "{ca} has seen that all names are yours; `quaymaster issue {names}` obtains the certificate\n",
                        ca = report.ca,
                        names = wish.listed()
                    ),
                })?;
                Ok(Exit::Done)
            }
        }
    })
}
