//! Whether a consumer needs a deployment, and what is in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
    time::Duration,
};

use super::{
    Back, Check, Deploy, PlanRules, Proof, Tell, Why, backoff,
    content::Parts,
    gate::{self, Elsewhere, Gate},
    obtain::HeldCertificates,
    part::{self, Part, Serving, mark_file},
    quarantine, selection,
    trial::{self, Changes, Stopgap},
};
use crate::{
    desire::{CertificateFolder, Consumer, Reload, Site},
    observe::{
        Attempt, HeldCertificate, Installed, InstalledFile, Observed, Process, Progress, Signals,
        Source, Subject, Units,
    },
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// The shortest time that a reload gets to show itself; it takes some 40 ms where there is little to load.
const PROOF_WITHIN: Duration = Duration::from_secs(2);
/// The same for a consumer of which no reload was seen yet.
const FIRST_PROOF_WITHIN: Duration = Duration::from_secs(5);
/// What each file adds: nginx takes some 2.5 s for 1,000 sites with TLS on two cores.
const PROOF_EACH: Duration = Duration::from_millis(10);
/// How many certificates are looked at to tell that what was seen before is still served.
const MOST_SERIALS: usize = 20;
/// A reload that takes this many times as long as the last one is not coming any more.
const SLOWEST: u32 = 4;

/// What is planned for.
pub(super) struct Case<'a> {
    pub consumer: &'a Rc<Consumer>,
    pub installed: &'a Rc<Installed>,
    pub signals: &'a Signals,
    pub gate: &'a Gate,
    /// With the user's own certificates in place of ours of the same names.
    pub observed: &'a Observed,
    /// Those in `live/`, with ours under these names.
    pub live: &'a HeldCertificates,
    pub rules: &'a PlanRules,
    pub now: Timestamp,
}

impl Case<'_> {
    /// The certificate that would serve a site if the user had none.
    pub fn ours(&self, host: &Host, site: &Site) -> Option<Serving> {
        let is_ours = |held: &HeldCertificate| held.source != Source::Provided;
        let ours = self.live.iter().filter(|(_, held)| is_ours(held));
        let observed = Observed {
            held: Rc::new(
                ours.map(|(name, held)| (name.clone(), Rc::clone(held)))
                    .collect(),
            ),
            ..Observed::default()
        };
        let own = selection::ProvidedByHost::default();
        part::serving(self.consumer, (host, site), (&observed, &own), self.now)
    }
}

/// The deployment that these parts need, made by `templates`; the mark of what is there by `earlier` ones.
pub(super) fn deploy(
    case: &Case<'_>,
    parts: &mut Parts,
    templates: &Templates,
    is_trial: bool,
    earlier: &Templates,
) -> Result<Option<Deploy>, TemplateError> {
    let Case {
        consumer,
        installed,
        signals,
        gate,
        observed,
        live: _,
        rules,
        now,
    } = *case;
    let mark_is = |mark| part::mark(consumer, templates, rules, mark);
    let mark_file = mark_file(consumer);
    let is_proven = matches!(installed.progress, Progress::Proven { .. });
    // Nobody is restarted for what nobody asked for.
    let can_be_told = matches!(consumer.reload, Reload::Signal(_) | Reload::Exec(_));
    let can_be_tried = is_proven && consumer.running && consumer.reach.is_some() && can_be_told;
    let changes = trial::changes(case, parts, can_be_tried, is_trial);
    let mark = Digest::of(mark_is(installed.generation)?);
    let has_mark = installed
        .files
        .get(&mark_file)
        .is_some_and(|file| file.digest == mark);
    let mut why = reasons(consumer, installed, parts, &changes, has_mark);
    if why.is_empty()
        && is_proven
        && !is_trial
        && gate.opening(consumer, parts, observed, installed).is_some()
    {
        why.insert(Why::GateClosed);
    }
    if why.is_empty() && is_trial && consumer.running {
        // They come to what is there already: that it is so has to be written down.
        why.insert(Why::ProofOwed);
    }
    if why.is_empty() {
        return Ok(None);
    }
    let changed = [
        Why::ContentChanged,
        Why::CertificateChanged,
        Why::LeadsElsewhere,
    ]
    .iter()
    .any(|it| why.contains(it));
    let generation = installed.generation + u64::from(changed);
    let mut files = put(consumer, parts, &changes.next, installed, templates)?;
    let remove = removed(parts, &changes);
    if changed {
        files.insert(mark_file.clone(), mark_is(generation)?);
    }
    let mut after = after(consumer, installed, parts, &changes, &files, generation);
    after.open |= changed;
    after.signals = signals.clone();
    let makes_site = |file: &FileName| parts.get(file).is_some_and(|part| part.host().is_some());
    let version = Some(templates.version());
    if changes.next.keys().any(makes_site) || is_trial {
        after.templates.trying = version;
    } else if after.templates.trying != version {
        after.templates.trying = None;
    }
    let tell = tell(consumer, &why);
    Ok(Some(Deploy {
        deliver: undelivered(consumer, parts, &changes, installed),
        forget: forgotten(consumer, parts, &changes, installed),
        proof: proof(parts, &after, installed, &why, rules),
        back: Back {
            file: mark_file,
            text: part::mark(consumer, earlier, rules, generation + 1)?,
            mark: generation + 1,
            tell: self::tell(consumer, &BTreeSet::new()),
        },
        within: within(installed, parts.len()),
        check: check(consumer, &after, &why),
        is_optional: changes.is_last && has_mark && !installed.open,
        edition: is_trial.then(|| templates.version()),
        is_conclusive: installed.progress != Progress::TakenBack && !installed.is_own_broken,
        attempt: attempt(consumer, &after, observed, now),
        shut_if_late: shut_if_late(parts, installed),
        // One that we start again has another start then.
        opening: gate
            .opening(consumer, parts, observed, &after)
            .filter(|_| !matches!(tell, Tell::Restart)),
        tell,
        write: files,
        remove,
        before: Rc::clone(installed),
        after,
        consumer: Rc::clone(consumer),
        why,
    }))
}

/// The sites whose live files lead to none of their containers.
fn shut_if_late(parts: &Parts, installed: &Installed) -> BTreeSet<FileName> {
    let files = parts.differing().map(|(file, _)| file);
    let wholly = files.filter(|file| gate::elsewhere(parts, installed, file) == Elsewhere::Wholly);
    wholly.filter_map(part::closed_name).collect()
}

/// The record of this try. The mark has no part in it: the same files are the same try.
fn attempt(consumer: &Consumer, after: &Installed, observed: &Observed, now: Timestamp) -> Attempt {
    let before = observed
        .attempts
        .get(&Subject::Consumer(consumer.name.clone()));
    // One that was started again may take what it did not take before.
    let start = consumer
        .started_at
        .map(|time| time.millis().to_string())
        .unwrap_or_default();
    let units = after.trying.iter().chain(&after.stopgaps.trying);
    let units = units.flat_map(|(file, unit)| [file.to_string(), unit.to_string()]);
    backoff::attempt(
        before,
        Digest::of_parts([start].into_iter().chain(units)),
        now,
    )
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
        let differs = |part: &Part| !part.has_file(file, installed);
        if parts.get(file).is_some_and(differs)
            && let Some(text) = parts.text(file, consumer, templates)?
        {
            put.insert(file.clone(), text);
        }
    }
    Ok(put)
}

/// Files to take away.
fn removed(parts: &Parts, changes: &Changes) -> BTreeSet<FileName> {
    let gone = changes.next.keys().filter(|file| parts.get(file).is_none());
    let goes = changes
        .stopgaps
        .iter()
        .filter(|(_, stopgap)| matches!(stopgap, Stopgap::Goes { .. }));
    gone.chain(goes.map(|(file, _)| file)).cloned().collect()
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
    after.is_own_broken = false;
    after.process = Process {
        running: consumer.running,
        started_at: consumer.started_at,
    };
    let written = |file: &FileName, text: &String| match parts.get(file) {
        // As a look at the text would have it, which takes longer.
        Some(part) => {
            let leads_to = parts.site(file).map(Site::leads_to).unwrap_or_default();
            Some(InstalledFile {
                digest: part.file,
                leads_to: leads_to.into(),
            })
        }
        None => InstalledFile::read(text.as_bytes()),
    };
    after.files.extend(
        write
            .iter()
            .filter_map(|(file, text)| Some((file.clone(), written(file, text)?))),
    );
    removed(parts, changes)
        .iter()
        .for_each(|file| drop(after.files.remove(file)));
    let serving = brought(parts, changes).map(|serving| (serving.name.clone(), serving.digest()));
    after.certificates.extend(serving);
    if !installed.open {
        quarantine::close(&mut after);
    }
    after.trying.extend(
        changes
            .next
            .iter()
            .map(|(file, unit)| (file.clone(), *unit)),
    );
    let stopgaps = changes
        .stopgaps
        .iter()
        .map(|(file, stopgap)| (file.clone(), stopgap.unit()));
    after.stopgaps.trying.extend(stopgaps);
    // Of hosts that nobody asks for any more nothing need be known.
    after
        .trial
        .retain(|file| parts.is_wanted(file) || installed.files.contains_key(file));
    after
        .stopgaps
        .trial
        .retain(|file| installed.files.contains_key(file));
    after
}

/// The certificates that come with these changes.
fn brought<'a>(parts: &'a Parts, changes: &'a Changes) -> impl Iterator<Item = &'a Serving> {
    let of_parts = changes
        .next
        .keys()
        .filter_map(|file| parts.get(file)?.certificate.as_ref());
    of_parts.chain(changes.stopgaps.values().filter_map(Stopgap::certificate))
}

/// What its own tool has to look at: what it was not seen to take up. One that was started since has read that already.
fn check(consumer: &Consumer, after: &Installed, why: &BTreeSet<Why>) -> Option<Check> {
    let words = consumer
        .check
        .clone()
        .filter(|_| after.open && !why.contains(&Why::ProofOwed))?;
    let seen_by_it = |file: &FileName| {
        consumer
            .config
            .theirs
            .join(file.as_str())
            .display()
            .to_string()
    };
    let put = after
        .trying
        .keys()
        .filter(|file| after.files.contains_key(*file));
    let names = put.map(|file| (seen_by_it(file), file.clone())).collect();
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
            reason: "its label reload=none says that it is not told; restart it".to_owned(),
        },
        Reload::Swallowed { reason } => Tell::Nothing {
            reason: format!("it can't be told: {reason}; restart it"),
        },
    }
}

/// Why this consumer needs a deployment; empty when it does not.
fn reasons(
    consumer: &Consumer,
    installed: &Installed,
    parts: &Parts,
    changes: &Changes,
    has_mark: bool,
) -> BTreeSet<Why> {
    let is_other = |file: &FileName| {
        parts
            .get(file)
            .is_none_or(|part| !part.has_file(file, installed))
    };
    let files_differ = changes.next.keys().any(is_other);
    let certificates_differ = brought(parts, changes).any(|serving| !serving.is_given(installed));
    let mut why = BTreeSet::new();
    let goes = |stopgap: &Stopgap| matches!(stopgap, Stopgap::Goes { .. });
    why.extend(
        changes
            .stopgaps
            .values()
            .any(goes)
            .then_some(Why::LeadsElsewhere),
    );
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
    let now = Process {
        running: consumer.running,
        started_at: consumer.started_at,
    };
    match &installed.progress {
        _ if !consumer.running => None,
        Progress::SignalOwed if installed.process.started_at == now.started_at => {
            Some(Why::SignalOwed)
        }
        Progress::SignalOwed | Progress::TakenBack => Some(Why::ProofOwed),
        Progress::Unproven { .. } if consumer.reach.is_none() => None,
        Progress::Unproven { .. }
            if !matches!(tell(consumer, &BTreeSet::new()), Tell::Nothing { .. }) =>
        {
            Some(Why::ProofOwed)
        }
        Progress::Unproven { .. } if installed.process != now => Some(Why::ProofOwed),
        Progress::Proven { .. }
            if installed.unseen_since(now.started_at).is_some() && consumer.reach.is_some() =>
        {
            Some(Why::ProofOwed)
        }
        Progress::Proven { .. } | Progress::Unproven { .. } => None,
    }
}

/// The certificates that must be copied first; none where the consumer reads our own folder.
fn undelivered(
    consumer: &Consumer,
    parts: &Parts,
    changes: &Changes,
    installed: &Installed,
) -> BTreeMap<CertificateName, Digest> {
    if matches!(consumer.certificates, CertificateFolder::Shared { .. }) {
        return BTreeMap::new();
    }
    let new = brought(parts, changes).filter(|serving| !serving.is_given(installed));
    new.map(|serving| (serving.name.clone(), serving.digest()))
        .collect()
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
    let named: HashSet<_> = parts
        .iter()
        .filter_map(|(_, part)| Some(&part.certificate.as_ref()?.name))
        .collect();
    installed
        .certificates
        .keys()
        .filter(|name| !named.contains(name))
        .cloned()
        .collect()
}

/// What a client must see: the mark, and the certificates of what is on trial. What did not change was seen before, and
/// looking at all of thousands of names would take minutes.
fn proof(
    parts: &Parts,
    after: &Installed,
    installed: &Installed,
    why: &BTreeSet<Why>,
    rules: &PlanRules,
) -> Proof {
    let most = match () {
        // What it serves was seen already.
        () if why.contains(&Why::GateClosed) => 0,
        () if why.contains(&Why::ProofOwed) => MOST_SERIALS,
        () => usize::MAX,
    };
    let serial = |file: &FileName| {
        Some((
            parts.host(file)?.clone(),
            parts.certificate(file)?.serial()?.to_owned(),
        ))
    };
    let is_any_new = !(after.trying.is_empty() && after.stopgaps.trying.is_empty());
    let serials = match is_any_new {
        // What an older file shows that stays, or that went as a stopgap, is not known.
        true => after.trying.keys().filter_map(serial).collect(),
        // Something is owed for what lies there, whatever it is.
        false => parts
            .iter()
            .filter(|(file, part)| part.is_in_place(file, installed))
            .filter_map(|(file, _)| serial(file))
            .take(most)
            .collect(),
    };
    Proof {
        mark_host: rules.mark_host.clone(),
        mark: after.generation,
        serials,
    }
}

/// How long this reload may take before it counts as not followed.
fn within(installed: &Installed, files: usize) -> Duration {
    let each = PROOF_EACH * u32::try_from(files).unwrap_or(u32::MAX);
    match installed.reload {
        Some(last) => PROOF_WITHIN.max(last * SLOWEST).max(each),
        None => FIRST_PROOF_WITHIN.max(each),
    }
}
