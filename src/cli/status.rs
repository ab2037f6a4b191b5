use std::{collections::BTreeSet, fmt::Display};

use itertools::Itertools;
use serde::Serialize;

use super::{
    Call, Exit, Failure,
    by_hand::words_for,
    json, print, setup,
    table::{hanging, table},
    terminal::{Paint, width},
};
use crate::{
    adapters::{clock::SystemClock, disk::Folders},
    desire::{Complaint, visible},
    observe::{HandOrder, HandStage, HandTask, Progress, Subject},
    ports::{Clock, DiskError, Vitals},
    report::{FailureStatus, Status, explain::rough},
    values::Timestamp,
};

/// The daemon's status document, and the users' requests beside it.
#[derive(Serialize)]
struct Document {
    /// Nothing where no daemon was here yet.
    #[serde(flatten)]
    status: Option<Status>,
    /// Orders by commands that are under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by_hand: Vec<HandOrder>,
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let state = call.settings.state.clone();
    let path = state.join("status.json");
    let folders = Folders::new(state.join("certificates"), state, setup::tell);
    let by_hand = folders.hand_orders()?;
    let read = folders.status()?;
    if read.is_none() && by_hand.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no {} yet; `quaymaster watch` or `quaymaster once` writes it after its first turn",
            path.display()
        )));
    }
    let damaged = |error| DiskError::Damaged {
        path,
        problem: format!("{error}; the next turn writes a new one"),
    };
    let status = read.map(|document| serde_json::from_str(&document));
    let status: Option<Status> = status.transpose().map_err(damaged)?;
    if call.wants_json() {
        print(&json(&Document { status, by_hand })?)?;
        return Ok(Exit::Done);
    }
    let hands = orders(call, &by_hand);
    let hands = lines("ordered by commands", &hands, width());
    let daemon = status.map(|status| shown(&status, SystemClock.now(), call.paint(), width()));
    let mut parts = vec![hands, daemon.unwrap_or_default()];
    parts.retain(|part| !part.is_empty());
    print(&parts.join("\n"))?;
    Ok(Exit::Done)
}

/// Engines that are out of reach, and why.
fn engines_away(status: &Status) -> Vec<String> {
    let away = status.engines_away.iter();
    away.map(|(engine, problem)| format!("{engine}: {problem}; what it said last counts"))
        .collect()
}

/// Orders by commands, with what each waits for.
fn orders(call: &Call, orders: &[HandOrder]) -> Vec<String> {
    let told = orders.iter().map(|order| {
        let names = words_for(&order.names, order.is_by_dns);
        let waits = match (order.stage, order.tasks.as_slice()) {
            (HandStage::Finalized, _) => {
                format!(
                    "its certificate was requested; `quaymaster issue {names}` writes it into files"
                )
            }
            (HandStage::Authorized, _) => {
                format!("authorized; `quaymaster issue {names}` obtains the certificate")
            }
            (HandStage::Open, []) => {
                format!("begun; `quaymaster authorize {names}` goes on with it")
            }
            (HandStage::Open, tasks) => {
                let each = tasks.iter().map(HandTask::awaited);
                format!("waits for {}", each.dedup().join(" and "))
            }
        };
        let ca = call.settings.cas.called(&order.ca);
        let asked = order.names.iter().join(" ");
        format!("{asked} at {ca}, since {}: {waits}", order.begun)
    });
    told.collect()
}

fn shown(status: &Status, now: Timestamp, paint: Paint, width: Option<usize>) -> String {
    let list = |heading: &str, items: Vec<String>| lines(heading, &items, width);
    let strings = |items: &BTreeSet<Complaint>| items.iter().map(ToString::to_string).collect();
    let notices = status.notices.iter().map(ToString::to_string).collect();
    let archived = status.archived.iter();
    let archived = archived
        .map(|(name, time)| format!("{name}, deleted at {time} unless a label asks for it"))
        .collect();
    let mut parts = vec![
        certificates(status, now, width),
        sites(status, width),
        consumers(status, width),
        outputs(status, width),
        paint.wrong(&list(
            "failed",
            status
                .failures
                .iter()
                .map(|failure| self::failure(failure, now))
                .collect(),
        )),
        list("waiting for limits of their CAs", limited(status, now)),
        list("from another CA", other_cas(status)),
        paint.wrong(&list("complaints", strings(&status.complaints))),
        paint.wrong(&list("engines out of reach", engines_away(status))),
        paint.wrong(&list("on disk", status.faults.iter().cloned().collect())),
        list("about certificates", notices),
        list("archived", archived),
        paint.wrong(&list(
            "templates",
            status.templates.iter().cloned().collect(),
        )),
        list("under way", status.under_way.clone()),
        list("next", next(status, now)),
    ];
    parts.push(format!(
        "as of {}, {} ago\n",
        status.written,
        rough(now.since(status.written))
    ));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// Which certificates wait for limits; of thousands the first few.
fn limited(status: &Status, now: Timestamp) -> Vec<String> {
    const MOST: usize = 5;
    let more = status.limited.len().saturating_sub(MOST);
    let told = status.limited.iter().take(MOST);
    let told = told.map(|(name, limited)| {
        format!("{name}: {} ({})", limited.problem, away(limited.until, now))
    });
    told.chain((more > 0).then(|| format!("and {more} more")))
        .collect()
}

/// Which certificates are asked of another CA than the first of their list; of thousands the first few.
fn other_cas(status: &Status) -> Vec<String> {
    const MOST: usize = 5;
    let more = status.other_cas.len().saturating_sub(MOST);
    let told = status.other_cas.iter().take(MOST);
    let told = told.map(|(name, why)| format!("{name}: {why}"));
    told.chain((more > 0).then(|| format!("and {more} more")))
        .collect()
}

/// The next events; of thousands of renewals the first few.
fn next(status: &Status, now: Timestamp) -> Vec<String> {
    const MOST: usize = 5;
    let next = status.next();
    let more = next.len().saturating_sub(MOST);
    let told = next
        .into_iter()
        .take(MOST)
        .map(|(time, words)| format!("{words} at {time} ({})", away(time, now)));
    told.chain((more > 0).then(|| format!("and {more} more")))
        .collect()
}

fn away(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", rough(time.since(now)))
    } else {
        "now".to_owned()
    }
}

fn outputs(status: &Status, width: Option<usize>) -> String {
    let rows: Vec<_> = status
        .outputs
        .iter()
        .map(|(name, output)| {
            let state = match (output.current, output.owed) {
                (false, _) => "not as its template makes it now",
                (true, true) => "written; its consumer is being reloaded",
                (true, false) => "in place",
            };
            let consumer = output.consumer.clone();
            [
                name.clone(),
                consumer.unwrap_or_else(|| "-".to_owned()),
                output.target.display().to_string(),
                state.to_owned(),
            ]
        })
        .collect();
    table(["OUTPUT", "CONSUMER", "FILE", "STATE"], &rows, width)
}

fn certificates(status: &Status, now: Timestamp, width: Option<usize>) -> String {
    let rows: Vec<_> = status
        .certificates
        .iter()
        .map(|(name, certificate)| {
            let held = certificate.held.as_ref();
            let instead = certificate.instead.as_ref();
            let state = match (certificate.wanted || certificate.serves, held) {
                _ if instead.is_some() => &format!("{} is served", joined(instead)),
                (true, None) => "missing",
                (true, Some(held)) if held.is_valid_at(now) && held.is_fallback() => {
                    "self-signed, until a better one is there"
                }
                (true, Some(held)) if held.is_valid_at(now) => "valid",
                (_, Some(held)) if !held.is_valid_at(now) => "expired",
                _ if !certificate.held_up_by.is_empty() => &format!(
                    "kept while the complaint about {} stands",
                    joined(&certificate.held_up_by)
                ),
                _ => match certificate.archived_at {
                    Some(time) => &format!("kept, not wanted; archived at {time}"),
                    None => "kept, not wanted",
                },
            };
            let of = |word: fn(&crate::observe::HeldCertificate) -> String| {
                held.map_or("-".to_owned(), |held| word(held))
            };
            [
                name.to_string(),
                state.to_owned(),
                of(|held| held.not_after.to_string()),
                of(|held| held.issuer.clone()),
                of(|held| held.serial.clone()),
            ]
        })
        .collect();
    table(
        ["CERTIFICATE", "STATE", "UNTIL", "ISSUER", "SERIAL"],
        &rows,
        width,
    )
}

fn sites(status: &Status, width: Option<usize>) -> String {
    let rows: Vec<_> = status
        .sites
        .iter()
        .map(|site| {
            let of_path = |(path, addresses): (&String, &BTreeSet<String>)| {
                let addresses = if addresses.is_empty() {
                    "none takes traffic: 503".to_owned()
                } else {
                    joined(addresses)
                };
                if path == "/" {
                    addresses
                } else {
                    format!("{path}: {addresses}")
                }
            };
            let upstreams = match &site.redirect {
                Some(to) => format!("sent to {to}"),
                None => site
                    .upstreams
                    .iter()
                    .map(of_path)
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            let upstreams = match &site.kept {
                Some(kept) => format!("{upstreams} (it {kept})"),
                None => upstreams,
            };
            let waits = site.waits.iter();
            let waits = waits.map(|(container, wait)| {
                format!(" ({container} {wait}; `docker logs {container}` says why)")
            });
            let upstreams = upstreams + &waits.collect::<String>();
            let upstreams = match &site.instead {
                Some(instead) => format!("{upstreams} ({instead})"),
                None => upstreams,
            };
            [
                site.host.to_string(),
                site.proxy.to_string(),
                joined(&site.containers),
                upstreams,
            ]
        })
        .collect();
    table(["SITE", "PROXY", "CONTAINERS", "UPSTREAMS"], &rows, width)
}

fn consumers(status: &Status, width: Option<usize>) -> String {
    let rows: Vec<_> = status
        .consumers
        .iter()
        .map(|(name, consumer)| {
            let progress = match &consumer.installed.progress {
                _ if !consumer.running => "not running".to_owned(),
                _ if consumer.is_helper => "obtains certificates".to_owned(),
                Progress::SignalOwed => "signal owed".to_owned(),
                Progress::TakenBack => "previous files restored".to_owned(),
                Progress::Proven { at } => match consumer.unseen_since() {
                    None => format!("proven at {at}"),
                    Some(start) => format!(
                        "proven at {at}; not looked at since it was started again at {start}"
                    ),
                },
                Progress::Unproven { reason } => format!("unproven: {reason}"),
            };
            [
                name.to_string(),
                consumer.kind.clone(),
                consumer.installed.generation.to_string(),
                some(consumer.installed.certificates.keys()),
                progress,
            ]
        })
        .collect();
    let columns = ["CONSUMER", "KIND", "GENERATION", "CERTIFICATES", "STATE"];
    table(columns, &rows, width)
}

/// The first of them, and how many more there are.
fn some(names: impl ExactSizeIterator<Item = impl Display>) -> String {
    const SHOWN: usize = 2;
    let more = names.len().saturating_sub(SHOWN);
    let first = joined(names.take(SHOWN));
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn failure(failure: &FailureStatus, now: Timestamp) -> String {
    let subject = match &failure.subject {
        Subject::Certificate(name) | Subject::Fallback(name) => name.as_str(),
        Subject::Consumer(name) => name.as_str(),
    };
    let again = match failure.again {
        None => "tried again when the labels or settings change".to_owned(),
        Some(again) => format!("tried again at {again}, {}", away(again, now)),
    };
    let problem = failure.problem.as_deref().unwrap_or("it was cut off");
    format!(
        "{subject}: {problem} ({} in a row, last {}; {again})",
        failure.count, failure.last
    )
}

fn lines(heading: &str, items: &[String], width: Option<usize>) -> String {
    let lines: String = items
        .iter()
        .map(|item| format!("  {}\n", hanging(&visible(item), 4, width)))
        .collect();
    if lines.is_empty() {
        lines
    } else {
        format!("{heading}:\n{lines}")
    }
}

fn joined(items: impl IntoIterator<Item: Display>) -> String {
    items.into_iter().join(", ")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, rc::Rc, time::Duration};

    use super::*;
    use crate::{
        fixtures::held,
        observe::{HeldCertificate, Installed, Source, Wait},
        report::{CertificateStatus, ConsumerStatus, SiteStatus},
        values::{CertificateName, ContainerName, EngineName, Host, Retry},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn status() -> Status {
        let name = |word| CertificateName::parse(word).expect("a name");
        let held = HeldCertificate {
            not_before: NOW,
            not_after: NOW + DAY * 90,
            issuer: "Test CA".into(),
            serial: "0123456789abcdef".into(),
            source: Source::Acme(String::new()),
            ..held(&["shop.example"])
        };
        Status {
            written: NOW,
            next_look: Some(NOW + Duration::from_secs(3600)),
            looks: 1,
            at_rest: true,
            certificates: BTreeMap::from([
                (
                    name("late.example"),
                    CertificateStatus {
                        wanted: true,
                        held: None,
                        suggested_renewal: None,
                        serves: false,
                        instead: None,
                        held_up_by: BTreeSet::new(),
                        archived_at: None,
                    },
                ),
                (
                    name("shop.example"),
                    CertificateStatus {
                        wanted: true,
                        held: Some(held.into()),
                        suggested_renewal: None,
                        serves: false,
                        instead: None,
                        held_up_by: BTreeSet::new(),
                        archived_at: None,
                    },
                ),
            ]),
            archived: BTreeMap::new(),
            sites: Vec::new(),
            consumers: BTreeMap::new(),
            outputs: BTreeMap::new(),
            engines_away: BTreeMap::from([(
                EngineName::parse("blue").expect("a name"),
                "the Docker engine at tcp://10.0.0.2:2376 can't be reached".to_owned(),
            )]),
            under_way: Vec::new(),
            failures: vec![FailureStatus {
                subject: Subject::Certificate(name("late.example")),
                count: 2,
                last: NOW - Duration::from_secs(60),
                retry: Retry::Backoff,
                again: Some(NOW + Duration::from_secs(540)),
                problem: Some("the CA could not validate late.example: no route".to_owned()),
            }],
            limited: BTreeMap::new(),
            other_cas: BTreeMap::new(),
            complaints: BTreeSet::new(),
            faults: BTreeSet::new(),
            notices: BTreeSet::new(),
            templates: BTreeSet::new(),
        }
    }

    #[test]
    fn which_certificates_are_asked_of_another_ca_is_told_and_of_many_a_few() {
        let mut status = status();
        let why =
            "letsencrypt failed 3 times, the last time at 2027-01-15T08:00:00Z; zerossl is asked";
        for number in 1..=7 {
            let name = CertificateName::parse(format!("app{number}.example")).expect("a name");
            status.other_cas.insert(name, why.to_owned());
        }
        let text = shown(&status, NOW, Paint::default(), None);
        let told = text.split("from another CA:\n").nth(1).expect("it is told");
        let told: Vec<_> = told.lines().take(6).collect();
        assert_eq!(told[0], format!("  app1.example: {why}"));
        assert_eq!(told[5], "  and 2 more");
    }

    #[test]
    fn the_reference_names_each_key_of_the_document() {
        let reference = include_str!("../../docs/reference.md");
        let document = serde_json::to_value(status()).expect("it is plain data");
        for key in document.as_object().expect("it is a map").keys() {
            assert!(reference.contains(&format!("`{key}`")), "{key}");
        }
    }

    #[test]
    fn a_self_signed_certificate_is_told_as_that_and_not_as_renewed() {
        let mut status = status();
        let name = CertificateName::parse("shop.example").expect("a name");
        let shop = status.certificates.get_mut(&name).expect("it is there");
        let held = shop.held.take().expect("it is held");
        shop.held = Some(
            HeldCertificate {
                source: Source::Fallback,
                ..(*held).clone()
            }
            .into(),
        );
        let text = certificates(&status, NOW, None);
        assert!(
            text.contains("self-signed, until a better one is there"),
            "{text}"
        );
        let next = status.next();
        assert!(
            !next.iter().any(|(_, words)| words.contains("is renewed")),
            "{next:?}"
        );
        assert!(certificates(&status, NOW + DAY * 90, None).contains("expired"));
    }

    #[test]
    fn a_container_that_comes_and_goes_is_told_beside_its_site() {
        let name = |word| ContainerName::parse(word).expect("a name");
        let site = SiteStatus {
            host: Host::parse("crash.example").expect("a host"),
            proxy: name("proxy"),
            containers: vec![name("crash")],
            redirect: None,
            upstreams: BTreeMap::from([("/".to_owned(), BTreeSet::new())]),
            kept: None,
            waits: BTreeMap::new(),
            instead: None,
        };
        let mut status = Status {
            sites: vec![site],
            ..status()
        };
        let wait = Wait {
            until: Some(NOW),
            restarts: 12,
            returns: 3,
        };
        status.tell_waits(&BTreeMap::from([(name("other"), wait)]));
        assert!(!json(&status).expect("plain data").contains("waits"));
        status.tell_waits(&BTreeMap::from([(name("crash"), wait)]));
        let text = shown(&status, NOW, Paint::default(), None);
        let expected = "none takes traffic: 503 (crash comes and goes: it was restarted 12 times, and takes requests \
                        again at 2027-01-15T08:00:00Z if it stays; `docker logs crash` says why)";
        assert!(text.contains(expected), "{text}");
        let document = json(&status).expect("plain data");
        let read: Status = serde_json::from_str(&document).expect("it is read again");
        assert_eq!(read, status);
    }

    #[test]
    fn a_certificate_that_is_kept_says_whose_complaint_holds_it_up() {
        let mut status = status();
        let kept = status
            .certificates
            .values_mut()
            .last()
            .expect("there are two");
        kept.wanted = false;
        assert!(
            shown(&status, NOW, Paint::default(), None)
                .contains("shop.example  kept, not wanted  ")
        );
        let kept = status
            .certificates
            .values_mut()
            .last()
            .expect("there are two");
        kept.held_up_by
            .insert(ContainerName::parse("shop").expect("a name"));
        let text = shown(&status, NOW, Paint::default(), None);
        assert!(
            text.contains("shop.example  kept while the complaint about shop stands  "),
            "{text}"
        );
    }

    #[test]
    fn a_proxy_that_was_started_again_is_not_told_as_proven_alone() {
        let (at, later) = (NOW, NOW + DAY);
        let told = |process, started_at, is_helper| {
            let mut installed = Installed {
                progress: Progress::Proven { at },
                ..Installed::default()
            };
            installed.process.started_at = process;
            let consumer = ConsumerStatus {
                kind: "nginx".into(),
                running: true,
                started_at,
                is_helper,
                installed: Rc::new(installed),
            };
            let name = ContainerName::parse("proxy").expect("a name");
            consumers(
                &Status {
                    consumers: BTreeMap::from([(name, consumer)]),
                    ..status()
                },
                None,
            )
        };
        assert!(
            told(Some(NOW - DAY), Some(NOW - DAY), false)
                .ends_with("proven at 2027-01-15T08:00:00Z\n")
        );
        assert!(told(Some(NOW - DAY), Some(later), false).ends_with(
            "proven at 2027-01-15T08:00:00Z; not looked at since it was started again at 2027-01-16T08:00:00Z\n"
        ));
        // We restarted it and looked, or the engine's clock is ahead.
        assert!(
            told(Some(NOW - DAY), Some(NOW - DAY / 2), false)
                .ends_with("proven at 2027-01-15T08:00:00Z\n")
        );
        assert!(
            told(Some(later), Some(later), false).ends_with("proven at 2027-01-15T08:00:00Z\n")
        );
        // One that obtains certificates is given nothing that it could be seen to use.
        assert!(told(Some(NOW), Some(NOW), true).ends_with("obtains certificates\n"));
    }

    #[test]
    fn what_is_next_is_told_in_its_order() {
        let next = next(&status(), NOW);
        assert_eq!(
            next[0],
            "late.example is ordered again at 2027-01-15T08:09:00Z (in 9 min 0 s)"
        );
        assert_eq!(
            next[1],
            "everything is looked at again at 2027-01-15T09:00:00Z (in 1 h 0 min)"
        );
        assert!(
            next[2].starts_with("shop.example is renewed at 2027-03-"),
            "{}",
            next[2]
        );
    }

    #[test]
    fn nothing_is_lost_on_a_narrow_terminal_or_in_a_pipe() {
        let whole = shown(&status(), NOW, Paint::default(), None);
        assert!(
            whole
                .contains("shop.example  valid    2027-04-15T08:00:00Z  Test CA  0123456789abcdef"),
            "{whole}"
        );
        let words: BTreeSet<_> = whole.split_whitespace().map(str::to_lowercase).collect();
        for width in [80, 60, 40] {
            let text = shown(&status(), NOW, Paint::default(), Some(width));
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{width}: {text}"
            );
            let narrow: BTreeSet<_> = text
                .split_whitespace()
                .map(|word| word.trim_end_matches(':').to_lowercase())
                .collect();
            let lost: Vec<_> = words
                .iter()
                .filter(|word| !narrow.contains(word.trim_end_matches(':')))
                .collect();
            assert!(lost.is_empty(), "{width}: {lost:?} in {text}");
        }
    }
}
