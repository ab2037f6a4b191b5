//! The reading of CAs' renewal information: the requests, the known answers, and the file that outlives the process.
//! Nothing waits for the answers: the requests run beside everything else, and a failure changes only the time of the
//! next request.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use tokio::task::JoinError;

use super::{LONGEST_REST, Loop, facts::Facts, faults::Concern};
use crate::{
    desire::Desired,
    observe::{FollowedSuggestion, Observed, RenewalInfo, RenewalRecord, Subject},
    plan::{self, Action, Why},
    ports::{Ports, RenewalAnswer, RenewalSaid},
    report::{Event, report},
    values::{CertificateId, CertificateName, Timestamp},
};

/// A CA is asked about so many one after the other, before what it said is written down.
const AT_ONCE: usize = 30;

/// The most by which our clock may be set back, while a CA's answer still counts: no pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The known renewal information, in addition to the facts.
#[derive(Debug, Default)]
pub(super) struct RenewalReads {
    /// CAs that are being asked.
    asking: Vec<String>,
    /// When it is looked for what is to be asked.
    next_look: Option<Timestamp>,
}

/// A CA's answers about several certificates.
#[derive(Debug)]
pub(super) struct RenewalReport {
    ca: String,
    answers: Vec<(CertificateName, CertificateId, RenewalAnswer)>,
}

/// The certificates of one CA that it is to be asked about.
type Questions = Vec<(CertificateName, CertificateId)>;

/// Those that are wanted and held, and whose time has come, by their CAs. Those that were never read come first.
fn questions(
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> (BTreeMap<String, Questions>, Option<Timestamp>) {
    let mut due = BTreeMap::<String, Vec<_>>::new();
    let mut next = None;
    for (name, held) in &*observed.held {
        let wanted = desired.certificates.get(name);
        let Some((ca, id)) = held
            .suggested_by()
            .filter(|_| wanted.is_some_and(|wanted| held.source.is_any(&wanted.issuers)))
        else {
            continue;
        };
        let info = observed.renewal(name).and_then(|record| record.of(held));
        let again = info.filter(|info| info.next_read.since(now) <= LONGEST_PAUSE);
        let again = again.map(|info| info.next_read);
        match again {
            Some(again) if again > now => next = next.into_iter().chain([again]).min(),
            _ if held.not_after <= now => {}
            _ => {
                let question = (again, name.clone(), id.clone());
                due.entry(ca.to_owned()).or_default().push(question);
            }
        }
    }
    let of_ca = |(ca, mut questions): (String, Vec<_>)| {
        questions.sort_unstable();
        let questions = questions.into_iter().take(AT_ONCE);
        (ca, questions.map(|(_, name, id)| (name, id)).collect())
    };
    (due.into_iter().map(of_ca).collect(), next)
}

/// Asks a CA about each. Where it can't be asked now, that goes for all of them.
async fn ask(ports: Ports, ca: String, questions: Questions) -> RenewalReport {
    let mut answers = Vec::new();
    // One that can't be set up is told by the order that needs it.
    let unable = |_| RenewalAnswer {
        said: RenewalSaid::Unavailable("it can't be set up".to_owned()),
        retry_after: None,
    };
    let authority = ports.issuing.authorities.at(&ca).map_err(unable);
    let mut failed = authority.as_ref().err().cloned();
    for (name, id) in questions {
        let answer = match (&failed, &authority) {
            (None, Ok(authority)) => authority.renewal_info(&id).await,
            (Some(failed), _) | (None, Err(failed)) => failed.clone(),
        };
        if matches!(answer.said, RenewalSaid::Unavailable(_)) {
            failed = Some(answer.clone());
        }
        answers.push((name, id, answer));
    }
    RenewalReport { ca, answers }
}

impl Loop {
    /// Begins to ask CAs, where the time has come.
    pub(super) fn ask_about_renewals(&mut self) {
        let now = self.daemon.ports.clock.now();
        let reads = &mut self.renewal_reads;
        let rests = |next: &Timestamp| now < *next && next.since(now) <= LONGEST_REST;
        let Some(desired) = self.desired.as_deref().filter(|_| self.facts.certified) else {
            return;
        };
        if reads.next_look.as_ref().is_some_and(rests) {
            return;
        }
        let (questions, next) = questions(desired, &self.facts.observed, now);
        for (ca, questions) in questions {
            if reads.asking.contains(&ca) {
                continue;
            }
            reads.asking.push(ca.clone());
            let ports = self.daemon.ports.clone();
            self.readings.spawn_local(ask(ports, ca, questions));
        }
        let latest = now + LONGEST_REST;
        reads.next_look = Some(next.map_or(latest, |next| next.min(latest)));
    }

    /// Takes over what a CA has said.
    pub(super) fn take_renewals(&mut self, done: Result<RenewalReport, JoinError>) {
        let RenewalReport { ca, answers } = match done {
            Ok(report) => report,
            // As with any other work: a panic is ours.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let reads = &mut self.renewal_reads;
        reads.asking.retain(|asked| *asked != ca);
        // There may be more to ask.
        reads.next_look = None;
        let now = self.daemon.ports.clock.now();
        for (name, id, answer) in answers {
            self.facts.take_renewal(&name, &id, answer, now);
        }
        self.facts.forget_renewals();
        self.facts.keep_renewals(&self.daemon.ports);
        self.rests_until = None;
    }

    /// Writes down that an order is made since a CA suggests it, before it is.
    pub(super) fn note_suggested(&mut self, action: &Action) {
        if let Action::Obtain(obtain) = action
            && obtain.why == Why::CaSuggests
        {
            let now = self.daemon.ports.clock.now();
            self.facts.follow_suggestion(&obtain.certificate, now);
            self.facts.keep_renewals(&self.daemon.ports);
        }
    }
}

impl Facts {
    /// Takes over what a CA said about a certificate that is still there. What can't be understood, and what makes no sense,
    /// changes nothing but when it is asked again.
    fn take_renewal(
        &mut self,
        name: &CertificateName,
        id: &CertificateId,
        answer: RenewalAnswer,
        now: Timestamp,
    ) {
        let held = self.observed.held.get(name);
        let Some(held) = held.filter(|held| held.renewal_id.as_ref() == Some(id)) else {
            return;
        };
        let held = Rc::clone(held);
        let record = self.observed.renewal(name);
        let before = record.and_then(|record| record.of(&held)).cloned();
        let suggestion = match answer.said {
            RenewalSaid::Window(window) => {
                let drawn = plan::suggestion(&held, &window);
                if drawn.is_none() {
                    let problem = format!("{} to {} is not a period", window.start, window.end);
                    tell_unread(name, problem);
                }
                drawn
            }
            RenewalSaid::NotOffered => None,
            RenewalSaid::Nothing(problem) | RenewalSaid::Unavailable(problem) => {
                tell_unread(name, problem);
                None
            }
        };
        let known = before.and_then(|info| info.suggestion);
        if let Some(new) = suggestion
            .as_ref()
            .filter(|new| known.as_ref() != Some(new))
        {
            report(&Event::RenewalSuggested {
                certificate: name.clone(),
                at: new.at,
                explanation: new.window.explanation.clone(),
            });
        }
        let info = RenewalInfo {
            id: id.clone(),
            suggestion: suggestion.or(known),
            read: now,
            next_read: plan::next_renewal_read(now, answer.retry_after),
        };
        let followed = record.and_then(|record| record.followed.clone());
        let record = RenewalRecord {
            info: Some(info),
            followed,
        };
        self.observed.renewals.insert(name.clone(), record);
    }

    /// Remembers that the successor of the one that is held is ordered since its CA suggests it.
    fn follow_suggestion(&mut self, name: &CertificateName, now: Timestamp) {
        let held = self.observed.held.get(name);
        let Some(id) = held.and_then(|held| held.renewal_id.clone()) else {
            return;
        };
        let mut record = self.observed.renewal(name).cloned().unwrap_or_default();
        let followed = record.followed.as_ref();
        if followed.is_none_or(|before| before.id != id) {
            record.followed = Some(FollowedSuggestion { id, at: now });
            self.observed.renewals.insert(name.clone(), record);
        }
    }

    /// Forgets what is known under names that are not live any more, and not obtained.
    fn forget_renewals(&mut self) {
        let Observed {
            held,
            under_way,
            renewals,
            ..
        } = &mut self.observed;
        let is_kept = |name: &CertificateName| {
            held.contains_key(name) || under_way.contains(&Subject::Certificate(name.clone()))
        };
        renewals.retain(|name, _| is_kept(name));
    }

    /// Writes down what is known, when that has changed.
    pub(super) fn keep_renewals(&mut self, ports: &Ports) {
        if self.observed.renewals.is_copy_of(&self.renewals_kept) {
            return;
        }
        let kept = ports.records.keep_renewals(&self.observed.renewals);
        if kept.is_ok() {
            self.renewals_kept = self.observed.renewals.clone();
        }
        self.faults.settle(Concern::Renewals, kept);
    }
}

fn tell_unread(name: &CertificateName, problem: String) {
    report(&Event::RenewalUnread {
        certificate: name.clone(),
        problem,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::disk::Folders,
        daemon::tests::daemon_in,
        desire::{
            Dialects, LabelRules, desire,
            tests::{container, proxy, rules, snapshot},
        },
        fixtures::held,
        observe::{HeldCertificate, Source, SuggestedWindow},
        values::{Digest, Issuer},
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const BEGIN: Timestamp = Timestamp::from_seconds(1_795_000_000);
    const CA: &str = "https://ca.example/directory";

    fn name() -> CertificateName {
        CertificateName::parse("shop.example").expect("a name")
    }

    /// Issued then, dated back by an hour.
    fn issued(number: u32, now: Timestamp) -> HeldCertificate {
        let not_before = now - Duration::from_secs(60 * 60);
        HeldCertificate {
            not_before,
            not_after: not_before + DAY * 90,
            digest: Digest::of(number.to_string()),
            source: Source::Acme(CA.to_owned()),
            renewal_id: Some(CertificateId::of(b"the key", &number.to_be_bytes())),
            ..held(&["shop.example"])
        }
    }

    /// The wishes of a site whose certificate comes from this CA.
    fn wanted(issuer: Issuer) -> Desired {
        let rules = LabelRules {
            issuers: Some(issuer.into()),
            ..rules()
        };
        let shop = container("shop", 4).label("host", "shop.example");
        let desired = desire(&snapshot([shop, proxy()]), &rules);
        assert!(desired.certificates.contains_key(&name()));
        desired
    }

    fn facts(state: &std::path::Path) -> (Ports, Facts) {
        let folders = Folders::new(state.join("certificates"), state.to_owned(), |_| ());
        let ports = daemon_in(Rc::default(), folders).ports;
        let facts = Facts::read(&ports, &Dialects::native("quaymaster"));
        (ports, facts)
    }

    fn answer(said: RenewalSaid) -> RenewalAnswer {
        RenewalAnswer {
            said,
            retry_after: None,
        }
    }

    fn window(start: Timestamp, end: Timestamp) -> RenewalAnswer {
        answer(RenewalSaid::Window(SuggestedWindow {
            start,
            end,
            explanation: None,
        }))
    }

    fn id(facts: &Facts) -> CertificateId {
        let held = &facts.observed.held[&name()];
        held.renewal_id.clone().expect("it has one")
    }

    fn due(facts: &Facts) -> plan::DueRenewal {
        let observed = &facts.observed;
        plan::due_renewal(&observed.held[&name()], observed.renewal(&name()))
    }

    #[test]
    fn a_ca_that_wants_each_certificate_renewed_at_once_gets_one_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ports, mut facts) = facts(folder.path());
        let hour = Duration::from_secs(60 * 60);
        let (mut now, mut orders) = (BEGIN, 0);
        facts.hold(name(), issued(0, now));
        // Its window is always the same, and was open before any of them, or goes along with the time.
        for moves in [false, true] {
            for _ in 0..5 {
                now = now + hour * 6;
                let start = if moves { now - hour } else { BEGIN - hour };
                let id = id(&facts);
                facts.take_renewal(&name(), &id, window(start, start + hour / 2), now);
                let due = due(&facts);
                if due.at <= now {
                    assert_eq!(due.why, Why::CaSuggests);
                    facts.follow_suggestion(&name(), now);
                    orders += 1;
                    facts.hold(name(), issued(orders, now));
                }
                facts.keep_renewals(&ports);
                // As after a restart.
                let kept = ports.records.renewals().expect("it is read");
                assert_eq!(kept, facts.observed.renewals);
                facts.observed.renewals = kept;
            }
            assert_eq!(orders, 1);
        }
        // Nor does it get many in a year.
        while now < BEGIN + DAY * 365 {
            now = now + hour * 6;
            let id = id(&facts);
            facts.take_renewal(&name(), &id, window(now - hour, now), now);
            if due(&facts).at <= now {
                facts.follow_suggestion(&name(), now);
                orders += 1;
                facts.hold(name(), issued(orders, now));
            }
        }
        assert!((20..=26).contains(&orders), "one in 15 days: {orders}");
    }

    #[test]
    fn what_fails_or_makes_no_sense_changes_nothing_but_when_it_is_asked_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, mut facts) = facts(folder.path());
        facts.hold(name(), issued(0, BEGIN));
        let certificate = id(&facts);
        let usual = due(&facts);
        let failing = [
            answer(RenewalSaid::NotOffered),
            answer(RenewalSaid::Nothing("status 404".to_owned())),
            answer(RenewalSaid::Unavailable("no connection".to_owned())),
            window(BEGIN + DAY * 20, BEGIN + DAY * 10),
            window(BEGIN + DAY * 900, BEGIN + DAY * 901),
        ];
        let mut now = BEGIN;
        let mut expected = usual;
        for is_known in [false, true] {
            if is_known {
                let said = window(BEGIN + DAY * 10, BEGIN + DAY * 11);
                facts.take_renewal(&name(), &certificate, said, now);
                expected = due(&facts);
                assert_eq!(expected.why, Why::CaSuggests);
            }
            for failing in failing.clone() {
                now = now + DAY / 4;
                facts.take_renewal(&name(), &certificate, failing.clone(), now);
                assert_eq!(due(&facts), expected, "{failing:?}");
                let info = facts.observed.renewals[&name()].info.clone();
                assert_eq!(info.expect("it was read").next_read, now + DAY / 4);
            }
        }
        // What comes when another certificate is there already says nothing of that one.
        facts.hold(name(), issued(1, BEGIN));
        let said = window(BEGIN - DAY / 24, BEGIN);
        facts.take_renewal(&name(), &certificate, said, now);
        assert_eq!(due(&facts).why, Why::RenewalDue);
    }

    #[test]
    fn a_ca_is_asked_about_what_is_wanted_and_held_from_it_and_again_when_it_is_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, mut facts) = facts(folder.path());
        let asked = |facts: &Facts, issuer: &Issuer, now| {
            let (due, _) = questions(&wanted(issuer.clone()), &facts.observed, now);
            due.values().map(Vec::len).sum::<usize>()
        };
        let (now, ca) = (BEGIN + DAY, Issuer::Ca(CA.to_owned()));
        assert_eq!(asked(&facts, &ca, now), 0, "none is held");
        facts.hold(name(), issued(0, BEGIN));
        assert_eq!(asked(&facts, &ca, now), 1);
        assert_eq!(
            asked(&facts, &Issuer::SelfSigned, now),
            0,
            "another is asked for"
        );
        let id = id(&facts);
        facts.take_renewal(&name(), &id, answer(RenewalSaid::NotOffered), now);
        assert_eq!(asked(&facts, &ca, now + DAY / 5), 0);
        assert_eq!(asked(&facts, &ca, now + DAY / 4), 1);
        assert_eq!(
            asked(&facts, &ca, now - DAY * 2),
            1,
            "by a clock that was set back"
        );
        facts.hold(name(), issued(1, BEGIN));
        assert_eq!(asked(&facts, &ca, now), 1, "a new one");
        let nameless = HeldCertificate {
            renewal_id: None,
            ..issued(2, BEGIN)
        };
        facts.hold(name(), nameless);
        assert_eq!(asked(&facts, &ca, now), 0, "without an id");
    }

    #[tokio::test]
    async fn a_ca_that_is_asked_in_vain_is_asked_again_later_and_nobody_waits_for_it() {
        // Nobody listens there.
        const NOWHERE: &str = "https://127.0.0.1:1/directory";
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().to_owned();
        let folders = Folders::new(state.join("certificates"), state, |_| ());
        let mut turning = Loop::new(daemon_in(Rc::default(), folders));
        let now = turning.daemon.ports.clock.now();
        let held = HeldCertificate {
            source: Source::Acme(NOWHERE.to_owned()),
            ..issued(0, now)
        };
        turning.facts.hold(name(), held);
        turning.desired = Some(Rc::new(wanted(Issuer::Ca(NOWHERE.to_owned()))));
        turning.ask_about_renewals();
        assert!(
            turning.readings.is_empty(),
            "nothing is known of certificates"
        );
        turning.facts.certified = true;
        let done = tokio::task::LocalSet::new();
        let done = done.run_until(async {
            turning.ask_about_renewals();
            turning.ask_about_renewals();
            assert_eq!(turning.readings.len(), 1, "once");
            let done = turning.readings.join_next().await;
            (done.expect("it was begun"), turning)
        });
        let (done, mut turning) = done.await;
        turning.take_renewals(done);
        let kept = turning.daemon.ports.records.renewals().expect("it is read");
        let info = kept[&name()].info.clone().expect("it was asked");
        assert_eq!(info.suggestion, None);
        assert!(info.next_read >= now + DAY / 4, "{info:?}");
        assert!(turning.facts.faults().is_empty());
        // What is damaged is told, and begun anew.
        let path = folder.path().join("renewals.json");
        for damaged in ["{", r#"{"shop.example": {"info": {"id": "../../x"}}}"#] {
            std::fs::write(&path, damaged).expect("it is damaged");
            turning.daemon.ports.records.renewals().expect_err("it is");
            let (_, facts) = facts(folder.path());
            assert!(facts.observed.renewals.is_empty());
        }
    }
}
