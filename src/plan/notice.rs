use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{
    PlanRules,
    helper::helper_of,
    in_force::InForce,
    renewal,
    selection::{is_covered, reader_in_need, served},
};
use crate::{
    desire::{Desired, Wanted},
    observe::{Attempt, HeldCertificate, Observed, RenewalRecord, Shelf, Source, Subject},
    values::{CertificateName, ContainerName, Timestamp},
};

/// A notice for the user about a certificate that a label makes use of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Notice {
    /// The certificate.
    pub certificate: CertificateName,
    /// The folder it lies in: `provided` or `live`.
    pub folder: String,
    /// The subject of the notice.
    pub about: About,
}

/// The subject of a notice about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// One of the user's own runs out soon, and nobody but the user renews it.
    EndsSoon(Timestamp),
    /// One of the user's own has run out.
    Ended(Timestamp),
    /// One that quaymaster renews serves, runs out soon, and has no successor although it is due.
    NoSuccessor(Timestamp),
    /// One that quaymaster renews has run out, and is served for want of another.
    EndedWithoutSuccessor(Timestamp),
    /// It is not valid yet.
    BeginsLater(Timestamp),
    /// It does not cover what labels want under its name: these names.
    LacksNames(BTreeSet<String>),
    /// The certificate of its issuer is not there: this one.
    LacksIssuer(String),
    /// Its chain leads to no root that clients know, though its CA is one that they trust.
    Rootless(String),
    /// This consumer needs a `fullchain.pem` and a `privkey.pem`.
    InParts(ContainerName),
    /// A consumer can't read it as it is written.
    Irregular {
        /// Which.
        consumer: ContainerName,
        /// The irregular text.
        problem: String,
    },
}

impl Notice {
    /// True if a certificate serves that has expired or is about to: a client will see it.
    pub fn is_of_end(&self) -> bool {
        match self.about {
            About::EndsSoon(_)
            | About::Ended(_)
            | About::NoSuccessor(_)
            | About::EndedWithoutSuccessor(_) => true,
            About::BeginsLater(_)
            | About::LacksNames(_)
            | About::InParts(_)
            | About::LacksIssuer(_)
            | About::Rootless(_)
            | About::Irregular { .. } => false,
        }
    }

    /// True if the notice announced an end that has come by now, as these notices say.
    pub fn has_come_true(&self, now: &BTreeSet<Self>) -> bool {
        let about = match self.about {
            About::EndsSoon(end) => About::Ended(end),
            About::NoSuccessor(end) => About::EndedWithoutSuccessor(end),
            _ => return false,
        };
        now.contains(&Self {
            about,
            ..self.clone()
        })
    }
}

/// The notices at `now`: none about a certificate that no label has a use for.
pub(super) fn notices(
    desired: &Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> BTreeSet<Notice> {
    let mut notices = of_provided(desired, observed, rules, now);
    notices.extend(of_ours(desired, observed, rules, now));
    notices
}

fn of_provided(
    desired: &Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> BTreeSet<Notice> {
    let placed = observed
        .held
        .iter()
        .filter(|(_, held)| held.source == Source::Provided);
    let mut notices = BTreeSet::new();
    for (name, held) in observed.provided.iter().chain(placed) {
        let notice = |about| Notice {
            certificate: name.clone(),
            folder: held.shelf.folder().to_owned(),
            about,
        };
        let is_of_use = || {
            desired
                .certificates
                .values()
                .any(|wanted| is_covered(&wanted.names, held))
        };
        if desired.certificates.contains_key(name) || is_of_use() {
            notices.extend(
                about(name, held, desired, rules, now)
                    .into_iter()
                    .map(notice),
            );
        }
    }
    notices
}

/// Notices about those that quaymaster renews and that serve: another one that serves in place of one is its successor.
fn of_ours(
    desired: &Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> Vec<Notice> {
    let (mut late, mut notices) = (Vec::new(), Vec::new());
    let giving_way = observed.provided.iter().filter(|(_, held)| held.gives_way);
    for (name, held) in observed.held.iter().chain(giving_way) {
        if held.is_rootless && desired.certificates.contains_key(name) {
            notices.push(Notice {
                certificate: name.clone(),
                folder: held.shelf.folder().to_owned(),
                about: About::Rootless(held.issuer.clone()),
            });
        }
        if held.is_renewed()
            && renewal::warned_from(held, rules.warn_before) <= now
            && !is_just_begun(name, observed)
            && is_overdue((name, held), observed.renewal(name), desired, now)
        {
            late.push((name, held));
        }
    }
    // Which one serves is looked up for all sites: nearly always there is no need to.
    if late.is_empty() {
        return notices;
    }
    let in_force = InForce::of(desired, observed, now);
    let serving = served(desired, &in_force, now).in_use;
    for (name, held) in late {
        let is_in_force = in_force
            .certificates
            .get(name)
            .is_some_and(|chosen| chosen.digest == held.digest);
        if is_in_force && serving.contains(name) {
            notices.push(Notice {
                certificate: name.clone(),
                folder: held.shelf.folder().to_owned(),
                about: match held.not_after <= now {
                    true => About::EndedWithoutSuccessor(held.not_after),
                    false => About::NoSuccessor(held.not_after),
                },
            });
        }
    }
    notices
}

/// True if the time of a renewal has come: with a long `warn-before`, a certificate that is as it should be is no news.
fn is_overdue(
    (name, held): (&CertificateName, &HeldCertificate),
    record: Option<&RenewalRecord>,
    desired: &Desired,
    now: Timestamp,
) -> bool {
    let wanted = desired.certificates.get(name);
    let kept_until =
        wanted.and_then(|wanted| renewal::kept_until(held, &wanted.issuance.issuer, now));
    let by_helper = wanted.is_some_and(|wanted| is_helpers(wanted, held));
    let due = || renewal::due_by(held, by_helper, record).at;
    kept_until.unwrap_or_else(due) <= now
}

/// True if a helper renews it, and put it there.
fn is_helpers(wanted: &Wanted, held: &HeldCertificate) -> bool {
    let is_placed = held.source == Source::Provided && held.shelf == Shelf::Live;
    is_placed && helper_of(wanted, Some(held)).is_some()
}

/// True if its first order runs, which nearly always ends well.
fn is_just_begun(name: &CertificateName, observed: &Observed) -> bool {
    let subject = Subject::Certificate(name.clone());
    let has_failed = || {
        let before = observed.attempts.get(&subject);
        before.is_some_and(Attempt::is_failure)
    };
    observed.under_way.contains(&subject) && !has_failed()
}

fn about(
    name: &CertificateName,
    held: &HeldCertificate,
    desired: &Desired,
    rules: &PlanRules,
    now: Timestamp,
) -> Vec<About> {
    let is_late = renewal::warned_from(held, rules.warn_before) <= now;
    let wanted = desired.certificates.get(name);
    let time = match (held.is_valid_at(now), held.not_after <= now) {
        // Whether another has taken its place is looked up with those that quaymaster renews.
        (true, _) | (false, true) if held.gives_way => None,
        (false, true) => Some(About::Ended(held.not_after)),
        (false, false) => Some(About::BeginsLater(held.not_before)),
        (true, _) if wanted.is_some_and(|wanted| is_helpers(wanted, held)) => {
            let is_late = is_late && is_overdue((name, held), None, desired, now);
            is_late.then_some(About::NoSuccessor(held.not_after))
        }
        (true, _) => is_late.then_some(About::EndsSoon(held.not_after)),
    };
    let wanted = wanted.into_iter().flat_map(|wanted| &wanted.names);
    let lacking: BTreeSet<_> = wanted
        .filter(|name| !held.covers(name))
        .map(ToString::to_string)
        .collect();
    let lacks = (!lacking.is_empty()).then_some(About::LacksNames(lacking));
    let unread = reader_in_need(held, desired).map(|consumer| unread(held, consumer.clone()));
    let alone = held
        .lacks_issuer
        .then(|| About::LacksIssuer(held.issuer.clone()));
    let others = lacks.into_iter().chain(alone).chain(unread);
    time.into_iter().chain(others).collect()
}

fn unread(held: &HeldCertificate, consumer: ContainerName) -> About {
    match &held.irregular {
        Some(problem) if held.shelf != Shelf::ProvidedInParts => About::Irregular {
            consumer,
            problem: problem.clone(),
        },
        _ => About::InParts(consumer),
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            certificate,
            folder,
            about,
        } = self;
        let whose = match about {
            About::NoSuccessor(_) | About::EndedWithoutSuccessor(_) | About::Rootless(_) => "the",
            _ => "your",
        };
        write!(f, "{whose} certificate {folder}/{certificate} ")?;
        about.words(certificate, f)
    }
}

/// The remedy for a certificate in parts.
const WRITE_BOTH: &str = "write the certificate and its chain into the one, as with `cat cert.pem chain.pem > \
                          fullchain.pem`, and the key into the other";

/// The remedy for a file that OpenSSL does not read.
const WRITE_ANEW: &str = "Convert it with `openssl x509` or `openssl pkey`, each marker on a line of its own, without \
                          blank lines between or a password; until then quaymaster's own is served";

impl About {
    /// Writes the fact and the remedy.
    fn words(&self, certificate: &CertificateName, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndsSoon(end) => {
                write!(
                    f,
                    "expires at {end} and is not renewed by quaymaster; put a newer one there"
                )
            }
            Self::Ended(end) => write!(
                f,
                "expired at {end}. Put a newer one there or remove it: a valid one is served in its place, and obtained if there \
                 is none; the expired one is served only as long as that fails"
            ),
            Self::NoSuccessor(end) => write!(
                f,
                "expires at {end}, and quaymaster could not renew it so far; `quaymaster explain {certificate}` says why"
            ),
            Self::EndedWithoutSuccessor(end) => write!(
                f,
                "expired at {end} and is still served, since there is no other; `quaymaster explain {certificate}` \
                 says why it could not be renewed"
            ),
            Self::BeginsLater(begin) => {
                write!(f, "is not valid before {begin}; is the clock right?")
            }
            Self::LacksNames(names) => {
                let names = names
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                write!(
                    f,
                    "is not for {names}; replace it by one that is, or remove it"
                )
            }
            Self::LacksIssuer(issuer) => write!(
                f,
                "comes without the certificate of its issuer, {issuer}: clients refuse it unless they know that issuer \
                 already; append the chain to the certificate"
            ),
            Self::Rootless(issuer) => write!(
                f,
                "came from its CA with a chain that leads to no root certificate that browsers know (its issuer is \
                 {issuer}): some clients refuse it. `quaymaster renew {certificate} --force` orders another one; if \
                 that has the same chain, report it to the CA"
            ),
            Self::InParts(consumer) => write!(
                f,
                "has no fullchain.pem and privkey.pem, which {consumer} reads there; {WRITE_BOTH}"
            ),
            Self::Irregular { consumer, problem } => write!(
                f,
                "can't be read by {consumer}, which reads it as it lies there: {problem}. {WRITE_ANEW}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, time::Duration};

    use super::{super::tests::*, *};
    use crate::{
        desire::{
            desire,
            tests::{container, proxy, rules as label_rules, snapshot, usual_issuance},
        },
        fixtures::held,
        observe::{BearerState, Holder},
        values::{Digest, Host, Issuer, Retry},
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn name(word: &str) -> CertificateName {
        CertificateName::parse(word).expect("a name")
    }

    /// A certificate of 90 days that begins now.
    fn lasting(names: &[&str], source: Source) -> HeldCertificate {
        HeldCertificate {
            not_before: START,
            not_after: START + DAY * 90,
            digest: Digest::of(format!("{names:?} {source:?}")),
            source,
            ..held(names)
        }
    }

    fn of_ca(names: &[&str]) -> HeldCertificate {
        lasting(names, Source::from(&usual_issuance().issuer))
    }

    /// A site that wants a certificate, and these certificates in `live/`.
    fn world<const N: usize>(certificates: [(&str, HeldCertificate); N]) -> (Desired, Observed) {
        let desired = desired([proxy(), shop()]);
        let mut observed = fresh(&desired);
        for (word, held) in certificates {
            observed.hold(name(word), held);
        }
        (desired, observed)
    }

    /// The notice after so many days.
    fn after(
        days: u32,
        (desired, observed): &(Desired, Observed),
        rules: &PlanRules,
    ) -> Vec<About> {
        let notices = notices(desired, observed, rules, START + DAY * days);
        notices.into_iter().map(|notice| notice.about).collect()
    }

    #[test]
    fn a_certificate_that_serves_and_was_not_renewed_is_told_before_its_end_and_after_it() {
        let end = START + DAY * 90;
        for source in [
            Source::from(&usual_issuance().issuer),
            Source::from(&Issuer::SelfSigned),
        ] {
            let held = lasting(&["shop.example"], source);
            let world = world([("shop.example", held)]);
            // It is due after 60 days, and a sixth of its life is more than 14 days.
            for (days, told) in [
                (1, vec![]),
                (75, vec![]),
                (76, vec![About::NoSuccessor(end)]),
                (89, vec![About::NoSuccessor(end)]),
                (90, vec![About::EndedWithoutSuccessor(end)]),
                (200, vec![About::EndedWithoutSuccessor(end)]),
            ] {
                assert_eq!(after(days, &world, &rules()), told, "{days} days");
            }
        }
        let theirs = lasting(&["shop.example"], Source::Provided);
        let world = world([("shop.example", theirs)]);
        assert_eq!(after(75, &world, &rules()), []);
        assert_eq!(after(76, &world, &rules()), [About::EndsSoon(end)]);
        assert_eq!(after(90, &world, &rules()), [About::Ended(end)]);
    }

    #[test]
    fn an_end_that_has_come_is_not_told_as_if_all_was_well_again() {
        for source in [Source::from(&usual_issuance().issuer), Source::Provided] {
            let held = lasting(&["shop.example"], source);
            let (desired, mut observed) = world([("shop.example", held.clone())]);
            let soon = notices(&desired, &observed, &rules(), START + DAY * 80);
            let soon = soon.first().expect("it ends soon");
            let ended = notices(&desired, &observed, &rules(), START + DAY * 90);
            assert!(soon.has_come_true(&ended), "{ended:?}");
            let renewed = HeldCertificate {
                not_after: START + DAY * 500,
                ..held
            };
            observed.hold(name("shop.example"), renewed);
            let well = notices(&desired, &observed, &rules(), START + DAY * 90);
            assert!(!soon.has_come_true(&well), "{well:?}");
        }
    }

    #[test]
    fn a_chain_that_leads_to_no_known_root_is_told_as_long_as_it_is_held() {
        let rootless = HeldCertificate {
            is_rootless: true,
            ..of_ca(&["shop.example"])
        };
        let (desired, mut observed) = world([("shop.example", rootless.clone())]);
        observed.hold(name("nobody.example"), rootless);
        let told = notices(&desired, &observed, &rules(), START);
        let told: Vec<_> = told.iter().map(Notice::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        let begin =
            "the certificate live/shop.example came from its CA with a chain that leads to no root";
        assert!(told[0].starts_with(begin), "{told:?}");
        observed.hold(name("shop.example"), of_ca(&["shop.example"]));
        assert_eq!(notices(&desired, &observed, &rules(), START), [].into());
    }

    #[test]
    fn a_sixth_of_a_short_life_is_the_warning_for_it() {
        let held = HeldCertificate {
            not_after: START + DAY * 6,
            ..of_ca(&["shop.example"])
        };
        let world = world([("shop.example", held)]);
        assert_eq!(after(4, &world, &rules()), []);
        assert_eq!(
            after(5, &world, &rules()),
            [About::NoSuccessor(START + DAY * 6)]
        );
    }

    #[test]
    fn a_long_warning_tells_of_what_quaymaster_renews_only_once_that_is_due() {
        let rules = PlanRules {
            warn_before: Some(DAY * 60),
            ..rules()
        };
        let end = START + DAY * 90;
        let ours = world([("shop.example", of_ca(&["shop.example"]))]);
        assert_eq!(after(40, &ours, &rules), []);
        assert_eq!(after(61, &ours, &rules), [About::NoSuccessor(end)]);
        let theirs = lasting(&["shop.example"], Source::Provided);
        let theirs = world([("shop.example", theirs)]);
        assert_eq!(after(29, &theirs, &rules), []);
        assert_eq!(after(30, &theirs, &rules), [About::EndsSoon(end)]);
    }

    #[test]
    fn nothing_is_told_of_one_that_does_not_serve_or_has_a_successor() {
        let unused = world([("other.example", of_ca(&["other.example"]))]);
        assert_eq!(after(89, &unused, &rules()), []);
        let younger = HeldCertificate {
            not_after: START + DAY * 180,
            ..of_ca(&["shop.example"])
        };
        let (desired, mut observed) = world([("shop.example", of_ca(&["shop.example"]))]);
        let theirs = HeldCertificate {
            source: Source::Provided,
            shelf: Shelf::Provided,
            ..younger
        };
        Rc::make_mut(&mut observed.provided).insert(name("corp"), theirs.into());
        assert_eq!(after(89, &(desired, observed), &rules()), []);
    }

    #[test]
    fn a_site_that_is_kept_for_a_container_that_is_away_is_told_too() {
        let mut away = container("shop", 4).label("host", "shop.example");
        away.state = BearerState::Other("exited".to_owned());
        let mut snapshot = snapshot([proxy(), away]);
        let held_by = (
            Host::parse("shop.example").expect("a host"),
            Holder::of(&None),
        );
        snapshot.holders = [held_by].into();
        let desired = desire(&snapshot, &label_rules());
        assert!(desired.certificates.is_empty());
        let mut observed = fresh(&desired);
        observed.hold(name("shop.example"), of_ca(&["shop.example"]));
        let told = after(80, &(desired, observed), &rules());
        assert_eq!(told, [About::NoSuccessor(START + DAY * 90)]);
    }

    #[test]
    fn a_first_try_to_renew_is_no_news_and_one_that_has_failed_before_is() {
        let rules = PlanRules {
            warn_before: Some(DAY * 60),
            ..rules()
        };
        let (desired, mut observed) = world([("shop.example", of_ca(&["shop.example"]))]);
        let subject = Subject::Certificate(name("shop.example"));
        observed.under_way.insert(subject.clone());
        assert_eq!(after(61, &(desired.clone(), observed.clone()), &rules), []);
        let failed = Attempt {
            retry: Retry::Backoff,
            ..Attempt::lost(START, "no".to_owned())
        };
        observed.attempts.insert(subject, failed);
        assert_eq!(after(61, &(desired, observed), &rules).len(), 1);
    }
}
