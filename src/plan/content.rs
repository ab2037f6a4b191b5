//! What a consumer's folder should hold: its parts, each a file with the certificate that it names. What was rendered
//! is remembered by what it was made from, so that of thousands of sites only those are looked at again that changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    rc::Rc,
};

use itertools::{EitherOrBoth, Itertools};

use super::{
    Rules, selection,
    views::{self, ServerFacts},
};
use crate::{
    desire::{Comes, Consumer, OwnFile, Site},
    observe::{HeldCertificate, Installed, Observed},
    render::{ProxyView, TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// What every file of ours says of itself, so that it is known again whatever happens to our records.
const WRITTEN_BY_US: &str = "Written by quaymaster. Changes here are overwritten.";

/// A file of a consumer's folder, with the certificate that it names: what is given and held back as one.
#[derive(Debug)]
pub(super) struct Part {
    /// The digest of its text.
    pub file: Digest,
    pub comes: Comes,
    pub certificate: Option<Serving>,
    of: Of,
}

/// What a part is there for.
#[derive(Debug)]
enum Of {
    Site(Host),
    /// The consumer as a whole; with the digest of what its template sees.
    All(&'static OwnFile, Digest),
}

/// A certificate that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Serving {
    pub name: CertificateName,
    held: Rc<HeldCertificate>,
    /// Whether it must be seen; not where clients send no name and are shown another's.
    is_shown: bool,
}

impl Serving {
    pub fn digest(&self) -> Digest {
        self.held.digest
    }

    /// Which certificate it is, whoever is shown it.
    fn which(&self) -> (&CertificateName, &Rc<HeldCertificate>) {
        (&self.name, &self.held)
    }

    /// The serial number that must be served for the host, if any must.
    pub fn serial(&self) -> Option<&str> {
        self.is_shown.then_some(self.held.serial.as_str())
    }
}

impl Part {
    /// The host that it serves; none for what belongs to the consumer as a whole.
    pub fn host(&self) -> Option<&Host> {
        match &self.of {
            Of::Site(host) => Some(host),
            Of::All(..) => None,
        }
    }

    /// The template that it is rendered from.
    pub fn template(&self, consumer: &Consumer) -> &'static str {
        match &self.of {
            Of::Site(_) => consumer.kind.site_template,
            Of::All(own, _) => own.template,
        }
    }

    /// What is in it, certificate included.
    pub fn unit(&self) -> Digest {
        match &self.certificate {
            Some(serving) => Digest::of_parts([self.file.to_string(), serving.digest().to_string()]),
            None => self.file,
        }
    }

    /// Whether all of it lies there.
    pub fn is_in_place(&self, file: &FileName, installed: &Installed) -> bool {
        installed.files.get(file) == Some(&self.file) && self.has_certificate(installed)
    }

    /// Whether its certificate lies there, if it has one.
    pub fn has_certificate(&self, installed: &Installed) -> bool {
        let given = |serving: &Serving| installed.certificates.get(&serving.name) == Some(&serving.held.digest);
        self.certificate.as_ref().is_none_or(given)
    }
}

/// All parts of one consumer but the mark, as they were last found out, and what they were found out from.
#[derive(Debug)]
pub(super) struct Parts {
    parts: BTreeMap<FileName, Part>,
    /// The certificate that clients are shown who send no name, where there is one.
    nameless: Option<Serving>,
    templates: Digest,
    server: Digest,
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
            nameless: None,
            templates: Digest::of(""),
            server: Digest::of(""),
            sites: BTreeMap::new(),
            held: Rc::default(),
            until: Timestamp::from_millis(i64::MIN),
            installed: Rc::default(),
            differing: BTreeSet::new(),
            fresh: BTreeMap::new(),
        }
    }

    /// Brings them up to date. After an error nothing is known any more.
    ///
    /// # Errors
    /// When a template fails.
    pub fn follow(
        &mut self,
        consumer: &Consumer,
        installed: &Rc<Installed>,
        observed: &Observed,
        templates: &Templates,
        now: Timestamp,
    ) -> Result<(), TemplateError> {
        let mut known = mem::replace(self, Self::none());
        let server = Digest::of_value(&(consumer.kind.name, ServerFacts::of(consumer)));
        if (server, templates.digest()) != (known.server, known.templates) {
            known = Self { server, templates: templates.digest(), ..Self::none() };
        }
        known.fresh.clear();
        let mut changed = known.follow_sites(consumer, observed, templates, now)?;
        known.follow_nameless();
        changed.extend(known.follow_own(consumer, templates)?);
        known.follow_installed(consumer, installed, changed);
        *self = known;
        Ok(())
    }

    /// Each part, by its file.
    pub fn get(&self, file: &FileName) -> Option<&Part> {
        self.parts.get(file)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&FileName, &Part)> {
        self.parts.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// What belongs to the consumer as a whole.
    pub fn own(&self, consumer: &Consumer) -> impl Iterator<Item = (FileName, &Part)> {
        let files = consumer.kind.own_files.iter().map(|own| own_file(own.file));
        files.filter_map(|file| Some((file.clone(), self.parts.get(&file)?)))
    }

    /// Files in which the folder differs from what it should hold, the mark apart: with the part that should be there,
    /// or without where the file is one too many.
    pub fn differing(&self) -> impl Iterator<Item = (&FileName, Option<&Part>)> {
        self.differing.iter().map(|file| (file, self.parts.get(file)))
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
        let Some(part) = self.parts.get(file) else { return Ok(None) };
        match &part.of {
            Of::All(own, _) => own_text(consumer, own, self.nameless.as_ref(), templates).map(Some),
            Of::Site(host) => {
                let site = self.sites.get(host).map(|known| &known.site);
                let serving = part.certificate.as_ref();
                site.map(|site| site_text(consumer, host, site, serving, templates)).transpose()
            }
        }
    }

    /// Brings the parts of sites up to date; returns the files of those that are not as they were.
    fn follow_sites(
        &mut self,
        consumer: &Consumer,
        observed: &Observed,
        templates: &Templates,
        now: Timestamp,
    ) -> Result<BTreeSet<FileName>, TemplateError> {
        let same_certificates = Rc::ptr_eq(&self.held, &observed.held) && now < self.until;
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let pairs = self.sites.iter_mut().merge_join_by(&consumer.sites, |(known, _), (host, _)| (*known).cmp(*host));
        for pair in pairs {
            match pair {
                EitherOrBoth::Left((host, _)) => gone.push(host.clone()),
                EitherOrBoth::Right((host, site)) => new.push((host, site, serving(host, site, observed, now))),
                EitherOrBoth::Both((_, known), (_, site)) if known.site == *site && same_certificates => {
                    known.site = Rc::clone(site);
                }
                EitherOrBoth::Both((_, known), (host, site)) => {
                    let serving = serving(host, site, observed, now);
                    let before = self.parts.get(&known.file).and_then(|part| part.certificate.as_ref());
                    let is_served_as_before = before.map(Serving::which) == serving.as_ref().map(Serving::which);
                    match known.site == *site && is_served_as_before {
                        true => known.site = Rc::clone(site),
                        false => new.push((host, site, serving)),
                    }
                }
            }
        }
        if !same_certificates {
            let changes = observed.held.values().flat_map(|held| [held.not_before, held.not_after]);
            self.until = changes.filter(|time| *time > now).min().unwrap_or(Timestamp::from_millis(i64::MAX));
            self.held = Rc::clone(&observed.held);
        }
        let mut changed: BTreeSet<_> = gone.iter().filter_map(|host| Some(self.sites.remove(host)?.file)).collect();
        changed.iter().for_each(|file| drop(self.parts.remove(file)));
        for (host, site, serving) in new {
            let file = site_file(host);
            let text = site_text(consumer, host, site, serving.as_ref(), templates)?;
            let of = Of::Site(host.clone());
            let part = Part { file: Digest::of(&text), comes: Comes::WithSites, certificate: serving, of };
            self.sites.insert(host.clone(), KnownSite { site: Rc::clone(site), file: file.clone() });
            self.parts.insert(file.clone(), part);
            self.fresh.insert(file.clone(), text);
            changed.insert(file);
        }
        Ok(changed)
    }

    /// Of several addresses, only the first can be shown its own certificate.
    fn follow_nameless(&mut self) {
        self.nameless = None;
        for (_, known) in self.sites.iter().filter(|(host, _)| host.address().is_some()) {
            let serving = self.parts.get_mut(&known.file).and_then(|part| part.certificate.as_mut());
            let Some(serving) = serving else { continue };
            let shown = self.nameless.get_or_insert_with(|| Serving { is_shown: false, ..serving.clone() });
            serving.is_shown = shown.name == serving.name;
        }
    }

    /// Brings the parts of the consumer as a whole up to date; returns the files of those that are not as they were.
    fn follow_own(&mut self, consumer: &Consumer, templates: &Templates) -> Result<BTreeSet<FileName>, TemplateError> {
        let mut changed = BTreeSet::new();
        for own in consumer.kind.own_files {
            let file = own_file(own.file);
            if !own.needed.by(consumer) {
                changed.extend(self.parts.remove(&file).map(|_| file));
                continue;
            }
            let view = Digest::of_value(&own_view(consumer, self.nameless.as_ref()));
            let certificate = self.nameless.clone().filter(|_| own.names_certificate);
            let is_known = |part: &&Part| matches!(part.of, Of::All(_, seen) if seen == view);
            if self.parts.get(&file).filter(is_known).is_some_and(|part| part.certificate == certificate) {
                continue;
            }
            let text = own_text(consumer, own, self.nameless.as_ref(), templates)?;
            let part = Part { file: Digest::of(&text), comes: own.comes, certificate, of: Of::All(own, view) };
            self.parts.insert(file.clone(), part);
            self.fresh.insert(file.clone(), text);
            changed.insert(file);
        }
        Ok(changed)
    }

    /// Finds out what differs from what is installed, given which parts are not as they were.
    fn follow_installed(&mut self, consumer: &Consumer, installed: &Rc<Installed>, mut changed: BTreeSet<FileName>) {
        if !Rc::ptr_eq(&self.installed, installed) {
            let before = mem::replace(&mut self.installed, Rc::clone(installed));
            changed.extend(differing_keys(&before.files, &installed.files).cloned());
            let given: BTreeSet<_> = differing_keys(&before.certificates, &installed.certificates).collect();
            if !given.is_empty() {
                let names =
                    |part: &Part| part.certificate.as_ref().is_some_and(|serving| given.contains(&serving.name));
                let named = self.parts.iter().filter(|(_, part)| names(part));
                changed.extend(named.map(|(file, _)| file.clone()));
            }
        }
        let mark = mark_file(consumer);
        for file in changed.into_iter().filter(|file| *file != mark) {
            let is_in_place = match self.parts.get(&file) {
                Some(part) => part.is_in_place(&file, installed),
                None => !installed.files.contains_key(&file),
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
    one.iter().merge_join_by(other, |(one, _), (other, _)| one.cmp(other)).filter_map(|pair| match pair {
        EitherOrBoth::Both((_, one), (_, other)) if one == other => None,
        EitherOrBoth::Both((key, _), _) | EitherOrBoth::Left((key, _)) | EitherOrBoth::Right((key, _)) => Some(key),
    })
}

/// The certificate that serves a site, if one does.
fn serving(host: &Host, site: &Site, observed: &Observed, now: Timestamp) -> Option<Serving> {
    let pin = site.pin.as_ref().map(|pin| &pin.certificate);
    let (name, held) = selection::serving(host, site.certificate.as_ref()?, pin, observed, now)?;
    Some(Serving { name: name.clone(), held: Rc::clone(held), is_shown: true })
}

/// The file of a site in a proxy's config folder.
pub fn site_file(host: &Host) -> FileName {
    FileName::parse(format!("quaymaster-{}.conf", host.file_word())).expect("it is plain and short enough for a file")
}

/// The file with the mark in a consumer's folder.
pub(super) fn mark_file(consumer: &Consumer) -> FileName {
    own_file(consumer.kind.mark_file)
}

fn own_file(name: &str) -> FileName {
    FileName::parse(name).expect("the kinds table has plain file names")
}

/// The text of the file that shows this mark.
pub(super) fn mark(
    consumer: &Consumer,
    templates: &Templates,
    rules: &Rules,
    mark: u64,
) -> Result<String, TemplateError> {
    let view = views::mark(consumer, &rules.mark_host, mark);
    Ok(file(consumer, &templates.render(consumer.kind.mark_template, &view)?))
}

fn site_text(
    consumer: &Consumer,
    host: &Host,
    site: &Site,
    serving: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let certificate = serving.map(|serving| (&serving.name, &*serving.held));
    let view = views::site(consumer, host, site, certificate);
    Ok(file(consumer, &templates.render(consumer.kind.site_template, &view)?))
}

fn own_text(
    consumer: &Consumer,
    own: &OwnFile,
    nameless: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    Ok(file(consumer, &templates.render(own.template, &own_view(consumer, nameless))?))
}

fn own_view(consumer: &Consumer, nameless: Option<&Serving>) -> ProxyView {
    views::proxy(consumer, nameless.map(|serving| (&serving.name, serving.held.shelf)))
}

fn file(consumer: &Consumer, text: &str) -> String {
    format!("{} {WRITTEN_BY_US}\n{text}", consumer.kind.comment)
}
