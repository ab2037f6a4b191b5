//! Self-signed certificates that serve as long as there is nothing better.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Action, Draft, PlanRules, Why, backoff,
    helper::helper_of,
    obtain::HeldCertificates,
    renewal,
    selection::{Choice, ChosenBy, Selection, can_use, is_covered},
};
use crate::{
    desire::{Consumer, Desired, Wanted},
    observe::{Attempt, HeldCertificate, Observed, Subject},
    values::{CertificateName, ContainerName, Digest, FallbackRule, Host, Issuer, KeyType},
};

/// Make a self-signed certificate that serves until there is a better one. No CA is asked, and nothing that is said of
/// orders counts for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The certificate's name.
    pub certificate: CertificateName,
    /// The names it must cover.
    pub names: BTreeSet<Host>,
    /// The kind of its key.
    pub key_type: KeyType,
    /// The reason.
    pub why: Why,
    /// The record of this try.
    pub attempt: Attempt,
}

/// The name of the certificate that stands in for a default that can't be used; no client asks for it.
///
/// <https://www.rfc-editor.org/rfc/rfc6761#section-6.4>
const STAND_IN: &str = "default.invalid";

/// See [`STAND_IN`].
pub(super) fn stand_in() -> CertificateName {
    CertificateName::parse(STAND_IN).expect("it is one of a folder")
}

/// The properties of a needed self-signed certificate.
struct Needed {
    names: BTreeSet<Host>,
    key_type: KeyType,
}

/// The facts from which needs are found out.
struct World<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    /// Those in `live/`, where it would lie.
    ours: &'a HeldCertificates,
    selection: &'a Selection<'a>,
    rules: &'a PlanRules,
}

/// Plans the self-signed certificates: all that are needed, at once.
pub(super) fn plan(
    desired: &Desired,
    (observed, ours): (&Observed, &HeldCertificates),
    selection: &Selection<'_>,
    rules: &PlanRules,
    draft: &mut Draft,
) {
    let world = World {
        desired,
        observed,
        ours,
        selection,
        rules,
    };
    let needed = world.needed();
    let needless = observed
        .attempts
        .keys()
        .filter_map(|subject| match subject {
            Subject::Fallback(name) if !needed.contains_key(name) => Some(name.clone()),
            Subject::Fallback(_) | Subject::Certificate(_) | Subject::Consumer(_) => None,
        });
    draft.plan.needless.extend(needless);
    for (name, needed) in needed {
        let Some(why) = why_now(&needed, ours.get(&name).map(Rc::as_ref), draft) else {
            continue;
        };
        let subject = Subject::Fallback(name.clone());
        if observed.under_way.contains(&subject) {
            continue;
        }
        let (before, asked) = (observed.attempts.get(&subject), needed.asked());
        let held_back = backoff::held_back(before, &subject, asked, draft.now);
        if let Some(time) = held_back.filter(|time| *time > draft.now) {
            draft.wake_at(time);
            continue;
        }
        let Needed { names, key_type } = needed;
        let fallback = Fallback {
            certificate: name,
            names,
            key_type,
            why,
            attempt: backoff::attempt(before, asked, draft.now),
        };
        let action = Action::FallBack(Box::new(fallback));
        draft.plan.actions.push(action);
    }
}

/// The reason to make one now, beside the one that is there.
fn why_now(needed: &Needed, held: Option<&HeldCertificate>, draft: &mut Draft) -> Option<Why> {
    let Some(held) = held else {
        return Some(Why::Missing);
    };
    let due = renewal::due(held);
    if !is_covered(&needed.names, held) {
        Some(Why::NamesChanged)
    } else if held.key_type != Some(needed.key_type) {
        Some(Why::KeyTypeChanged)
    } else if due <= draft.now {
        Some(Why::RenewalDue)
    } else {
        draft.wake_at(due);
        None
    }
}

impl Needed {
    /// A digest of the request: another digest makes the record of failures void.
    fn asked(&self) -> Digest {
        let key_type = self.key_type.to_string();
        Digest::of_parts(self.names.iter().map(ToString::to_string).chain([key_type]))
    }
}

impl World<'_> {
    /// All that have to be there, whether they are or not.
    fn needed(&self) -> BTreeMap<CertificateName, Needed> {
        let mut needed = BTreeMap::new();
        if self.rules.fallback == FallbackRule::Off {
            return needed;
        }
        let mut consumers = self.desired.consumers.values();
        let is_any_needy =
            self.rules.fallback == FallbackRule::On || consumers.any(|one| self.is_needy(one));
        // Of thousands of certificates, none has to be looked at where no server would have any use for it.
        let wanted = self.desired.certificates.iter();
        for (name, wanted) in wanted.filter(|_| is_any_needy) {
            if self.is_free(name) && self.is_in_need(name, wanted) {
                let one = Needed {
                    names: wanted.names.iter().cloned().collect(),
                    key_type: wanted.issuance.key_type,
                };
                needed.insert(name.clone(), one);
            }
        }
        needed.extend(self.needed_without_issuer());
        needed.extend(self.needed_stand_in());
        needed
    }

    /// True if a server needs something to serve at once.
    fn is_needy(&self, server: &Consumer) -> bool {
        match self.rules.fallback {
            FallbackRule::ByKind => server.kind.fallback,
            FallbackRule::On => true,
            FallbackRule::Off => false,
        }
    }

    /// True if no better certificate has that name and would be replaced. An expired certificate is better: its issuer
    /// is who it says.
    fn is_free(&self, name: &CertificateName) -> bool {
        self.ours.get(name).is_none_or(|held| held.is_fallback())
    }

    /// True if a server of the certificate would have nothing better to serve for one of its names. An archived
    /// certificate is restored without any order; one that is self-signed on purpose is made as quickly as this would
    /// be.
    fn is_in_need(&self, name: &CertificateName, wanted: &Wanted) -> bool {
        // In the place of a self-signed one a helper could not put its own.
        let is_of_helper = helper_of(wanted, self.ours.get(name).map(Rc::as_ref)).is_some();
        if wanted.issuance.issuer == Issuer::SelfSigned || is_of_helper {
            return false;
        }
        let is_needy = self.servers(wanted).any(|server| self.is_needy(server));
        (is_needy || self.is_for_no_container(wanted))
            && wanted
                .names
                .iter()
                .any(|host| !self.is_served(host, wanted))
            && !self.is_restored(name)
    }

    /// The servers that serve or use a certificate.
    fn servers<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a Rc<Consumer>> {
        let names = wanted.served_by.iter().chain(&wanted.used_by);
        names.filter_map(|name| self.desired.consumers.get(name))
    }

    /// True if each server of a certificate has something better to serve for one of its names.
    fn is_served(&self, host: &Host, wanted: &Wanted) -> bool {
        let (mut has_server, mut has_site) = (false, false);
        for server in self.servers(wanted) {
            has_server = true;
            if server.sites.contains_key(host) {
                has_site = true;
                if !self.selection.has_lasting(server, host) {
                    return false;
                }
            }
        }
        if has_site {
            return true;
        }
        if !has_server {
            return self.selection.is_covered_for_anybody(host);
        }
        self.servers(wanted)
            .all(|server| self.selection.is_covered(server, host))
    }

    /// True if an archived certificate of that name is restored without any order.
    fn is_restored(&self, name: &CertificateName) -> bool {
        let archived = self.observed.archived.get(name);
        archived.is_some_and(|one| one.certificate.is_valid_at(self.selection.now))
    }

    /// True if a server that is no container is to have a certificate at once, too.
    fn is_for_no_container(&self, wanted: &Wanted) -> bool {
        self.rules.fallback == FallbackRule::On
            && wanted.used_by.contains(&ContainerName::of_settings())
    }

    /// Those of names for which nobody is asked, or that nobody would issue a certificate for: a server that needs one to
    /// start needs it all the same.
    fn needed_without_issuer(&self) -> BTreeMap<CertificateName, Needed> {
        let mut needed = BTreeMap::<CertificateName, Needed>::new();
        let needy = self.desired.consumers.values();
        for server in needy.filter(|server| self.is_needy(server)) {
            let used = server
                .uses
                .iter()
                .map(|(host, used)| (host, &used.certificate));
            let sites = server.sites.iter();
            let shown = sites.filter_map(|(host, site)| Some((host, site.certificate.as_ref()?)));
            for (host, name) in used.chain(shown) {
                let is_wanted = self.desired.certificates.contains_key(name);
                if is_wanted || !self.is_free(name) || self.selection.is_covered(server, host) {
                    continue;
                }
                let of_name = needed.entry(name.clone()).or_insert_with(|| Needed {
                    names: BTreeSet::new(),
                    key_type: self.rules.key_type,
                });
                of_name.names.insert(host.clone());
            }
        }
        needed
    }

    /// The certificate that clients are shown in place of a default that can't be used. A certificate that is about to
    /// be obtained is waited for.
    fn needed_stand_in(&self) -> Option<(CertificateName, Needed)> {
        let Self {
            desired,
            observed,
            selection,
            ..
        } = self;
        let is_due = |consumer: &Consumer| {
            let defaults = &consumer.substitutes.defaults;
            let is_waited_for =
                |name| desired.certificates.contains_key(name) && !observed.held.contains_key(name);
            !defaults.is_empty()
                && !defaults
                    .iter()
                    .any(|default| is_waited_for(&default.certificate))
                && selection.of_unknown_lasting(consumer).is_none()
        };
        let name = stand_in();
        if !self.is_free(&name) || !desired.consumers.values().any(|one| is_due(one)) {
            return None;
        }
        let host = Host::parse(STAND_IN).expect("it is a name");
        let one = Needed {
            names: [host].into(),
            key_type: self.rules.key_type,
        };
        Some((name, one))
    }
}

impl<'a> Selection<'a> {
    /// True if more than a fallback serves a site of a consumer.
    fn has_lasting(&self, consumer: &Consumer, host: &Host) -> bool {
        let site = consumer.sites.get(host);
        let choice = site.and_then(|site| self.serving(consumer, host, site));
        choice.is_some_and(|choice| !choice.certificate.is_fallback())
    }

    /// True if a consumer could use more than a fallback for a host.
    fn is_covered(&self, consumer: &Consumer, host: &Host) -> bool {
        let mut covering = self.covering(host);
        covering.any(|(_, held)| !held.is_fallback() && can_use(consumer, held))
    }

    /// True if there is more than a fallback for a host, whoever reads it.
    fn is_covered_for_anybody(&self, host: &Host) -> bool {
        self.covering(host).any(|(_, held)| !held.is_fallback())
    }

    /// A self-signed certificate in place of a default one that can't be used.
    pub(super) fn stand_in(&self, consumer: &Consumer) -> Option<Choice<'a>> {
        let defaults = &consumer.substitutes.defaults;
        if defaults.is_empty() {
            return None;
        }
        let named = defaults.iter().map(|default| default.certificate.clone());
        let mut each = named.chain([stand_in()]).filter_map(|name| {
            let (name, held) = self.held.get_key_value(&name)?;
            let serves =
                held.is_fallback() && held.is_valid_at(self.now) && can_use(consumer, held);
            serves.then(|| Choice::new((name, held), ChosenBy::Fallback))
        });
        each.next()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::*, *};
    use crate::{
        desire::{
            KINDS, Kind, LabelRules, desire,
            tests::{broker, container, proxy, rules as label_rules, snapshot},
        },
        fixtures::{held, usual_issuance},
        observe::{ArchivedCertificate, Source},
        plan::{Planner, foresee, of_unknown},
        render::Templates,
        values::Timestamp,
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const HOST: &str = "shop.example";

    fn name(word: &str) -> CertificateName {
        CertificateName::parse(word).expect("a name")
    }

    fn planned_by(
        fallback: FallbackRule,
        desired: &Desired,
        observed: &Observed,
        now: Timestamp,
    ) -> crate::plan::Plan {
        let rules = PlanRules {
            fallback,
            ..rules()
        };
        let templates = Templates::built_in().expect("they are tested");
        Planner::default().plan(desired, observed, &templates, &rules, now)
    }

    /// The self-signed certificates that are made now.
    fn made(plan: &crate::plan::Plan) -> Vec<(&str, Why)> {
        let made = plan.actions.iter().filter_map(|action| match action {
            Action::FallBack(fallback) => Some((fallback.certificate.as_str(), fallback.why)),
            Action::Deploy(_) | Action::TakeBack(_) | Action::Obtain(_) => None,
        });
        made.collect()
    }

    fn made_on(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<(String, Why)> {
        let plan = planned_by(FallbackRule::On, desired, observed, now);
        let made = made(&plan).into_iter();
        made.map(|(name, why)| (name.to_owned(), why)).collect()
    }

    /// One of shop.example.
    fn of_shop(source: Source) -> HeldCertificate {
        HeldCertificate {
            not_before: START,
            not_after: START + DAY * 90,
            source,
            ..held(&[HOST])
        }
    }

    fn with(source: Source) -> (Desired, Observed) {
        let desired = desired([proxy(), shop()]);
        let mut observed = fresh(&desired);
        observed.hold(name(HOST), of_shop(source));
        (desired, observed)
    }

    #[test]
    fn a_name_has_a_self_signed_certificate_at_once_and_that_of_the_ca_in_the_same_files_by_one_reload()
     {
        let desired = desired([proxy(), shop().label("hsts", "1y")]);
        let mut observed = fresh(&desired);
        let (mut turns, mut texts, mut reloads) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..12 {
            let plan = planned_by(FallbackRule::On, &desired, &observed, START);
            let mut turn = Vec::new();
            for action in &plan.actions {
                match action {
                    Action::Obtain(obtain) => turn.push(format!("obtain: {}", obtain.why)),
                    Action::FallBack(fallback) => turn.push(format!("self-sign: {}", fallback.why)),
                    Action::Deploy(deploy) => {
                        reloads.extend(deploy.deliver.get(&name(HOST)).cloned());
                        let written = deploy.write.iter();
                        let site = written.filter(|(file, _)| file.as_str().contains(HOST));
                        texts.extend(site.map(|(_, text)| text.clone()));
                    }
                    Action::TakeBack(_) => panic!("nothing is taken back"),
                }
            }
            turns.push(turn.join(", "));
            observed = foresee(&observed, &plan, START);
        }
        turns.retain(|turn| !turn.is_empty());
        assert_eq!(turns, ["self-sign: missing", "obtain: missing"]);
        assert_eq!(reloads.len(), 2, "one of each, in the same place");
        let served = texts
            .iter()
            .filter(|text| text.contains("certificates/shop.example/"));
        let served: Vec<_> = served.collect();
        let (first, last) = (served[0], served[served.len() - 1]);
        assert!(
            first.contains("return 503") && !first.contains("return 301"),
            "{first}"
        );
        assert!(!first.contains("Strict-Transport-Security"), "{first}");
        assert!(last.contains("return 301"), "{last}");
        assert!(last.contains("Strict-Transport-Security"), "{last}");
    }

    #[test]
    fn only_servers_that_can_not_start_without_one_get_one_unless_the_setting_says_more_or_less() {
        let nginx = desired([proxy(), shop()]);
        let mut needy = nginx.clone();
        let kind: &'static Kind = Box::leak(Box::new(Kind {
            fallback: true,
            ..KINDS[0]
        }));
        for consumer in needy.consumers.values_mut() {
            Rc::make_mut(consumer).kind = kind;
        }
        let missing = [(HOST, Why::Missing)];
        for (rule, desired, expected) in [
            (FallbackRule::ByKind, &nginx, &[][..]),
            (FallbackRule::ByKind, &needy, &missing),
            (FallbackRule::On, &nginx, &missing),
            (FallbackRule::Off, &needy, &[]),
        ] {
            let plan = planned_by(rule, desired, &fresh(desired), START);
            assert_eq!(made(&plan), expected, "{rule}");
        }
    }

    /// The certificates made for a broker that uses these names, by labels and by kind alone.
    fn made_for_broker(names: &str, label: Option<(&str, &str)>) -> Vec<(String, Why)> {
        let mut broker = broker().label("use", names);
        if let Some((key, value)) = label {
            broker = broker.label(key, value);
        }
        let wanted = desired([proxy(), broker]);
        let plan = planned_by(FallbackRule::ByKind, &wanted, &fresh(&wanted), START);
        let made = made(&plan).into_iter();
        made.map(|(name, why)| (name.to_owned(), why)).collect()
    }

    #[test]
    fn a_server_that_needs_one_to_start_gets_it_for_names_that_nobody_is_asked_for() {
        let one = |name: &str| [(name.to_owned(), Why::Missing)];
        assert_eq!(
            made_for_broker("mqtt.example", Some(("ca", "none"))),
            one("mqtt.example")
        );
        // No CA that asks by http issues it.
        assert_eq!(
            made_for_broker("*.mqtt.example", None),
            one("_.mqtt.example")
        );
        // No public one does.
        let public = LabelRules {
            issuers: Some(Issuer::Ca(crate::values::CA_PRESETS[0].directory.to_owned()).into()),
            ..label_rules()
        };
        let local = broker().label("use", "mqtt.internal");
        let wanted = desire(&snapshot([proxy(), local]), &public);
        assert!(!wanted.certificates.contains_key(&name("mqtt.internal")));
        let plan = planned_by(FallbackRule::ByKind, &wanted, &fresh(&wanted), START);
        assert_eq!(made(&plan), [("mqtt.internal", Why::Missing)]);
        let off = planned_by(FallbackRule::Off, &wanted, &fresh(&wanted), START);
        assert_eq!(made(&off), []);
        // What the user provides is better, and stays so when it is there first or comes later.
        let mut observed = fresh(&wanted);
        observed.provide(name("mine"), held(&["mqtt.internal"]));
        let plan = planned_by(FallbackRule::ByKind, &wanted, &observed, START);
        assert_eq!(made(&plan), []);
        // And it is told all the same that no certificate will come.
        let told = planned_by(FallbackRule::ByKind, &wanted, &fresh(&wanted), START).complaints;
        assert!(
            told.iter()
                .any(|told| told.problem.contains("no public CA issues")),
            "{told:?}"
        );
    }

    #[test]
    fn all_names_that_are_on_one_and_have_no_issuer_are_on_one_self_signed() {
        let broker = broker()
            .label("use", "a.example b.example")
            .label("certificate", "brokers")
            .label("ca", "none");
        let wanted = desired([proxy(), broker]);
        let plan = planned_by(FallbackRule::ByKind, &wanted, &fresh(&wanted), START);
        let names = plan.actions.iter().find_map(|action| match action {
            Action::FallBack(fallback) => Some((&fallback.certificate, &fallback.names)),
            _ => None,
        });
        let hosts = ["a.example", "b.example"].map(|host| Host::parse(host).expect("a name"));
        assert_eq!(names, Some((&name("brokers"), &hosts.into())));
        // It is delivered, and then nothing is left to do.
        let observed = settled(&wanted, fresh(&wanted), START);
        let mqtt = ContainerName::parse("mqtt").expect("a name");
        assert!(
            observed.installed[&mqtt]
                .certificates
                .contains_key(&name("brokers"))
        );
    }

    #[test]
    fn a_name_of_the_settings_gets_one_where_the_setting_says_so() {
        let asking =
            || crate::desire::named(&[Host::parse("mail.example").expect("a name")].into());
        let rules = LabelRules {
            answers_itself: true,
            ..label_rules()
        };
        for bearers in [vec![], vec![proxy()]] {
            let wanted = desire(&snapshot(bearers.into_iter().chain(asking())), &rules);
            let made = |rule, observed: &Observed| {
                made(&planned_by(rule, &wanted, observed, START))
                    .into_iter()
                    .map(|(name, _)| name.to_owned())
                    .collect::<Vec<_>>()
            };
            let none = fresh(&wanted);
            assert_eq!(made(FallbackRule::On, &none), ["mail.example"]);
            assert_eq!(made(FallbackRule::ByKind, &none), [""; 0]);
            let mut observed = fresh(&wanted);
            observed.provide(name("mine"), held(&["mail.example"]));
            assert_eq!(made(FallbackRule::On, &observed), [""; 0]);
        }
    }

    #[test]
    fn nothing_that_is_better_is_replaced() {
        let usual = Source::from(&usual_issuance().issuer);
        let staging = Source::Acme(crate::values::CA_PRESETS[1].directory.to_owned());
        for source in [usual.clone(), staging, Source::SelfSigned, Source::Provided] {
            for after in [DAY, DAY * 80, DAY * 100] {
                let (desired, observed) = with(source.clone());
                assert_eq!(
                    made_on(&desired, &observed, START + after),
                    [],
                    "{source:?}"
                );
            }
        }
        // It lacks a name, which gets none for that: the other name would lose its own.
        let more = desired([
            proxy(),
            shop()
                .label("host", "shop.example b.shop.example")
                .label("certificate", HOST),
        ]);
        let mut observed = fresh(&more);
        observed.hold(name(HOST), of_shop(usual));
        assert_eq!(made_on(&more, &observed, START), []);
    }

    #[test]
    fn none_is_made_where_another_certificate_serves_or_comes_without_an_order() {
        let desired = desired([proxy(), shop()]);
        let wild = HeldCertificate {
            source: Source::from(&usual_issuance().issuer),
            ..held(&["*.example"])
        };
        let fallback = HeldCertificate {
            source: Source::Fallback,
            ..wild.clone()
        };
        let by = |certificate: &HeldCertificate| {
            let mut observed = fresh(&desired);
            observed.hold(name("wild"), certificate.clone());
            made_on(&desired, &observed, START)
        };
        assert_eq!(by(&wild), []);
        assert_eq!(by(&fallback), [(HOST.to_owned(), Why::Missing)]);
        let mut observed = fresh(&desired);
        observed.provide(name("mine"), wild);
        assert_eq!(made_on(&desired, &observed, START), []);
        let mut observed = fresh(&desired);
        let archived = ArchivedCertificate {
            version: 1,
            at: START,
            certificate: of_shop(Source::from(&usual_issuance().issuer)),
        };
        observed.archived.insert(name(HOST), archived.into());
        assert_eq!(made_on(&desired, &observed, START), []);
        let over = START + DAY * 91;
        assert_eq!(made_on(&desired, &observed, over).len(), 1);
    }

    #[test]
    fn one_that_is_self_signed_on_purpose_takes_its_place_and_needs_none_before() {
        let wanted = desired([proxy(), shop().label("ca", "self-signed")]);
        let mut observed = fresh(&wanted);
        assert_eq!(made_on(&wanted, &observed, START), []);
        observed.hold(name(HOST), of_shop(Source::Fallback));
        let plan = planned_by(FallbackRule::On, &wanted, &observed, START);
        let obtained = |action: &Action| matches!(action, Action::Obtain(obtain) if obtain.why == Why::Missing);
        assert!(plan.actions.iter().any(obtained), "{plan:?}");
    }

    #[test]
    fn it_is_made_anew_in_good_time_and_for_other_names_or_another_key() {
        let (desired_before, observed) = with(Source::Fallback);
        let made = |desired: &Desired, now| made_on(desired, &observed, now);
        let whys =
            |made: Vec<(String, Why)>| made.into_iter().map(|(_, why)| why).collect::<Vec<_>>();
        assert_eq!(made(&desired_before, START), []);
        let plan = planned_by(
            FallbackRule::On,
            &desired_before,
            &observed,
            START + DAY * 59,
        );
        assert!(
            plan.wake.is_some_and(|wake| wake <= START + DAY * 60),
            "{:?}",
            plan.wake
        );
        assert_eq!(
            whys(made(&desired_before, START + DAY * 60)),
            [Why::RenewalDue]
        );
        let names = desired([proxy(), shop().label("names", "mail.shop.example")]);
        assert_eq!(whys(made(&names, START)), [Why::NamesChanged]);
        let key = desired([proxy(), shop().label("key-type", "rsa-2048")]);
        assert_eq!(whys(made(&key, START)), [Why::KeyTypeChanged]);
    }

    #[test]
    fn orders_and_self_signed_certificates_fail_and_run_each_for_itself() {
        let desired = desired([proxy(), shop()]);
        let mut observed = fresh(&desired);
        let [certificate, fallback] = [
            Subject::Certificate(name(HOST)),
            Subject::Fallback(name(HOST)),
        ];
        let first = planned_by(FallbackRule::On, &desired, &observed, START);
        let attempt = first.actions.iter().find_map(|action| match action {
            Action::FallBack(fallback) => Some(fallback.attempt.clone()),
            _ => None,
        });
        observed.under_way.insert(certificate.clone());
        assert_eq!(made_on(&desired, &observed, START).len(), 1);
        observed.under_way = [fallback.clone()].into();
        assert_eq!(made_on(&desired, &observed, START), []);
        observed.under_way.clear();
        let attempt = Attempt {
            problem: Some("the disk is full".to_owned()),
            ..attempt.expect("it is made")
        };
        observed.attempts.insert(certificate, attempt.clone());
        assert_eq!(made_on(&desired, &observed, START).len(), 1);
        observed.attempts = [(fallback, attempt)].into();
        let plan = planned_by(FallbackRule::On, &desired, &observed, START);
        assert_eq!(made(&plan), []);
        let second = START + Duration::from_secs(1);
        assert!(
            plan.wake.is_some_and(|wake| wake <= second),
            "{:?}",
            plan.wake
        );
        assert_eq!(made_on(&desired, &observed, second).len(), 1);
        assert!(plan.needless.is_empty());
        // A failure is no trouble any more once there is something better.
        observed.hold(name(HOST), of_shop(Source::Provided));
        let plan = planned_by(FallbackRule::On, &desired, &observed, START);
        assert_eq!(plan.needless, [name(HOST)].into());
    }

    #[test]
    fn a_default_that_can_not_be_used_gives_way_to_a_self_signed_one_and_gets_its_place_back() {
        let rules = LabelRules {
            default_certificate: Some(name("spare")),
            ..label_rules()
        };
        let app = container("app", 4).label("host", HOST);
        let desired = desire(&snapshot([proxy(), app]), &rules);
        let consumer = desired.consumers.values().next().expect("the proxy");
        let mut observed = fresh(&desired);
        let spare = HeldCertificate {
            not_before: START,
            not_after: START + DAY,
            ..held(&["spare.example"])
        };
        let shown = |observed: &Observed, now| {
            let plan = planned_by(FallbackRule::ByKind, &desired, observed, now);
            let (made, in_force) = (made(&plan), &plan.in_force);
            let shown = of_unknown(consumer, in_force, now);
            let told = plan.complaints.iter().map(|told| told.remedy.clone());
            (
                made.iter()
                    .map(|(name, _)| (*name).to_owned())
                    .collect::<Vec<_>>(),
                shown.map(|(name, _)| name.to_string()),
                told.collect::<Vec<_>>().join(""),
            )
        };
        let (made, before, told) = shown(&observed, START);
        assert_eq!((made, before), (vec![STAND_IN.to_owned()], None));
        assert!(told.ends_with("clients are served as without it"), "{told}");
        observed.hold(
            stand_in(),
            HeldCertificate {
                source: Source::Fallback,
                ..held(&[STAND_IN])
            },
        );
        let (made, instead, told) = shown(&observed, START);
        assert_eq!((made, instead), (vec![], Some(STAND_IN.to_owned())));
        assert!(told.ends_with("clients get a self-signed one"), "{told}");
        observed.hold(name("spare"), spare);
        let (made, back, told) = shown(&observed, START);
        assert_eq!(
            (made, back, told.as_str()),
            (vec![], Some("spare".to_owned()), "")
        );
        let (_, instead, _) = shown(&observed, START + DAY);
        assert_eq!(instead.as_deref(), Some(STAND_IN));
        let off = planned_by(FallbackRule::Off, &desired, &fresh(&desired), START);
        assert!(
            !off.actions
                .iter()
                .any(|one| matches!(one, Action::FallBack(_))),
            "{off:?}"
        );
        // One that is about to be obtained is waited for.
        let spare = container("spare", 5)
            .label("host", "spare.example")
            .label("certificate", "spare");
        let wanted = desire(&snapshot([proxy(), spare]), &rules);
        let plan = planned_by(FallbackRule::ByKind, &wanted, &fresh(&wanted), START);
        assert!(
            !plan
                .actions
                .iter()
                .any(|one| matches!(one, Action::FallBack(_))),
            "{plan:?}"
        );
    }
}
