//! What a consumer's folder should hold: its parts, each a file with the certificate that it names. What was rendered
//! is remembered by what it was made from, so that of thousands of sites only those are looked at again that changed.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    mem,
    rc::Rc,
};

use itertools::{EitherOrBoth, Itertools};

use super::{
    gate::Gate,
    part::{
        Of, Part, Serving, mark_file, own_file, own_text, own_view, serving, site_file, site_text,
    },
    selection::ProvidedByHost,
    views::ServerFacts,
};
use crate::{
    desire::{Comes, Consumer, Site},
    observe::{HeldCertificate, Installed, Observed},
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// What parts are found out from.
pub(super) struct PartInputs<'a> {
    pub consumer: &'a Consumer,
    pub gate: &'a Gate,
    pub installed: &'a Rc<Installed>,
    pub observed: &'a Observed,
    pub templates: &'a Templates,
    pub now: Timestamp,
}

/// All parts of one consumer but the mark, as they were last found out, and what they were found out from.
#[derive(Debug)]
pub(super) struct Parts {
    parts: BTreeMap<FileName, Part>,
    /// Those that a template fails for: what lies there is neither as it should be nor known to be too much.
    unrendered: BTreeMap<FileName, Unrendered>,
    /// The certificate that clients are shown who send no name, where there is one.
    nameless: Option<Serving>,
    templates: Digest,
    server: Digest,
    gate: Option<Gate>,
    sites: BTreeMap<Host, KnownSite>,
    held: Rc<BTreeMap<CertificateName, Rc<HeldCertificate>>>,
    /// Until when the same certificates serve the same sites.
    until: Timestamp,
    installed: Rc<Installed>,
    /// Files in which what is installed differs from what should be.
    differing: BTreeSet<FileName>,
    /// Texts that were rendered just now: whoever writes them need not render them again.
    fresh: BTreeMap<FileName, String>,
}

/// A part that a template fails for.
#[derive(Debug)]
pub(super) struct Unrendered {
    /// The host that it would serve; none for what belongs to the consumer as a whole.
    pub host: Option<Host>,
    /// The certificate that it would name.
    pub certificate: Option<Serving>,
    /// What is wrong.
    pub error: TemplateError,
}

#[derive(Debug)]
struct KnownSite {
    site: Rc<Site>,
    file: FileName,
}

impl Parts {
    /// Nothing is known yet.
    pub fn none() -> Self {
        Self {
            parts: BTreeMap::new(),
            unrendered: BTreeMap::new(),
            nameless: None,
            templates: Digest::of(""),
            server: Digest::of(""),
            gate: None,
            sites: BTreeMap::new(),
            held: Rc::default(),
            until: Timestamp::from_millis(i64::MIN),
            installed: Rc::default(),
            differing: BTreeSet::new(),
            fresh: BTreeMap::new(),
        }
    }

    /// Brings them up to date.
    pub fn follow(&mut self, wanted: &PartInputs<'_>) {
        let PartInputs {
            consumer,
            gate,
            installed,
            observed,
            templates,
            now,
        } = *wanted;
        let server = Digest::of_value(&(consumer.kind.name, ServerFacts::of(consumer), gate));
        if (server, templates.digest()) != (self.server, self.templates) {
            *self = Self {
                server,
                gate: Some(gate.clone()),
                templates: templates.digest(),
                ..Self::none()
            };
        }
        self.fresh.clear();
        let mut changed = self.follow_sites((consumer, gate), observed, templates, now);
        self.follow_nameless();
        changed.extend(self.follow_own((consumer, gate), templates));
        self.follow_installed(consumer, installed, changed);
    }

    /// Each part, by its file.
    pub fn get(&self, file: &FileName) -> Option<&Part> {
        self.parts.get(file)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&FileName, &Part)> {
        self.parts.iter()
    }

    /// Those that a template fails for.
    pub fn unrendered(&self) -> &BTreeMap<FileName, Unrendered> {
        &self.unrendered
    }

    /// Whether this file should be there.
    pub fn is_wanted(&self, file: &FileName) -> bool {
        self.parts.contains_key(file) || self.unrendered.contains_key(file)
    }

    /// Whether there is any site that a template could be rendered for.
    pub fn has_site(&self) -> bool {
        self.parts.values().any(|part| part.host().is_some())
    }

    /// The host whose file this is or would be; none for what belongs to the consumer as a whole or to nobody.
    pub fn host(&self, file: &FileName) -> Option<&Host> {
        match self.parts.get(file) {
            Some(part) => part.host(),
            None => self.unrendered.get(file)?.host.as_ref(),
        }
    }

    /// That host's site.
    pub fn site(&self, file: &FileName) -> Option<&Site> {
        self.sites.get(self.host(file)?).map(|known| &*known.site)
    }

    /// The certificate that this file names or would name.
    pub fn certificate(&self, file: &FileName) -> Option<&Serving> {
        match self.parts.get(file) {
            Some(part) => part.certificate.as_ref(),
            None => self.unrendered.get(file)?.certificate.as_ref(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// The templates that they are made with.
    pub fn templates(&self) -> Digest {
        self.templates
    }

    /// Files in which the folder differs from what it should hold, the mark apart: with the part that should be there,
    /// or without where the file is one too many.
    pub fn differing(&self) -> impl Iterator<Item = (&FileName, Option<&Part>)> {
        self.differing
            .iter()
            .map(|file| (file, self.parts.get(file)))
    }

    /// What stands in the part of this file; nothing where there is none.
    ///
    /// # Errors
    /// When its template fails.
    pub fn text(
        &mut self,
        file: &FileName,
        consumer: &Consumer,
        templates: &Templates,
    ) -> Result<Option<String>, TemplateError> {
        if let Some(text) = self.fresh.remove(file) {
            return Ok(Some(text));
        }
        let (Some(part), Some(gate)) = (self.parts.get(file), &self.gate) else {
            return Ok(None);
        };
        let server = (consumer, gate);
        match &part.of {
            Of::All(own, _) => own_text(server, own, self.nameless.as_ref(), templates).map(Some),
            Of::Site(host) => {
                let site = self.sites.get(host).map(|known| &known.site);
                let serving = part.certificate.as_ref();
                site.map(|site| site_text(server, host, site, serving, templates))
                    .transpose()
            }
        }
    }

    /// Brings the parts of sites up to date; returns the files of those that are not as they were.
    fn follow_sites(
        &mut self,
        (consumer, gate): (&Consumer, &Gate),
        observed: &Observed,
        templates: &Templates,
        now: Timestamp,
    ) -> BTreeSet<FileName> {
        let same_certificates = Rc::ptr_eq(&self.held, &observed.held) && now < self.until;
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let own = OnceCell::new();
        let serving = |host: &Host, site: &Site| {
            let own = own.get_or_init(|| ProvidedByHost::of(observed));
            serving(consumer, (host, site), (observed, own), now)
        };
        let pairs = self
            .sites
            .iter_mut()
            .merge_join_by(&consumer.sites, |(known, _), (host, _)| (*known).cmp(*host));
        for pair in pairs {
            match pair {
                EitherOrBoth::Left((host, _)) => gone.push(host.clone()),
                EitherOrBoth::Right((host, site)) => new.push((host, site, serving(host, site))),
                EitherOrBoth::Both((_, known), (_, site))
                    if known.site == *site && same_certificates =>
                {
                    known.site = Rc::clone(site);
                }
                EitherOrBoth::Both((_, known), (host, site)) => {
                    let serving = serving(host, site);
                    let before = self
                        .parts
                        .get(&known.file)
                        .and_then(|part| part.certificate.as_ref());
                    let is_served_as_before =
                        before.map(Serving::which) == serving.as_ref().map(Serving::which);
                    match known.site == *site && is_served_as_before {
                        true => known.site = Rc::clone(site),
                        false => new.push((host, site, serving)),
                    }
                }
            }
        }
        if !same_certificates {
            let changes = observed
                .held
                .values()
                .flat_map(|held| [held.not_before, held.not_after]);
            self.until = changes
                .filter(|time| *time > now)
                .min()
                .unwrap_or(Timestamp::from_millis(i64::MAX));
            self.held = Rc::clone(&observed.held);
        }
        let mut changed: BTreeSet<_> = gone
            .iter()
            .filter_map(|host| Some(self.sites.remove(host)?.file))
            .collect();
        changed.iter().for_each(|file| self.forget(file));
        for (host, site, serving) in new {
            let file = site_file(host);
            let text = site_text((consumer, gate), host, site, serving.as_ref(), templates);
            let of = Of::Site(host.clone());
            self.sites.insert(
                host.clone(),
                KnownSite {
                    site: Rc::clone(site),
                    file: file.clone(),
                },
            );
            self.take(file.clone(), text, Comes::WithSites, serving, of);
            changed.insert(file);
        }
        changed
    }

    /// Takes over what was rendered, or that it could not be.
    fn take(
        &mut self,
        file: FileName,
        text: Result<String, TemplateError>,
        comes: Comes,
        certificate: Option<Serving>,
        of: Of,
    ) {
        self.forget(&file);
        let part = |text: &str| Part {
            file: Digest::of(text),
            comes,
            certificate,
            of,
        };
        match text {
            Ok(text) => {
                self.parts.insert(file.clone(), part(&text));
                self.fresh.insert(file, text);
            }
            Err(error) => {
                let Part {
                    of, certificate, ..
                } = part("");
                let host = if let Of::Site(host) = of {
                    Some(host)
                } else {
                    None
                };
                self.unrendered.insert(
                    file,
                    Unrendered {
                        host,
                        certificate,
                        error,
                    },
                );
            }
        }
    }

    fn forget(&mut self, file: &FileName) {
        self.parts.remove(file);
        self.unrendered.remove(file);
    }

    /// Of several addresses, only the first can be shown its own certificate.
    fn follow_nameless(&mut self) {
        self.nameless = None;
        for (_, known) in self
            .sites
            .iter()
            .filter(|(host, _)| host.address().is_some())
        {
            let serving = self
                .parts
                .get_mut(&known.file)
                .and_then(|part| part.certificate.as_mut());
            let Some(serving) = serving else { continue };
            let shown = self.nameless.get_or_insert_with(|| serving.unshown());
            serving.is_shown = shown.name == serving.name;
        }
    }

    /// Brings the parts of the consumer as a whole up to date; returns the files of those that are not as they were.
    fn follow_own(
        &mut self,
        (consumer, gate): (&Consumer, &Gate),
        templates: &Templates,
    ) -> BTreeSet<FileName> {
        let mut changed = BTreeSet::new();
        for own in consumer.kind.own_files {
            let file = own_file(own.file);
            if !own.needed.by(consumer) {
                self.forget(&file);
                changed.insert(file);
                continue;
            }
            let view = Digest::of_value(&own_view(consumer, gate, self.nameless.as_ref()));
            let certificate = self.nameless.clone().filter(|_| own.names_certificate);
            let is_known = |part: &&Part| matches!(part.of, Of::All(_, seen) if seen == view);
            if self
                .parts
                .get(&file)
                .filter(is_known)
                .is_some_and(|part| part.certificate == certificate)
            {
                continue;
            }
            let text = own_text((consumer, gate), own, self.nameless.as_ref(), templates);
            self.take(
                file.clone(),
                text,
                own.comes,
                certificate,
                Of::All(own, view),
            );
            changed.insert(file);
        }
        changed
    }

    /// Finds out what differs from what is installed, given which parts are not as they were.
    fn follow_installed(
        &mut self,
        consumer: &Consumer,
        installed: &Rc<Installed>,
        mut changed: BTreeSet<FileName>,
    ) {
        if !Rc::ptr_eq(&self.installed, installed) {
            let before = mem::replace(&mut self.installed, Rc::clone(installed));
            changed.extend(differing_keys(&before.files, &installed.files).cloned());
            let given: BTreeSet<_> =
                differing_keys(&before.certificates, &installed.certificates).collect();
            if !given.is_empty() {
                let names = |part: &Part| {
                    part.certificate
                        .as_ref()
                        .is_some_and(|serving| given.contains(&serving.name))
                };
                let named = self.parts.iter().filter(|(_, part)| names(part));
                changed.extend(named.map(|(file, _)| file.clone()));
            }
        }
        let mark = mark_file(consumer);
        for file in changed.into_iter().filter(|file| *file != mark) {
            let is_in_place = match self.parts.get(&file) {
                Some(part) => part.is_in_place(&file, installed),
                None => self.unrendered.contains_key(&file) || !installed.files.contains_key(&file),
            };
            match is_in_place {
                true => drop(self.differing.remove(&file)),
                false => drop(self.differing.insert(file)),
            }
        }
    }
}

/// The keys under which two maps differ.
fn differing_keys<'a, K: Ord, V: PartialEq>(
    one: &'a BTreeMap<K, V>,
    other: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    one.iter()
        .merge_join_by(other, |(one, _), (other, _)| one.cmp(other))
        .filter_map(|pair| match pair {
            EitherOrBoth::Both((_, one), (_, other)) if one == other => None,
            EitherOrBoth::Both((key, _), _)
            | EitherOrBoth::Left((key, _))
            | EitherOrBoth::Right((key, _)) => Some(key),
        })
}
