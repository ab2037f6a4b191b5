//! Names as a CA would see them: the look that each order begins with, made now. No CA hears of it.

use futures_util::{StreamExt, stream};

use crate::{
    daemon::{Daemon, Survey},
    execute::preview,
    plan::{self, NameVerdict},
    report::Findings,
};

const ABOUT: &str = "names";

/// Certificates whose names are looked at at the same time.
const AT_ONCE: usize = 8;

/// More certificates are not looked at: at a time-out of 20 s each, one would wait for minutes.
const MOST: usize = 200;

pub(super) async fn look(daemon: &Daemon, survey: &Survey, told: &mut Findings) {
    let (seen, rules) = ((&survey.desired, &survey.observed), &daemon.plan_rules);
    let mut orders = plan::looked_at(seen.0, seen.1, rules, survey.now);
    let left = orders.len().saturating_sub(MOST);
    orders.truncate(MOST);
    let issuing = &daemon.ports.issuing;
    let looks = orders.iter().map(async |order| {
        let looked = preview(issuing, &*daemon.ports.clock, order).await;
        (&order.certificate, looked)
    });
    let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    let mut seen = 0;
    for (certificate, looked) in looks {
        let verdicts = match looked {
            Ok(verdicts) => verdicts,
            Err(problem) => {
                let says = format!("{certificate}: nothing can be shown to a CA: {problem}");
                told.problem(ABOUT, says, "");
                continue;
            }
        };
        for (name, verdict) in verdicts {
            match verdict {
                NameVerdict::Seen => seen += 1,
                NameVerdict::Unseen(problem) => {
                    told.problem(ABOUT, format!("no CA would validate {name}: {problem}"), "");
                }
                NameVerdict::Unsure(problem) => {
                    told.note(
                        ABOUT,
                        format!("{name} can't be judged from here: {problem}"),
                    );
                }
            }
        }
    }
    if seen > 0 {
        let says = format!(
            "as far as seen from here, a CA would find that {seen} of them lead to this machine"
        );
        told.ok(ABOUT, says);
    }
    if left > 0 {
        told.note(
            ABOUT,
            format!("the names of {left} more certificates were not checked"),
        );
    }
}
