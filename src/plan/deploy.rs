//! Whether a consumer needs a deployment, and what is in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Action, Back, Check, Deploy, Draft, Memory, Proof, Rules, TakeBack, Tell, Why, backoff,
    content::{self, Part, Parts, mark_file},
    trial::{self, Changes},
};
use crate::{
    desire::{CertificateFolder, Comes, Complaint, Consumer, Reload},
    observe::{Attempt, Installed, Observed, Process, Progress, Subject, Units},
    render::{TemplateError, Templates},
    values::{CertificateName, ContainerName, Digest, FileName, Timestamp},
};

/// The shortest time that a reload gets to show itself; it takes some 40 ms where there is little to load.
const PROOF_WITHIN: Duration = Duration::from_secs(2);
/// The same for a consumer of which no reload was seen yet.
const FIRST_PROOF_WITHIN: Duration = Duration::from_secs(5);
/// What each file adds: nginx takes some 2.5 s for 1,000 sites with TLS on two cores.
const PROOF_EACH: Duration = Duration::from_millis(10);
/// A reload that takes this many times as long as the last one is not coming any more.
const SLOWEST: u32 = 4;

/// Plans the deployment to one consumer, if it needs one.
pub(super) fn plan(
    consumer: &Rc<Consumer>,
    observed: &Observed,
    templates: &Templates,
    rules: &Rules,
    now: Timestamp,
    (memory, draft): (&mut Memory, &mut Draft),
) {
    let subject = Subject::Consumer(consumer.name.clone());
    let Some(installed) = observed.installed.get(&consumer.name) else { return };
    if observed.under_way.contains(&subject) {
        // What is held back stays so meanwhile, and a template that is broken is told when it is needed again.
        if let Ok(parts) = memory.parts(consumer, installed, observed, templates, now) {
            draft.plan.complaints.extend(complaints(consumer, installed, parts, templates, rules));
        }
        return;
    }
    if has_died(consumer, installed) {
        return take_back(consumer, installed, observed, now, draft);
    }
    if !consumer.running && installed.progress == Progress::TakenBack {
        return;
    }
    let action = match deploy(consumer, installed, observed, templates, rules, now, (memory, draft)) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => return draft.plan.complaints.extend([unrendered(consumer, &error, rules)]),
    };
    match backoff::held_back(observed.attempts.get(&subject), &subject, action.attempt.asked) {
        Some(time) if time > now => draft.wake_at(time),
        _ if action.is_optional => draft.last.push(action),
        _ => draft.plan.actions.push(Action::Deploy(Box::new(action))),
    }
}

fn take_back(consumer: &Rc<Consumer>, installed: &Installed, observed: &Observed, now: Timestamp, draft: &mut Draft) {
    let subject = Subject::Consumer(consumer.name.clone());
    let before = observed.attempts.get(&subject);
    let attempt = backoff::attempt(before, Digest::of_parts(["take back", &installed.generation.to_string()]), now);
    match backoff::held_back(before, &subject, attempt.asked).filter(|time| *time > now) {
        Some(time) => draft.wake_at(time),
        None => {
            let take_back = TakeBack { consumer: Rc::clone(consumer), before: installed.clone(), attempt };
            draft.plan.actions.push(Action::TakeBack(Box::new(take_back)));
        }
    }
}

/// Whether it ended with files that it had not shown to be good: it may be these that it can't start with.
fn has_died(consumer: &Consumer, installed: &Installed) -> bool {
    let before = installed.process;
    // One that can't be told takes up what it was given when it is stopped and started: its stop says nothing.
    let was_told = before.running && installed.progress == Progress::SignalOwed;
    installed.open && !consumer.running && (was_told || before.started_at != consumer.started_at)
}

/// The deployment that it needs.
fn deploy(
    consumer: &Rc<Consumer>,
    installed: &Rc<Installed>,
    observed: &Observed,
    templates: &Templates,
    rules: &Rules,
    now: Timestamp,
    (memory, draft): (&mut Memory, &mut Draft),
) -> Result<Option<Deploy>, TemplateError> {
    let parts = memory.parts(consumer, installed, observed, templates, now)?;
    draft.plan.complaints.extend(complaints(consumer, installed, parts, templates, rules));
    let mark_is = |mark| content::mark(consumer, templates, rules, mark);
    let mark_file = mark_file(consumer);
    let is_proven = matches!(installed.progress, Progress::Proven { .. });
    // Nobody is restarted for what nobody asked for.
    let can_be_told = matches!(consumer.reload, Reload::Signal(_) | Reload::Exec(_));
    let can_be_tried = is_proven && consumer.running && consumer.reach.is_some() && can_be_told;
    let changes = trial::changes(consumer, parts, installed, can_be_tried);
    let has_mark = installed.files.get(&mark_file) == Some(&Digest::of(mark_is(installed.generation)?));
    let why = reasons(consumer, installed, parts, &changes.next, has_mark);
    if why.is_empty() {
        return Ok(None);
    }
    let changed = why.contains(&Why::ContentChanged) || why.contains(&Why::CertificateChanged);
    let generation = installed.generation + u64::from(changed);
    let mut files = put(consumer, parts, &changes.next, installed, templates)?;
    let remove: BTreeSet<FileName> = changes.next.keys().filter(|file| parts.get(file).is_none()).cloned().collect();
    if changed {
        files.insert(mark_file.clone(), mark_is(generation)?);
    }
    let mut after = after(consumer, installed, parts, &changes, &files, generation);
    after.open |= changed;
    Ok(Some(Deploy {
        deliver: undelivered(consumer, parts, &changes.next, installed),
        forget: forgotten(consumer, parts, &changes, installed),
        proof: proof(parts, &after.trying, installed, rules, generation),
        back: Back {
            file: mark_file,
            text: mark_is(generation + 1)?,
            mark: generation + 1,
            tell: tell(consumer, &BTreeSet::new()),
        },
        within: within(installed, parts.len()),
        check: check(consumer, installed, &after, &why),
        tell: tell(consumer, &why),
        is_optional: changes.is_last && has_mark && !installed.open,
        is_conclusive: installed.progress != Progress::TakenBack,
        attempt: attempt(consumer, &after.trying, observed, now),
        write: files,
        remove,
        after,
        consumer: Rc::clone(consumer),
        why,
    }))
}

/// The record of this try. The mark has no part in it: the same files are the same try.
fn attempt(consumer: &Consumer, trying: &Units, observed: &Observed, now: Timestamp) -> Attempt {
    let before = observed.attempts.get(&Subject::Consumer(consumer.name.clone()));
    // One that was started again may take what it did not take before.
    let start = consumer.started_at.map(|time| time.millis().to_string()).unwrap_or_default();
    let units = trying.iter().flat_map(|(file, unit)| [file.to_string(), unit.to_string()]);
    backoff::attempt(before, Digest::of_parts([start].into_iter().chain(units)), now)
}

/// Files to write: those of the chosen parts that differ.
fn put(
    consumer: &Consumer,
    parts: &mut Parts,
    next: &Units,
    installed: &Installed,
    templates: &Templates,
) -> Result<BTreeMap<FileName, String>, TemplateError> {
    let mut put = BTreeMap::new();
    for file in next.keys() {
        let differs = |part: &Part| installed.files.get(file) != Some(&part.file);
        if parts.get(file).is_some_and(differs)
            && let Some(text) = parts.text(file, consumer, templates)?
        {
            put.insert(file.clone(), text);
        }
    }
    Ok(put)
}

/// What will lie there.
fn after(
    consumer: &Consumer,
    installed: &Installed,
    parts: &Parts,
    changes: &Changes,
    write: &BTreeMap<FileName, String>,
    generation: u64,
) -> Installed {
    let mut after = installed.clone();
    after.generation = generation;
    after.progress = Progress::SignalOwed;
    after.process = Process { running: consumer.running, started_at: consumer.started_at };
    after.files.extend(write.iter().map(|(file, text)| (file.clone(), Digest::of(text))));
    let gone = changes.next.keys().filter(|file| parts.get(file).is_none());
    gone.for_each(|file| {
        after.files.remove(file);
    });
    let serving = changes.next.keys().filter_map(|file| parts.get(file)?.certificate.as_ref());
    after.certificates.extend(serving.map(|serving| (serving.name.clone(), serving.digest())));
    if !installed.open {
        after.trying.clear();
    }
    after.trying.extend(changes.next.iter().map(|(file, unit)| (file.clone(), *unit)));
    after
}

/// What its own tool has to look at: what it was not seen to take up. One that was started since has read that already.
fn check(consumer: &Consumer, installed: &Installed, after: &Installed, why: &BTreeSet<Why>) -> Option<Check> {
    let words = consumer.check.clone().filter(|_| after.open && !why.contains(&Why::ProofOwed))?;
    let seen_by_it = |file: &FileName| consumer.config.theirs.join(file.as_str()).display().to_string();
    let put = after.trying.keys().filter(|file| after.files.contains_key(*file));
    let names = put.map(|file| (seen_by_it(file), file.clone())).collect();
    Some(Check { words, names, refuses: consumer.kind.check_refuses, before: installed.clone() })
}

fn tell(consumer: &Consumer, why: &BTreeSet<Why>) -> Tell {
    match &consumer.reload {
        _ if why.contains(&Why::ProofOwed) => Tell::Started,
        Reload::Signal(signal) => Tell::Signal(*signal),
        Reload::Exec(words) => Tell::Exec(words.clone()),
        Reload::Restart => Tell::Restart,
        Reload::None => {
            Tell::Nothing { reason: "its label reload=none says that it is not told; restart it".to_owned() }
        }
        Reload::Swallowed { reason } => Tell::Nothing { reason: format!("it can't be told: {reason}; restart it") },
    }
}

/// Why this consumer needs a deployment; empty when it does not.
fn reasons(consumer: &Consumer, installed: &Installed, parts: &Parts, next: &Units, has_mark: bool) -> BTreeSet<Why> {
    let files_differ = next.keys().any(|file| installed.files.get(file) != parts.get(file).map(|part| &part.file));
    let certificates_differ =
        next.keys().filter_map(|file| parts.get(file)).any(|part| !part.has_certificate(installed));
    let mut why = BTreeSet::new();
    why.extend((files_differ || !has_mark).then_some(Why::ContentChanged));
    why.extend(certificates_differ.then_some(Why::CertificateChanged));
    if why.is_empty() {
        why.extend(owed(consumer, installed));
    }
    why
}

/// What is still to be done about what lies there.
fn owed(consumer: &Consumer, installed: &Installed) -> Option<Why> {
    // One that does not run reads everything when it starts; whether it did is looked at then.
    let now = Process { running: consumer.running, started_at: consumer.started_at };
    match &installed.progress {
        _ if !consumer.running => None,
        Progress::SignalOwed if installed.process.started_at == now.started_at => Some(Why::SignalOwed),
        Progress::SignalOwed | Progress::TakenBack => Some(Why::ProofOwed),
        Progress::Unproven { .. } if consumer.reach.is_none() => None,
        Progress::Unproven { .. } if !matches!(tell(consumer, &BTreeSet::new()), Tell::Nothing { .. }) => {
            Some(Why::ProofOwed)
        }
        Progress::Unproven { .. } if installed.process != now => Some(Why::ProofOwed),
        Progress::Proven { .. } | Progress::Unproven { .. } => None,
    }
}

/// The certificates that must be copied first; none where the consumer reads our own folder.
fn undelivered(
    consumer: &Consumer,
    parts: &Parts,
    next: &Units,
    installed: &Installed,
) -> BTreeMap<CertificateName, Digest> {
    if matches!(consumer.certificates, CertificateFolder::Shared { .. }) {
        return BTreeMap::new();
    }
    let new = next.keys().filter_map(|file| parts.get(file)).filter(|part| !part.has_certificate(installed));
    new.filter_map(|part| part.certificate.as_ref()).map(|serving| (serving.name.clone(), serving.digest())).collect()
}

/// Copies of certificates that nothing names any more once this is proven. While anything is held back, its older form
/// may name one that is not known here.
fn forgotten(
    consumer: &Consumer,
    parts: &Parts,
    changes: &Changes,
    installed: &Installed,
) -> BTreeSet<CertificateName> {
    if !changes.is_all || matches!(consumer.certificates, CertificateFolder::Shared { .. }) {
        return BTreeSet::new();
    }
    let named: HashSet<_> = parts.iter().filter_map(|(_, part)| Some(&part.certificate.as_ref()?.name)).collect();
    installed.certificates.keys().filter(|name| !named.contains(name)).cloned().collect()
}

/// What a client must see: the mark, and the certificates of what is on trial. What did not change was seen before, and
/// looking at all of thousands of names would take minutes.
fn proof(parts: &Parts, trying: &Units, installed: &Installed, rules: &Rules, generation: u64) -> Proof {
    let serial = |part: &Part| Some((part.host()?.clone(), part.certificate.as_ref()?.serial()?.to_owned()));
    let serials = match trying.is_empty() {
        false => trying.keys().filter_map(|file| serial(parts.get(file)?)).collect(),
        // A signal is owed for what lies there, whatever it is.
        true => parts
            .iter()
            .filter(|(file, part)| part.is_in_place(file, installed))
            .filter_map(|(_, part)| serial(part))
            .collect(),
    };
    Proof { mark_host: rules.mark_host.clone(), mark: generation, serials }
}

/// How long this reload may take before it counts as not followed.
fn within(installed: &Installed, files: usize) -> Duration {
    let each = PROOF_EACH * u32::try_from(files).unwrap_or(u32::MAX);
    match installed.reload {
        Some(last) => PROOF_WITHIN.max(last * SLOWEST).max(each),
        None => FIRST_PROOF_WITHIN.max(each),
    }
}

/// What is held back or can't be written, told to whoever asked for it.
fn complaints(
    consumer: &Consumer,
    installed: &Installed,
    parts: &Parts,
    templates: &Templates,
    rules: &Rules,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let in_question = installed.foreign.iter().chain(installed.trial.refused.keys());
    for (file, part) in in_question.filter_map(|file| Some((file, parts.get(file)?))) {
        let (problem, remedy) = if installed.foreign.contains(file) {
            let path = consumer.config.ours.join(file.as_str());
            (
                format!("{} of {} was not written by quaymaster", path.display(), consumer.name),
                "move it away; it is not overwritten".to_owned(),
            )
        } else if let Some(refused) =
            installed.trial.holds_back(file, || part.unit()).filter(|_| part.comes != Comes::Last)
        {
            let problem = format!("{} refuses {file}: {}", consumer.name, refused.reason);
            (problem, remedy(templates.users_in(part.template(consumer))))
        } else {
            continue;
        };
        complaints.extend(about(consumer, part, rules).into_iter().map(|(container, label, value)| Complaint {
            container,
            label,
            value,
            problem: problem.clone(),
            remedy: remedy.clone(),
        }));
    }
    complaints
}

/// What to do about a file that is refused, given the user's templates that took part in it.
fn remedy<'t>(users: impl Iterator<Item = &'t str>) -> String {
    let templates = users.collect::<Vec<_>>().join(", ");
    let change = match templates.as_str() {
        "" => "change labels or the proxy's own configuration".to_owned(),
        _ => format!(
            "it is made with templates of yours, which may be wrong: {templates}; change these, labels or the proxy's \
             own configuration"
        ),
    };
    format!("{change}; until then what was there before stays, and everything else goes on")
}

/// Whose a part is: the containers that claim its host, else the consumer.
fn about(consumer: &Consumer, part: &Part, rules: &Rules) -> Vec<(ContainerName, String, String)> {
    let prefix = &rules.label_prefix;
    match part.host().and_then(|host| Some((host, consumer.sites.get(host)?))) {
        Some((host, site)) => {
            let of = |container: &ContainerName| (container.clone(), format!("{prefix}.host"), host.to_string());
            site.containers.iter().map(of).collect()
        }
        None => vec![(consumer.name.clone(), format!("{prefix}.kind"), consumer.kind.name.to_owned())],
    }
}

fn unrendered(consumer: &Consumer, error: &TemplateError, rules: &Rules) -> Complaint {
    Complaint {
        container: consumer.name.clone(),
        label: format!("{}.kind", rules.label_prefix),
        value: consumer.kind.name.to_owned(),
        problem: error.to_string(),
        remedy: "mend the template; what is live stays until then".to_owned(),
    }
}
