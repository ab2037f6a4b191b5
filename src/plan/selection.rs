//! Which certificate serves a name.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{in_force::InForce, obtain::HeldCertificates};
use crate::{
    desire::{CertificateFolder, Consumer, Desired, Pin, Site, Use},
    observe::{HeldCertificate, Source},
    values::{CertificateName, ContainerName, Host, Timestamp},
};

/// True if a certificate is for all of these names.
pub(super) fn is_covered<'a>(
    names: impl IntoIterator<Item = &'a Host>,
    certificate: &HeldCertificate,
) -> bool {
    names.into_iter().all(|name| certificate.covers(name))
}

/// A consumer that can't use a certificate as it lies there: one that reads the user's own folder, in which we write
/// nothing.
pub(super) fn reader_in_need<'a>(
    certificate: &HeldCertificate,
    desired: &'a Desired,
) -> Option<&'a ContainerName> {
    desired
        .consumers
        .values()
        .find(|consumer| !can_use(consumer, certificate))
        .map(|consumer| &consumer.name)
}

/// True if a consumer can use a certificate: quaymaster writes anew the files that it gives; a consumer that reads them
/// itself gets them as they lie there.
pub(super) fn can_use(consumer: &Consumer, certificate: &HeldCertificate) -> bool {
    match consumer.certificates {
        CertificateFolder::Shared { .. } => certificate.can_be_read_there(),
        CertificateFolder::Delivered(_) => true,
    }
}

/// A certificate with what it is called.
pub(super) type Named<'a> = (&'a CertificateName, &'a Rc<HeldCertificate>);

/// The certificates that are in force: which of them serves a name is decided here alone.
pub(super) struct Selection<'a> {
    pub(super) held: &'a HeldCertificates,
    index: Rc<Index>,
    pub(super) now: Timestamp,
}

/// Each name of each certificate, with what that is called, in order; found out when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Index(OnceCell<Vec<(Box<str>, CertificateName)>>);

/// A certificate that serves.
#[derive(Clone, Debug)]
pub(super) struct Choice<'a> {
    /// Its name.
    pub name: &'a CertificateName,
    /// The certificate itself.
    pub certificate: &'a Rc<HeldCertificate>,
    /// The reason for this choice.
    pub by: ChosenBy,
}

/// The reason why a certificate serves a host, the best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// A label pins it.
    Pin,
    /// It is valid and covers the host.
    Cover,
    /// It covers this name, the nearest above the host that has a valid one.
    Parent(Host),
    /// It covers the setting master.
    Master,
    /// It is the default of the server, or of the settings.
    Default,
    /// It covers the host and is not valid, and no other serves.
    Need,
    /// It covers the host, is self-signed, and no other serves.
    Fallback,
}

impl<'a> Selection<'a> {
    /// Among these, at `now`.
    pub fn of(held: &'a HeldCertificates, now: Timestamp) -> Self {
        Self::with(held, Rc::default(), now)
    }

    /// The same, with what is known of them since the last turn.
    pub fn with(held: &'a HeldCertificates, index: Rc<Index>, now: Timestamp) -> Self {
        Self { held, index, now }
    }

    /// The certificate that serves a host on a consumer, of those that the consumer can use: the one that is pinned, if it
    /// is there; else the best valid one that covers the host; else what is to serve where there is none. One that has run
    /// out is better than none: the server goes on, and the client says what is wrong. It is better than a self-signed
    /// one, too: the client can see whose it was.
    pub fn serving(&self, consumer: &Consumer, host: &Host, site: &Site) -> Option<Choice<'a>> {
        let wanted = site.certificate.as_ref()?;
        self.choose(consumer, host, wanted, site.pin.as_ref())
    }

    /// The certificate that a server gets for a name that its labels ask for, by the same rules.
    pub fn of_use(&self, consumer: &Consumer, host: &Host, used: &Use) -> Option<Choice<'a>> {
        self.choose(consumer, host, &used.certificate, used.pin.as_ref())
    }

    pub fn choose(
        &self,
        consumer: &Consumer,
        host: &Host,
        wanted: &CertificateName,
        pin: Option<&Pin>,
    ) -> Option<Choice<'a>> {
        let pinned = pin.and_then(|pin| {
            let pinned = self.held.get_key_value(&pin.certificate);
            pinned.filter(|(_, certificate)| can_use(consumer, certificate))
        });
        if let Some(pinned) = pinned {
            return Some(Choice::new(pinned, ChosenBy::Pin));
        }
        if consumer.substitutes.strict_parents
            && let Some(choice) = self.nearest(consumer, host, wanted)
        {
            return Some(choice);
        }
        if let Some(best) = self.valid(consumer, host, Some(wanted)) {
            return Some(Choice::new(best, ChosenBy::Cover));
        }
        self.substitute(consumer, host)
            .or_else(|| self.by_need(consumer, host, wanted))
    }

    /// The certificate that serves a host where no other does: it covers the host and has run out, or is self-signed.
    fn by_need(
        &self,
        consumer: &Consumer,
        host: &Host,
        wanted: &CertificateName,
    ) -> Option<Choice<'a>> {
        let usable = self
            .covering(host)
            .filter(|(_, certificate)| can_use(consumer, certificate));
        let found = usable.max_by_key(|named| {
            let (is_lasting, is_valid) = (!named.1.is_fallback(), named.1.is_valid_at(self.now));
            (is_lasting, is_valid, fit(*named, host, Some(wanted)))
        })?;
        let by = match found.1.is_fallback() {
            true => ChosenBy::Fallback,
            false => ChosenBy::Need,
        };
        Some(Choice::new(found, by))
    }

    /// The certificate that clients get who send a name that no site has: a default before that of the master, since only
    /// one can be shown to all of them, and a default says which. A default that can't be used gives way to a self-signed
    /// one, where one is there.
    pub fn of_unknown(&self, consumer: &Consumer) -> Option<Choice<'a>> {
        self.of_unknown_lasting(consumer)
            .or_else(|| self.stand_in(consumer))
    }

    /// The same, but no self-signed one in place of a default.
    pub fn of_unknown_lasting(&self, consumer: &Consumer) -> Option<Choice<'a>> {
        self.default(consumer).or_else(|| self.master(consumer))
    }

    /// The valid certificate that has this very name, else the nearest one above it.
    fn nearest(
        &self,
        consumer: &Consumer,
        host: &Host,
        wanted: &CertificateName,
    ) -> Option<Choice<'a>> {
        if let Some(own) = self.valid_exact(consumer, host, Some(wanted)) {
            return Some(Choice::new(own, ChosenBy::Cover));
        }
        for parent in host.parents() {
            if let Some(found) = self.valid_exact(consumer, &parent, None) {
                return Some(Choice::new(found, ChosenBy::Parent(parent)));
            }
        }
        None
    }

    /// The certificate that serves a host which no valid one covers, where one is meant to.
    fn substitute(&self, consumer: &Consumer, host: &Host) -> Option<Choice<'a>> {
        if !consumer.substitutes.are_set() {
            return None;
        }
        for parent in host.parents() {
            if let Some(found) = self.valid(consumer, &parent, None) {
                return Some(Choice::new(found, ChosenBy::Parent(parent)));
            }
        }
        self.master(consumer).or_else(|| self.default(consumer))
    }

    fn master(&self, consumer: &Consumer) -> Option<Choice<'a>> {
        let master = consumer.substitutes.master.as_ref()?;
        let found = self.valid(consumer, master, None)?;
        Some(Choice::new(found, ChosenBy::Master))
    }

    fn default(&self, consumer: &Consumer) -> Option<Choice<'a>> {
        for default in &consumer.substitutes.defaults {
            if let Some(found) = self.held.get_key_value(&default.certificate)
                && !found.1.is_fallback()
                && found.1.is_valid_at(self.now)
                && can_use(consumer, found.1)
            {
                return Some(Choice::new(found, ChosenBy::Default));
            }
        }
        None
    }

    /// The best certificate that is valid and covers a host, and is no fallback: the user's own before ours, unless one of
    /// ours has taken its place, then the one that fits best.
    fn valid(
        &self,
        consumer: &Consumer,
        host: &Host,
        wanted: Option<&CertificateName>,
    ) -> Option<Named<'a>> {
        self.best(|| self.covering(host), consumer, host, wanted)
    }

    /// The same, of those that have this very name.
    fn valid_exact(
        &self,
        consumer: &Consumer,
        host: &Host,
        wanted: Option<&CertificateName>,
    ) -> Option<Named<'a>> {
        self.best(|| self.naming(host.as_str()), consumer, host, wanted)
    }

    fn best<I: Iterator<Item = Named<'a>>>(
        &self,
        among: impl Fn() -> I,
        consumer: &Consumer,
        host: &Host,
        wanted: Option<&CertificateName>,
    ) -> Option<Named<'a>> {
        let usable = || {
            among().filter(|(_, certificate)| {
                !certificate.is_fallback()
                    && certificate.is_valid_at(self.now)
                    && can_use(consumer, certificate)
            })
        };
        let best = usable().max_by_key(|named| {
            let is_the_users = named.1.source == Source::Provided;
            (is_the_users, fit(*named, host, wanted))
        })?;
        let successors = usable().filter(|(_, certificate)| certificate.succeeds(best.1));
        let successor = successors.max_by_key(|named| fit(*named, host, wanted));
        Some(successor.unwrap_or(best))
    }

    /// Those that cover a host, by a wildcard first.
    pub(super) fn covering(&self, host: &Host) -> impl Iterator<Item = Named<'a>> {
        let by_wildcard = host.covering_wildcard();
        let by_wildcard = by_wildcard.map(|wildcard| self.naming(&wildcard));
        by_wildcard
            .into_iter()
            .flatten()
            .chain(self.naming(host.as_str()))
    }

    /// Those that have this very name.
    fn naming<'s>(&'s self, covered: &str) -> impl Iterator<Item = Named<'a>> + use<'s, 'a> {
        let by_covered = self.index.0.get_or_init(|| by_covered(self.held));
        let from = by_covered.partition_point(|(name, _)| **name < *covered);
        let there = &by_covered[from..];
        let there = &there[..there.partition_point(|(name, _)| **name == *covered)];
        there
            .iter()
            .filter_map(|(_, name)| self.held.get_key_value(name))
    }
}

impl<'a> Choice<'a> {
    pub(super) fn new((name, certificate): Named<'a>, by: ChosenBy) -> Self {
        Self {
            name,
            certificate,
            by,
        }
    }
}

fn by_covered(held: &HeldCertificates) -> Vec<(Box<str>, CertificateName)> {
    let mut by_covered = Vec::with_capacity(held.len());
    for (name, certificate) in held {
        let names = certificate.names.iter();
        by_covered.extend(names.map(|covered| (covered.as_str().into(), name.clone())));
    }
    by_covered.sort();
    by_covered
}

/// The fitness of a certificate: by the exact name before a wildcard, the wanted one before another, and the longest
/// valid last.
fn fit(
    (name, certificate): Named<'_>,
    host: &Host,
    wanted: Option<&CertificateName>,
) -> (bool, bool, Timestamp) {
    let is_exact = certificate.names.contains(host.as_str());
    (is_exact, Some(name) == wanted, certificate.not_after)
}

/// The certificate that a consumer shows to clients that send a name which no site has, where it shows one.
pub fn of_unknown<'a>(
    consumer: &Consumer,
    in_force: &'a InForce,
    now: Timestamp,
) -> Option<(&'a CertificateName, &'a HeldCertificate)> {
    let choice = Selection::of(&in_force.certificates, now).of_unknown(consumer)?;
    Some((choice.name, choice.certificate))
}

/// The certificates that consumers serve.
#[derive(Debug, Default)]
pub struct CertificateUse<'a> {
    /// All that some client is shown.
    pub in_use: BTreeSet<&'a CertificateName>,
    /// For certificates that are wanted, another one that does what they are wanted for.
    pub instead: BTreeMap<&'a CertificateName, &'a CertificateName>,
}

/// The certificates in force that consumers serve.
pub fn served<'a>(
    desired: &'a Desired,
    in_force: &'a InForce,
    now: Timestamp,
) -> CertificateUse<'a> {
    let selection = Selection::of(&in_force.certificates, now);
    let mut served = CertificateUse::default();
    for consumer in desired.consumers.values() {
        let of_unknown = selection.of_unknown(consumer);
        served.in_use.extend(of_unknown.map(|choice| choice.name));
        for (host, used) in &consumer.uses {
            let Some(choice) = selection.of_use(consumer, host, used) else {
                continue;
            };
            served.in_use.insert(choice.name);
            if !choice.by.is_substitute() {
                served.instead.insert(&used.certificate, choice.name);
            }
        }
        for (host, site) in &consumer.sites {
            let (Some(wanted), Some(choice)) =
                (&site.certificate, selection.serving(consumer, host, site))
            else {
                continue;
            };
            served.in_use.insert(choice.name);
            // One that is shown for want of it leaves it missing.
            if !choice.by.is_substitute() && !choice.certificate.is_fallback() {
                served.instead.insert(wanted, choice.name);
            }
        }
    }
    let CertificateUse { in_use, instead } = &mut served;
    instead.retain(|wanted, _| !in_use.contains(wanted));
    served
}

impl ChosenBy {
    /// True if it serves names that it need not cover.
    pub(super) fn is_substitute(&self) -> bool {
        match self {
            Self::Parent(_) | Self::Master | Self::Default => true,
            Self::Pin | Self::Cover | Self::Need | Self::Fallback => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::*, *};
    use crate::{
        desire::{
            LabelRules, desire,
            tests::{container, proxy, rules as label_rules, snapshot},
        },
        fixtures::{held, usual_issuance},
        observe::Bearer,
        plan::{Asked, candidates},
    };

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// A name, and names above it that others are for.
    const HOST: &str = "a.b.shop.example";

    fn name(word: &str) -> CertificateName {
        CertificateName::parse(word).expect("a name")
    }

    fn host(word: &str) -> Host {
        Host::parse(word).expect("a name")
    }

    fn ours(names: &[&str]) -> HeldCertificate {
        HeldCertificate {
            source: Source::from(&usual_issuance().issuer),
            ..held(names)
        }
    }

    fn ended(certificate: HeldCertificate) -> HeldCertificate {
        HeldCertificate {
            not_after: START - DAY,
            ..certificate
        }
    }

    /// Certificates, each with what it is called.
    type Held<'a> = &'a [(&'a str, HeldCertificate)];

    fn in_force(all: Held<'_>) -> InForce {
        let each = all.iter().cloned();
        InForce {
            certificates: each
                .map(|(word, certificate)| (name(word), certificate.into()))
                .collect::<HeldCertificates>()
                .into(),
            ..InForce::default()
        }
    }

    fn with(master: Option<&str>, default: Option<&str>, strict_parents: bool) -> LabelRules {
        LabelRules {
            master: master.map(host),
            default_certificate: default.map(name),
            strict_parents,
            ..label_rules()
        }
    }

    fn app() -> Bearer {
        container("app", 4).label("host", HOST)
    }

    /// The name of the certificate that serves, with why.
    fn serving(
        rules: &LabelRules,
        proxy: Bearer,
        app: Bearer,
        all: Held<'_>,
    ) -> Option<(String, ChosenBy)> {
        let desired = desire(&snapshot([proxy, app]), rules);
        let consumer = desired.consumers.values().next().expect("the proxy");
        let site = &consumer.sites[&host(HOST)];
        let in_force = in_force(all);
        let found =
            Selection::of(&in_force.certificates, START).serving(consumer, &host(HOST), site);
        let told = candidates(
            consumer,
            Asked::of_site(&host(HOST), site),
            &in_force,
            START,
        );
        let told = told.into_iter().find_map(|candidate| {
            let by = candidate.verdict.ok()?;
            Some((candidate.name.to_string(), by))
        });
        let found = found.map(|choice| (choice.name.to_string(), choice.by));
        assert_eq!(found, told, "what is told is what is done");
        found
    }

    #[test]
    fn the_rules_of_serving_a_name_hold_in_their_order() {
        let parent = |word| ChosenBy::Parent(host(word));
        let plain = with(None, None, false);
        let all = with(Some("master.example"), Some("spare"), false);
        let mut held = vec![
            (HOST, ours(&[HOST])),
            ("wild", ours(&["*.b.shop.example"])),
            ("b", ours(&["b.shop.example"])),
            ("shop", ours(&["shop.example"])),
            ("main", ours(&["master.example"])),
            ("spare", ours(&["spare.example"])),
            ("old", ended(ours(&[HOST]))),
        ];
        for (expected, of_plain) in [
            ((HOST, ChosenBy::Cover), Some((HOST, ChosenBy::Cover))),
            (("wild", ChosenBy::Cover), Some(("wild", ChosenBy::Cover))),
            (
                ("b", parent("b.shop.example")),
                Some(("old", ChosenBy::Need)),
            ),
            (
                ("shop", parent("shop.example")),
                Some(("old", ChosenBy::Need)),
            ),
            (("main", ChosenBy::Master), Some(("old", ChosenBy::Need))),
            (("spare", ChosenBy::Default), Some(("old", ChosenBy::Need))),
            (("old", ChosenBy::Need), Some(("old", ChosenBy::Need))),
        ] {
            let owned = |(word, by): (&str, ChosenBy)| (word.to_owned(), by);
            let found = serving(&all, proxy(), app(), &held);
            assert_eq!(found, Some(owned(expected)));
            let found = serving(&plain, proxy(), app(), &held);
            assert_eq!(found, of_plain.map(owned));
            held.remove(0);
        }
        assert_eq!(serving(&all, proxy(), app(), &held), None);
    }

    #[test]
    fn a_fallback_serves_only_where_nothing_else_does_and_no_other_name() {
        let fallback = |names: &[&str]| HeldCertificate {
            source: Source::Fallback,
            ..held(names)
        };
        let all = with(Some("master.example"), Some("spare"), false);
        let mut held = vec![
            ("wild", ours(&["*.b.shop.example"])),
            ("main", ours(&["master.example"])),
            ("spare", ours(&["spare.example"])),
            ("old", ended(ours(&[HOST]))),
            (HOST, fallback(&[HOST])),
            ("again", ended(fallback(&[HOST]))),
            ("b", fallback(&["b.shop.example", "master.example"])),
        ];
        for (expected, by) in [
            ("wild", ChosenBy::Cover),
            ("main", ChosenBy::Master),
            ("spare", ChosenBy::Default),
            ("old", ChosenBy::Need),
            (HOST, ChosenBy::Fallback),
            ("again", ChosenBy::Fallback),
        ] {
            let found = serving(&all, proxy(), app(), &held);
            assert_eq!(found, Some((expected.to_owned(), by)));
            held.remove(0);
        }
        assert_eq!(serving(&all, proxy(), app(), &held), None);
        let strict = with(None, None, true);
        let held = [(HOST, fallback(&[HOST])), ("shop", ours(&["shop.example"]))];
        let found = serving(&strict, proxy(), app(), &held);
        let shop = ChosenBy::Parent(host("shop.example"));
        assert_eq!(found, Some(("shop".to_owned(), shop)));
    }

    #[test]
    fn what_can_not_serve_is_passed_over() {
        let all = with(Some("master.example"), Some("spare"), false);
        let held = [
            ("b", ended(ours(&["b.shop.example"]))),
            ("main", ended(ours(&["master.example"]))),
            ("mine", ours(&["mine.example"])),
            ("spare", ended(ours(&["spare.example"]))),
            ("other", ours(&["other.example"])),
        ];
        assert_eq!(serving(&all, proxy(), app(), &held), None);
        let of_its_own = proxy().label("default-certificate", "mine");
        assert_eq!(
            serving(&all, of_its_own, app(), &held),
            Some(("mine".to_owned(), ChosenBy::Default)),
            "that of the server"
        );
        let pinned = app().label("pin", "spare");
        assert_eq!(
            serving(&all, proxy(), pinned, &held),
            Some(("spare".to_owned(), ChosenBy::Pin)),
            "even if it has run out"
        );
    }

    #[test]
    fn strict_parents_go_before_a_wildcard_and_not_before_the_name_itself() {
        let strict = with(None, None, true);
        let wild = ("wild", ours(&["*.b.shop.example"]));
        let shop = ("shop", ours(&["shop.example"]));
        let own = ("own", ours(&[HOST]));
        let found = |held: Held<'_>| serving(&strict, proxy(), app(), held);
        assert_eq!(
            found(&[wild.clone(), shop.clone()]),
            Some(("shop".to_owned(), ChosenBy::Parent(host("shop.example"))))
        );
        assert_eq!(
            found(&[own, wild.clone(), shop]),
            Some(("own".to_owned(), ChosenBy::Cover))
        );
        assert_eq!(found(&[wild]), Some(("wild".to_owned(), ChosenBy::Cover)));
    }

    #[test]
    fn names_that_no_site_has_get_the_default_else_that_of_the_master() {
        let held = [
            ("main", ours(&["master.example"])),
            ("spare", ours(&["spare.example"])),
        ];
        let in_force = in_force(&held);
        for (master, default, expected) in [
            (None, None, None),
            (Some("master.example"), None, Some("main")),
            (Some("master.example"), Some("spare"), Some("spare")),
            (Some("master.example"), Some("none"), Some("main")),
        ] {
            let desired = desire(&snapshot([proxy(), app()]), &with(master, default, false));
            let consumer = desired.consumers.values().next().expect("the proxy");
            let found = of_unknown(consumer, &in_force, START);
            assert_eq!(found.map(|(name, _)| name.as_str()), expected);
        }
    }

    #[test]
    fn a_default_comes_into_the_files_of_unknown_names_and_of_late_sites() {
        let rules = with(None, Some("spare"), false);
        let desired = desire(&snapshot([proxy(), app()]), &rules);
        let mut observed = fresh(&desired);
        observed.hold(name("spare"), ours(&["spare.example"]));
        let plan = planned(&desired, &observed, START);
        let [crate::plan::Action::Deploy(deploy)] = plan.actions.as_slice() else {
            panic!("{plan:?}")
        };
        assert!(deploy.deliver.contains_key(&name("spare")), "{deploy:?}");
        let file = |word: &str| {
            let mut files = deploy.write.iter();
            files
                .find(|(file, _)| file.as_str().contains(word))
                .expect("it is there")
                .1
        };
        for word in ["--base", HOST] {
            assert!(
                file(word).contains("certificates/spare/fullchain.pem"),
                "{word}"
            );
        }
        assert!(
            file(HOST).contains("return 503"),
            "no browser is sent to it"
        );
        let serials: Vec<_> = deploy.proof.serials.keys().collect();
        assert_eq!(serials, [&host(HOST)]);
        let unset = desire(&snapshot([proxy(), app()]), &label_rules());
        let settled = settled(&desired, observed, START);
        let back = planned(&unset, &settled, START);
        assert!(!back.actions.is_empty(), "it is taken away again");
    }

    #[test]
    fn the_next_look_is_when_a_default_runs_out() {
        let desired = desire(&snapshot([proxy()]), &with(None, Some("spare"), false));
        let mut observed = fresh(&desired);
        let minute = Duration::from_secs(60);
        let spare = HeldCertificate {
            not_after: START + minute,
            ..ours(&["spare.example"])
        };
        observed.hold(name("spare"), spare);
        assert_eq!(
            planned(&desired, &observed, START).wake,
            Some(START + minute)
        );
        let settled = settled(&desired, observed, START);
        let over = planned(&desired, &settled, START + minute);
        let [
            crate::plan::Action::Deploy(deploy),
            crate::plan::Action::FallBack(_),
        ] = over.actions.as_slice()
        else {
            panic!("{over:?}")
        };
        let files: Vec<_> = deploy.write.values().cloned().collect();
        assert!(
            files.concat().contains("ssl_reject_handshake on"),
            "{deploy:?}"
        );
    }

    #[test]
    fn a_default_that_can_not_serve_is_complained_about() {
        let rules = with(None, Some("spare"), false);
        let desired = desire(&snapshot([proxy(), app()]), &rules);
        let told = |certificate: Option<HeldCertificate>| {
            let mut observed = fresh(&desired);
            if let Some(certificate) = certificate {
                observed.hold(name("spare"), certificate);
            }
            let complaints = planned(&desired, &observed, START).complaints;
            let of_default = |label: &str| label == "setting default-certificate";
            complaints
                .iter()
                .find(|told| of_default(&told.origin.label))
                .map(|told| told.problem.clone())
        };
        let spare = ours(&["spare.example"]);
        assert_eq!(told(Some(spare.clone())), None);
        assert_eq!(
            told(None).as_deref(),
            Some("there is no certificate of this name")
        );
        let over = told(Some(ended(spare))).expect("it is told");
        assert!(over.starts_with("it is valid only from "), "{over}");
    }
}
