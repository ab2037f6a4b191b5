//! `renew --dry-run`: orders as they would be, at the CA's directory for trying out. Nothing of them is kept.

use std::collections::BTreeSet;

use super::{Call, Exit, Failure, print, renew::exit_of, setup};
use crate::{
    adapters::disk::RehearsalFolder,
    daemon::{Daemon, Survey},
    execute::rehearse,
    observe::{Blame, HeldCertificate},
    plan,
    values::CertificateName,
};

/// The result of one rehearsal: success, or the party to blame; none where it could not be tried out.
type Outcome = Result<(), Option<Blame>>;

/// Rehearses each of these certificates, one after the other.
pub(super) async fn run(
    call: &Call,
    names: &BTreeSet<CertificateName>,
    mut daemon: Daemon,
    survey: &Survey,
) -> Result<Exit, Failure> {
    let ports = &mut daemon.ports;
    setup::listen_in_place(call, &mut ports.issuing, &ports.probe).await?;
    let Some(folder) = RehearsalFolder::make(&call.settings.state, setup::tell)? else {
        let problem = "another rehearsal runs on this state; wait for its end";
        return Err(Failure::InTheWay(problem.to_owned()));
    };
    let ended = tokio::select! {
        outcomes = rehearse_each(names, &daemon, survey, &folder) => Some(outcomes),
        _ = tokio::signal::ctrl_c() => None,
    };
    folder.end()?;
    Ok(match ended {
        Some(outcomes) => exit(&outcomes?),
        None => Exit::Interrupted,
    })
}

async fn rehearse_each(
    names: &BTreeSet<CertificateName>,
    daemon: &Daemon,
    survey: &Survey,
    folder: &RehearsalFolder,
) -> Result<Vec<Outcome>, Failure> {
    let issuing = folder.issuing(&daemon.ports.issuing);
    let seen = (&survey.desired, &survey.observed);
    let mut outcomes = Vec::new();
    for name in names {
        let wanted = &survey.desired.certificates[name];
        let order = plan::rehearsal(name, wanted, seen, &daemon.plan_rules, survey.now);
        let (words, outcome) = match order {
            Err(none) => (none.to_string(), Err(None)),
            Ok(order) => match rehearse(&issuing, &*daemon.ports.clock, &order).await {
                Ok(held) => (well(&held, &order.issuance.issuer.to_string()), Ok(())),
                Err(failure) => (failure.problem, Err(Some(failure.blame))),
            },
        };
        print(&format!("{name}: {words}\n"))?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn well(held: &HeldCertificate, ca: &str) -> String {
    let names: Vec<_> = held.names.iter().map(String::as_str).collect();
    format!(
        "it would be obtained: {ca} issued one for {}, which was not kept",
        names.join(", ")
    )
}

/// The exit code: the reason for the failure, where there is just one.
fn exit(outcomes: &[Outcome]) -> Exit {
    match outcomes {
        [Err(Some(blame))] => exit_of(*blame),
        outcomes if outcomes.iter().all(Result::is_ok) => Exit::Done,
        _ => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_alone_is_told_by_the_exit_code_and_one_of_several_is_not() {
        for (outcomes, expected) in [
            (vec![], Exit::Done),
            (vec![Ok(()), Ok(())], Exit::Done),
            (vec![Err(Some(Blame::Refused))], Exit::Refused),
            (vec![Err(Some(Blame::Authority))], Exit::Authority),
            (vec![Err(Some(Blame::Here))], Exit::Partly),
            (vec![Err(None)], Exit::Partly),
            (vec![Ok(()), Err(Some(Blame::Refused))], Exit::Partly),
        ] {
            assert_eq!(exit(&outcomes), expected, "{outcomes:?}");
        }
    }
}
