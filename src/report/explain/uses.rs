use super::{Inspection, proxy};
use crate::{
    desire::{Consumer, Use},
    plan,
    report::{Findings, start_it, tell_default_config},
};

/// The servers that ask for a certificate for the name, with the labels that do.
pub(super) fn users<'a>(
    facts: &Inspection<'a>,
) -> impl Iterator<Item = (&'a Consumer, &'a Use)> + use<'a> {
    let host = facts.host;
    let consumers = facts.desired.consumers.values();
    consumers.filter_map(move |consumer| Some((&**consumer, consumer.uses.get(host)?)))
}

/// Who uses a certificate for the name, in which files, and whether that was seen.
pub(super) fn tell(facts: &Inspection<'_>, told: &mut Findings) {
    for (consumer, used) in users(facts) {
        let name = &consumer.name;
        let installed = facts.observed.installed.get(name).cloned();
        let installed = installed.unwrap_or_default();
        if !consumer.running {
            let remedy = start_it(name, facts.snapshot);
            told.problem("used by", format!("{name}, which does not run"), remedy);
        }
        let files = consumer.certificates.files(&used.certificate);
        let files: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let files = files.join(", ");
        match installed.certificates.contains_key(&used.certificate) {
            true => told.ok("used by", format!("{name} has it as {files}")),
            false => told.note(
                "used by",
                format!("{name} has not received it yet; the files will be {files}"),
            ),
        }
        tell_way(consumer, told);
        tell_default_config("used by", consumer, &installed, told);
        proxy::tell_changes(facts, name, told);
        if consumer.running && !installed.certificates.is_empty() {
            proxy::tell_progress(facts, name, &installed, told);
        }
    }
}

/// Tells which way files take to a server with the label `copy`.
fn tell_way(consumer: &Consumer, told: &mut Findings) {
    let name = &consumer.name;
    if consumer.certificates.is_inside() {
        let says =
            format!("{name}: the engine puts its files into its container, one after the other");
        let remedy = "a volume that quaymaster mounts too is better: there they are switched as a set, without a gap";
        told.advice("used by", says, remedy);
    } else if consumer.may_copy {
        let says = "its label copy is not needed: its files lie on a volume that is mounted here, which is better";
        told.note("used by", format!("{name}: {says}"));
    }
}

/// The certificates that come into question for the first of these servers.
pub(super) fn candidates<'a>(
    facts: &Inspection<'a>,
) -> Option<(Vec<plan::Candidate<'a>>, &'a Use)> {
    let (consumer, used) = users(facts).next()?;
    let asked = plan::Asked::of_use(facts.host, used);
    let found = plan::candidates(consumer, asked, &facts.plan.in_force, facts.now);
    Some((found, used))
}
