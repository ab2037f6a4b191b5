//! The deployment that a consumer needs, if any.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Back, Check, Deploy, PlanRules, Proof, Tell, Why, backoff,
    case::Case,
    changes::{self, Changes},
    content::Parts,
    edition::Making,
    gate::{self, Astray},
    part::{self, Part},
    quarantine, used,
};
use crate::{
    desire::{CertificateFolder, Consumer, Reload, Site},
    observe::{
        Attempt, CertificateVersion, Installed, InstalledFile, PartName, Process, Progress, Units,
    },
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host},
};

/// The shortest time that a reload gets to show itself; it takes some 40 ms where there is little to load.
const PROOF_WITHIN: Duration = Duration::from_secs(2);
/// The same for a consumer of which no reload was seen yet.
const FIRST_PROOF_WITHIN: Duration = Duration::from_secs(5);
/// Time added by each file: nginx takes some 2.5 s for 1,000 sites with TLS on two cores.
const PROOF_EACH: Duration = Duration::from_millis(10);
/// The time that a server gets to show a new certificate that shows nothing else: postfix lets its workers end first.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);
/// Number of names that are looked at to see that a certificate is served which was there before.
const MOST_SERIALS: usize = 20;
/// A reload that takes this many times as long as the last one is not coming any more.
const SLOWEST: u32 = 4;

/// The deployment that these parts need, made by these templates.
pub(super) fn deploy(
    case: &Case<'_>,
    parts: &mut Parts,
    making: &Making<'_>,
) -> Result<Option<Deploy>, TemplateError> {
    let changes = match making.is_trial() {
        true => changes::of_edition(case, parts),
        false => changes::changes(case, parts, case.can_be_tried()),
    };
    let has_mark = case.has_mark(making.templates)?;
    let why = reasons(case, parts, &changes.next, making, has_mark);
    if why.is_empty() {
        return Ok(None);
    }
    let is_changed = why.iter().any(|why| why.changes_folders());
    let mut write = put(case, parts, &changes.next, making.templates)?;
    let installed = case.installed;
    let mark = installed.generation + u64::from(is_changed);
    if is_changed {
        write.extend(case.mark(making.templates, mark)?);
    }
    let mut after = after(case, parts, &changes.next, &write);
    (after.generation, after.open) = (mark, after.open || is_changed);
    if is_changed {
        after.has_earlier = has_earlier(case, parts, &changes.next, &write);
    }
    note_edition(&mut after, parts, &changes.next, making);
    let next_mark = case.mark(making.earlier(), mark + 1)?;
    Ok(Some(finish(
        case,
        parts,
        (making, &changes, has_mark),
        (write, after, why),
        next_mark,
    )))
}

/// The deployment of files that are made already.
fn finish(
    case: &Case<'_>,
    parts: &Parts,
    (making, changes, has_mark): (&Making<'_>, &Changes, bool),
    (write, after, why): (BTreeMap<FileName, String>, Installed, BTreeSet<Why>),
    next_mark: Option<(FileName, String)>,
) -> Deploy {
    let (consumer, installed) = (case.consumer, case.installed);
    let tell = tell(consumer, &why);
    let opening = case.gate.opening(consumer, parts, case.observed, &after);
    Deploy {
        remove: removed(parts, &changes.next),
        deliver: delivered(case, parts, &changes.next),
        forget: forgotten(parts, changes, installed),
        proof: proof((consumer, parts), &after, &why, case.rules),
        back: Back {
            shown_by: next_mark,
            mark: after.generation + 1,
            tell: self::tell(consumer, &BTreeSet::new()),
        },
        within: match consumer.proxy {
            Some(_) => within(installed, parts.len()),
            None => SHOWN_WITHIN,
        },
        check: check(consumer, &after, &why),
        is_optional: changes.is_last && has_mark && !installed.open,
        edition: making.is_trial().then(|| making.templates.version()),
        is_conclusive: installed.progress != Progress::TakenBack && !installed.is_own_broken,
        attempt: attempt(case, &after),
        shut_if_late: shut_if_late(parts, installed),
        // One that we start again has another start then.
        opening: opening.filter(|_| !matches!(tell, Tell::Restart)),
        tell,
        write,
        before: Rc::clone(installed),
        after,
        consumer: Rc::clone(consumer),
        why,
    }
}

/// True if a server that is not seen to take this has something to return to: all of it replaces earlier files, and
/// these were not still in question.
fn has_earlier(
    case: &Case<'_>,
    parts: &Parts,
    next: &Units,
    write: &BTreeMap<FileName, String>,
) -> bool {
    let before = case.installed;
    let deliver = delivered(case, parts, next);
    let mut copies = deliver.keys();
    let mut files = write.keys();
    !(deliver.is_empty() && write.is_empty())
        && copies.all(|name| before.certificates.contains_key(name))
        && files.all(|file| before.files.contains_key(file))
        && (!before.open || before.has_earlier)
}

/// Writes down by which edition sites are made.
fn note_edition(after: &mut Installed, parts: &Parts, next: &Units, making: &Making<'_>) {
    let version = Some(making.templates.version());
    let mut files = next.keys().filter_map(PartName::file);
    if making.is_trial() || files.any(|file| parts.host(file).is_some()) {
        after.templates.trying = version;
    } else if after.templates.trying != version {
        after.templates.trying = None;
    }
}

/// The sites whose live files lead to none of their containers.
fn shut_if_late(parts: &Parts, installed: &Installed) -> BTreeSet<FileName> {
    let files = parts.differing().map(|(file, _)| file);
    let wholly = files.filter(|file| gate::elsewhere(parts, installed, file) == Astray::Wholly);
    wholly.filter_map(part::closed_name).collect()
}

/// The record of this try. The mark has no part in it: the same files are the same try.
fn attempt(case: &Case<'_>, after: &Installed) -> Attempt {
    let before = case.observed.attempts.get(&case.subject());
    // One that was started again may take what it did not take before.
    let start = case.consumer.started_at;
    let start = start.map(|time| time.millis().to_string());
    let units = after.trying.iter();
    let units = units.flat_map(|(part, unit)| [String::from(part.clone()), unit.to_string()]);
    let asked = Digest::of_parts([start.unwrap_or_default()].into_iter().chain(units));
    backoff::attempt(before, asked, case.now)
}

/// Files to write: those of the chosen parts that differ.
fn put(
    case: &Case<'_>,
    parts: &mut Parts,
    next: &Units,
    templates: &Templates,
) -> Result<BTreeMap<FileName, String>, TemplateError> {
    let mut put = BTreeMap::new();
    for file in next.keys().filter_map(PartName::file) {
        let differs = |part: &Part| !part.has_text(file, case.installed);
        if parts.get(file).is_some_and(differs)
            && let Some(text) = parts.text(file, case.consumer, templates)?
        {
            put.insert(file.clone(), text);
        }
    }
    Ok(put)
}

/// Files to take away.
fn removed(parts: &Parts, next: &Units) -> BTreeSet<FileName> {
    let goes = |part: &PartName| match part {
        PartName::Removal(file) => Some(file.clone()),
        PartName::File(file) if parts.get(file).is_none() => Some(file.clone()),
        PartName::File(_) | PartName::Certificate(_) => None,
    };
    next.keys().filter_map(goes).collect()
}

/// The future contents of the folder, under the present mark.
fn after(
    case: &Case<'_>,
    parts: &Parts,
    next: &Units,
    write: &BTreeMap<FileName, String>,
) -> Installed {
    let mut after = Installed::clone(case.installed);
    after.progress = Progress::SignalOwed;
    after.is_own_broken = false;
    after.process = Process {
        running: case.consumer.running,
        started_at: case.consumer.started_at,
    };
    after.signals = case.signals.clone();
    for (file, text) in write {
        after.files.extend(written(parts, file, text));
    }
    for file in removed(parts, next) {
        after.files.remove(&file);
    }
    let brought = case.brought(parts, next);
    let brought = brought.map(|serving| (serving.name.clone(), serving.digest()));
    after.certificates.extend(brought);
    if !case.installed.open {
        quarantine::close(&mut after);
    }
    after.trying.extend(next.clone());
    // Of hosts that nobody asks for any more nothing need be known.
    after.trial.retain(|part| match part {
        PartName::File(file) => {
            parts.get(file).is_some() || case.installed.files.contains_key(file)
        }
        PartName::Removal(file) => case.installed.files.contains_key(file),
        PartName::Certificate(name) => case.installed.certificates.contains_key(name),
    });
    after
}

/// The record of a file that is written.
fn written(parts: &Parts, file: &FileName, text: &str) -> Option<(FileName, InstalledFile)> {
    let made = parts.get(file).and_then(|part| part.text.as_ref().ok());
    let installed = match made {
        // As a look at the text would have it, which takes longer.
        Some(digest) => InstalledFile {
            digest: *digest,
            leads_to: parts
                .site(file)
                .map(Site::leads_to)
                .unwrap_or_default()
                .into(),
        },
        None => InstalledFile::read(text.as_bytes())?,
    };
    Some((file.clone(), installed))
}

/// The check of everything that the server was not seen to take up, by its own tool. A server that was started since
/// has read that already.
fn check(consumer: &Consumer, after: &Installed, why: &BTreeSet<Why>) -> Option<Check> {
    let words = consumer
        .check
        .clone()
        .filter(|_| after.open && !why.contains(&Why::ProofOwed))?;
    let mut names = BTreeMap::new();
    for part in after.trying.keys() {
        let paths = match part {
            PartName::File(file) if after.files.contains_key(file) => {
                let config = consumer.config().into_iter();
                config
                    .map(|config| config.theirs.join(file.as_str()))
                    .collect()
            }
            PartName::Certificate(name) => consumer.certificates.files(name),
            PartName::File(_) | PartName::Removal(_) => continue,
        };
        let seen_by_it = paths.iter().map(|path| path.display().to_string());
        names.extend(seen_by_it.map(|path| (path, part.clone())));
    }
    Some(Check {
        words,
        names,
        refuses: consumer.kind.check_refuses,
    })
}

fn tell(consumer: &Consumer, why: &BTreeSet<Why>) -> Tell {
    match &consumer.reload {
        _ if why.contains(&Why::ProofOwed) || why.contains(&Why::GateClosed) => Tell::Started,
        Reload::Signal(signal) => Tell::Signal(*signal),
        Reload::Exec(words) => Tell::Exec(words.clone()),
        Reload::Restart => Tell::Restart,
        Reload::None => Tell::Nothing {
            reason: "its label reload=none forbids a reload; restart it".to_owned(),
        },
        Reload::Swallowed { reason } => Tell::Nothing {
            reason: format!("it can't be reloaded: {reason}; restart it"),
        },
    }
}

/// The reasons why this consumer needs a deployment; empty when it needs none.
fn reasons(
    case: &Case<'_>,
    parts: &Parts,
    next: &Units,
    making: &Making<'_>,
    has_mark: bool,
) -> BTreeSet<Why> {
    let (consumer, installed) = (case.consumer, case.installed);
    let mut why = BTreeSet::new();
    for part in next.keys() {
        match part {
            PartName::Removal(_) => drop(why.insert(Why::LeadsElsewhere)),
            PartName::Certificate(_) => {}
            PartName::File(file) => {
                let differs = |part: &Part| !part.has_text(file, installed);
                if parts.get(file).is_none_or(differs) {
                    why.insert(Why::ContentChanged);
                }
            }
        }
    }
    why.extend((!has_mark).then_some(Why::ContentChanged));
    why.extend(
        case.brought(parts, next)
            .next()
            .map(|_| Why::CertificateChanged),
    );
    if !why.is_empty() {
        return why;
    }
    why.extend(owed(consumer, installed));
    if why.is_empty() && making.is_trial() && consumer.running {
        // What is new comes to what is there already: that it is so has to be written down.
        why.insert(Why::ProofOwed);
    }
    let is_proven = matches!(installed.progress, Progress::Proven { .. });
    let opening = || case.gate.opening(consumer, parts, case.observed, installed);
    if why.is_empty() && is_proven && !making.is_trial() && opening().is_some() {
        why.insert(Why::GateClosed);
    }
    why
}

/// The step that is still due for the files that lie there.
fn owed(consumer: &Consumer, installed: &Installed) -> Option<Why> {
    // One that does not run reads everything when it starts; whether it did is looked at then.
    let now = Process {
        running: consumer.running,
        started_at: consumer.started_at,
    };
    let has_nothing = consumer.proxy.is_none() && installed.certificates.is_empty();
    match &installed.progress {
        _ if !consumer.running || has_nothing => None,
        Progress::SignalOwed if installed.process.started_at == now.started_at => {
            Some(Why::SignalOwed)
        }
        Progress::SignalOwed | Progress::TakenBack => Some(Why::ProofOwed),
        Progress::Unproven { .. } if !consumer.can_be_seen() => None,
        Progress::Unproven { .. }
            if !matches!(tell(consumer, &BTreeSet::new()), Tell::Nothing { .. }) =>
        {
            Some(Why::ProofOwed)
        }
        Progress::Unproven { .. } if installed.process != now => Some(Why::ProofOwed),
        Progress::Proven { .. }
            if installed.unseen_since(now.started_at).is_some() && consumer.can_be_seen() =>
        {
            Some(Why::ProofOwed)
        }
        Progress::Proven { .. } | Progress::Unproven { .. } => None,
    }
}

/// The certificates that must be copied first; none where the consumer reads our own folder.
fn delivered(
    case: &Case<'_>,
    parts: &Parts,
    next: &Units,
) -> BTreeMap<CertificateName, CertificateVersion> {
    match case.consumer.certificates {
        CertificateFolder::Shared { .. } => BTreeMap::new(),
        CertificateFolder::Delivered(_) => case
            .brought(parts, next)
            .map(|serving| (serving.name.clone(), serving.version()))
            .collect(),
    }
}

/// Certificates that nothing names any more once this is proven. While anything is held back, its older form may name
/// one that is not known here.
fn forgotten(parts: &Parts, changes: &Changes, installed: &Installed) -> BTreeSet<CertificateName> {
    if !changes.is_all {
        return BTreeSet::new();
    }
    let named: HashSet<_> = parts
        .iter()
        .filter_map(|(_, part)| Some(&part.certificate.as_ref()?.name))
        .chain(parts.used().keys())
        .collect();
    installed
        .certificates
        .keys()
        .filter(|name| !named.contains(name))
        .cloned()
        .collect()
}

/// The proof that a client must see: the mark, and the certificates that are on trial. Unchanged certificates were seen
/// before, and a look at all of thousands of names would take minutes.
fn proof(
    (consumer, parts): (&Consumer, &Parts),
    after: &Installed,
    why: &BTreeSet<Why>,
    rules: &PlanRules,
) -> Proof {
    let most = match () {
        // What it serves was seen already.
        () if why.contains(&Why::GateClosed) => 0,
        () if why.contains(&Why::ProofOwed) => MOST_SERIALS,
        () => usize::MAX,
    };
    let serials: Vec<_> = match after.trying.is_empty() {
        false => {
            let new = after.trying.keys();
            new.flat_map(|part| serials_of((consumer, parts), after, part))
                .collect()
        }
        // Something is owed for what lies there, whatever it is.
        true => serials((consumer, parts), after, None).take(most).collect(),
    };
    let serials = serials.into_iter();
    Proof {
        mark_host: rules.mark_host.clone(),
        mark: after.generation,
        serials: serials
            .map(|(host, serial)| (host.clone(), serial.to_owned()))
            .collect(),
    }
}

/// The serial numbers that a part brings. What an older file shows that stays is not known.
fn serials_of<'a>(
    (consumer, parts): (&'a Consumer, &'a Parts),
    after: &'a Installed,
    part: &'a PartName,
) -> Vec<(&'a Host, &'a str)> {
    match part {
        PartName::File(file) => {
            let part = parts.get(file).filter(|part| part.has_text(file, after));
            part.and_then(|part| part.serial(after))
                .into_iter()
                .collect()
        }
        PartName::Certificate(name) => serials((consumer, parts), after, Some(name))
            .take(MOST_SERIALS)
            .collect(),
        PartName::Removal(_) => Vec::new(),
    }
}

/// The serial numbers that clients are shown by files that lie there, of this certificate or of all.
fn serials<'a>(
    (consumer, parts): (&'a Consumer, &'a Parts),
    after: &'a Installed,
    certificate: Option<&'a CertificateName>,
) -> impl Iterator<Item = (&'a Host, &'a str)> {
    let names = move |part: &Part| {
        let named = part.certificate.as_ref().map(|serving| &serving.name);
        certificate.is_none() || certificate == named
    };
    let by_files = parts
        .iter()
        .filter(move |(file, part)| names(part) && part.has_text(file, after))
        .filter_map(|(_, part)| part.serial(after));
    let used = parts.used().values();
    let used = used.filter(move |it| certificate.is_none_or(|name| *name == it.name));
    by_files.chain(
        used.filter(|serving| consumer.proxy.is_none() && serving.is_given(after))
            .flat_map(|serving| used::serials(consumer, serving)),
    )
}

/// The longest time for this reload; after it, the reload counts as not followed.
fn within(installed: &Installed, files: usize) -> Duration {
    let each = PROOF_EACH * u32::try_from(files).unwrap_or(u32::MAX);
    match installed.reload {
        Some(last) => PROOF_WITHIN.max(last * SLOWEST).max(each),
        None => FIRST_PROOF_WITHIN.max(each),
    }
}
