//! The wanted content of a consumer: files, and newer versions of certificates that it has. Rendered files are
//! remembered by their inputs, so that of thousands of sites only those are looked at again that changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    rc::Rc,
};

use super::{
    default_config::{self, NewDefault},
    gate::Gate,
    newer::{self, next_change},
    obtain::HeldCertificates,
    part::{
        Of, Part, Serving, mark_file, own_file, own_text, own_view, serving, site_file, site_text,
    },
    selection::Selection,
    server::Server,
    used,
    views::ServerFacts,
};
use crate::{
    desire::{Comes, Consumer, Site, Use},
    observe::{Installed, Observed},
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, KeyedTable, TableChange, Timestamp},
};

/// The inputs from which parts are found out.
#[derive(Clone, Copy)]
pub(super) struct PartInputs<'a> {
    pub consumer: &'a Consumer,
    pub server: Option<Server<'a>>,
    pub installed: &'a Rc<Installed>,
    /// With the user's own certificates in place of ours of the same names.
    pub observed: &'a Observed,
    /// Those in `live/`, with ours under these names.
    pub live: &'a Rc<HeldCertificates>,
    /// Which of them serves a name.
    pub selection: &'a Selection<'a>,
    pub templates: &'a Templates,
    pub now: Timestamp,
}

/// All parts of one consumer but the mark, as they were last found out, and what they were found out from.
#[derive(Debug)]
pub(super) struct Parts {
    files: BTreeMap<FileName, Part>,
    /// Those of them that a template fails for: what lies there is neither as it should be nor known to be too much.
    failing: BTreeSet<FileName>,
    /// Certificates that come by themselves: of which the consumer has another version, and those that its labels ask for.
    renewed: BTreeMap<CertificateName, Serving>,
    /// Certificates that its labels ask for, and the labels.
    used: BTreeMap<CertificateName, Serving>,
    uses: KeyedTable<Host, Use>,
    /// The certificate that clients are shown who send no name, where there is one.
    nameless: Option<Serving>,
    /// The certificate for names that no site has, where one is meant to be shown.
    unknown: Option<Serving>,
    templates: Digest,
    server: Digest,
    gate: Option<Gate>,
    listens_ipv6: bool,
    /// The sites that have files, and those of them that are addresses.
    sites: KeyedTable<Host, Rc<Site>>,
    addresses: BTreeSet<Host>,
    held: Rc<HeldCertificates>,
    live: Rc<HeldCertificates>,
    /// Until when the same certificates serve the same sites.
    until: Timestamp,
    installed: Rc<Installed>,
    /// Files in which what is installed differs from what should be.
    differing: BTreeSet<FileName>,
    /// Texts that were rendered just now: whoever writes them need not render them again.
    fresh: BTreeMap<FileName, String>,
}

/// A site that has to be rendered.
struct NewSite<'a> {
    host: &'a Host,
    site: &'a Rc<Site>,
    serving: Option<Serving>,
}

impl Parts {
    /// Nothing is known yet.
    pub fn none() -> Self {
        Self {
            files: BTreeMap::new(),
            failing: BTreeSet::new(),
            renewed: BTreeMap::new(),
            used: BTreeMap::new(),
            uses: KeyedTable::default(),
            nameless: None,
            unknown: None,
            templates: Digest::of(""),
            server: Digest::of(""),
            gate: None,
            listens_ipv6: false,
            sites: KeyedTable::default(),
            addresses: BTreeSet::new(),
            held: Rc::default(),
            live: Rc::default(),
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
            selection,
            templates,
            ..
        } = *wanted;
        let facts = wanted.server.map(ServerFacts::of);
        let default_config = consumer.default_config.as_ref().map(|it| &it.folder);
        let server = (
            consumer.kind.name,
            facts,
            &consumer.certificates,
            default_config,
        );
        let server = Digest::of_value(&server);
        if (server, templates.digest()) != (self.server, self.templates) {
            *self = Self {
                server,
                gate: wanted.server.map(|server| server.gate.clone()),
                listens_ipv6: wanted.server.is_some_and(|server| server.listens_ipv6),
                templates: templates.digest(),
                ..Self::none()
            };
        }
        self.fresh.clear();
        let are_same_held = Rc::ptr_eq(&self.held, &wanted.observed.held)
            && Rc::ptr_eq(&self.live, wanted.live)
            && wanted.now < self.until;
        let are_same_given = Rc::ptr_eq(&self.installed, wanted.installed);
        let are_same_uses = self.uses == consumer.uses;
        if !are_same_uses {
            self.uses = consumer.uses.clone();
        }
        if !(are_same_held && are_same_uses) {
            self.used = used::used(consumer, selection);
        }
        let mut changed = self.follow_sites(wanted, are_same_held);
        if !are_same_held {
            let unknown = selection.of_unknown(consumer);
            self.unknown = unknown.map(|choice| Serving::of(&choice).unshown());
        }
        self.follow_nameless();
        if let Some(server) = wanted.server {
            changed.extend(self.follow_own(server, wanted));
        }
        changed.extend(self.follow_default(wanted));
        self.follow_installed(consumer, wanted.installed, changed);
        if !(are_same_held && are_same_given && are_same_uses) {
            self.renewed = newer::renewed(wanted, &self.used);
        }
    }

    /// The wanted content of this file; none where there should be no such file.
    pub fn get(&self, file: &FileName) -> Option<&Part> {
        self.files.get(file)
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = (&FileName, &Part)> {
        self.files.iter()
    }

    /// Those that a template fails for.
    pub fn failing(&self) -> impl Iterator<Item = (&FileName, &Part, &TemplateError)> {
        self.failing.iter().filter_map(|file| {
            let part = self.files.get(file)?;
            Some((file, part, part.text.as_ref().err()?))
        })
    }

    /// Certificates that its labels ask for, by the names of those that are wanted.
    pub fn used(&self) -> &BTreeMap<CertificateName, Serving> {
        &self.used
    }

    /// Certificates that come by themselves: of which the consumer has another version, and those that its labels ask for.
    pub fn renewed(&self) -> &BTreeMap<CertificateName, Serving> {
        &self.renewed
    }

    /// True if there is any site that a template could be rendered for.
    pub fn has_site(&self) -> bool {
        let mut parts = self.files.values();
        parts.any(|part| part.host().is_some() && part.text.is_ok())
    }

    /// The host whose file this is; none for what belongs to the consumer as a whole or to nobody.
    pub fn host(&self, file: &FileName) -> Option<&Host> {
        self.files.get(file)?.host()
    }

    /// That host's site.
    pub fn site(&self, file: &FileName) -> Option<&Site> {
        self.sites.get(self.host(file)?).map(Rc::as_ref)
    }

    /// Until when the same certificates serve the same sites.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
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
            .map(|file| (file, self.files.get(file)))
    }

    /// The text of this file; none where there is no such file.
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
        let Some(part) = self.files.get(file) else {
            return Ok(None);
        };
        if matches!(part.of, Of::Default(_)) {
            let text = default_config::text(consumer, &self.installed, templates);
            return text.transpose();
        }
        let Some(gate) = &self.gate else {
            return Ok(None);
        };
        let Some(proxy) = &consumer.proxy else {
            return Ok(None);
        };
        let server = Server {
            consumer,
            proxy,
            gate,
            listens_ipv6: self.listens_ipv6,
        };
        match &part.of {
            Of::All(own, _) => own_text(server, own, self.nameless.as_ref(), templates).map(Some),
            Of::Default(_) => Ok(None),
            Of::Site(host) => {
                let site = self.sites.get(host);
                let serving = part.certificate.as_ref();
                site.map(|site| site_text(server, host, site, serving, templates))
                    .transpose()
            }
        }
    }

    /// Brings the files of sites up to date; returns those that are not as they were.
    fn follow_sites(&mut self, wanted: &PartInputs<'_>, are_same_held: bool) -> BTreeSet<FileName> {
        let (gone, new) = self.compare_sites(wanted, are_same_held);
        if !are_same_held {
            self.until = next_change(wanted.observed, wanted.now);
            self.held = Rc::clone(&wanted.observed.held);
            self.live = Rc::clone(wanted.live);
        }
        let mut changed = BTreeSet::new();
        for host in gone {
            let file = site_file(&host);
            self.forget(&file);
            self.addresses.remove(&host);
            changed.insert(file);
        }
        let Some(server) = wanted.server else {
            self.sites = KeyedTable::default();
            return changed;
        };
        for NewSite {
            host,
            site,
            serving,
        } in new
        {
            let file = site_file(host);
            let text = site_text(server, host, site, serving.as_ref(), wanted.templates);
            let of = Of::Site(host.clone());
            if host.address().is_some() {
                self.addresses.insert(host.clone());
            }
            self.take(file.clone(), text, Comes::WithSites, serving, of);
            changed.insert(file);
        }
        self.sites = wanted.consumer.sites.clone();
        changed
    }

    /// Hosts that are gone, and sites that have to be rendered.
    fn compare_sites<'a>(
        &self,
        wanted: &PartInputs<'a>,
        are_same_held: bool,
    ) -> (Vec<Host>, Vec<NewSite<'a>>) {
        let PartInputs {
            consumer,
            selection,
            ..
        } = *wanted;
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let with_certificate = |host, site: &'a Rc<Site>| NewSite {
            host,
            site,
            serving: serving(consumer, (host, site), selection),
        };
        for TableChange { key, now, .. } in consumer.sites.changes(&self.sites) {
            match now {
                None => gone.push(key.clone()),
                // The key of the wanted table, which lives as long as what is wanted.
                Some(_) => new.extend(
                    consumer
                        .sites
                        .get_key_value(key)
                        .map(|(host, site)| with_certificate(host, site)),
                ),
            }
        }
        if are_same_held {
            return (gone, new);
        }
        for (host, site) in &consumer.sites {
            if self.sites.get(host) != Some(site) {
                continue;
            }
            let found = with_certificate(host, site);
            let before = self.files.get(&site_file(host));
            let before = before.and_then(|part| part.certificate.as_ref());
            if before.map(Serving::which) != found.serving.as_ref().map(Serving::which) {
                new.push(found);
            }
        }
        (gone, new)
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
        let part = Part {
            text: match &text {
                Ok(text) => Ok(Digest::of(text)),
                Err(error) => Err(error.clone()),
            },
            comes,
            certificate,
            of,
        };
        match text {
            Ok(text) => drop(self.fresh.insert(file.clone(), text)),
            Err(_) => drop(self.failing.insert(file.clone())),
        }
        self.files.insert(file, part);
    }

    fn forget(&mut self, file: &FileName) {
        self.files.remove(file);
        self.failing.remove(file);
    }

    /// Of several addresses, only the first can be shown its own certificate. Where there is none, clients that send no name
    /// are shown what those are that send one which no site has.
    fn follow_nameless(&mut self) {
        self.nameless = None;
        for host in &self.addresses {
            let serving = self
                .files
                .get_mut(&site_file(host))
                .and_then(|part| part.certificate.as_mut());
            let Some(serving) = serving else { continue };
            let shown = self.nameless.get_or_insert_with(|| serving.unshown());
            serving.is_shown = shown.name == serving.name;
        }
        if self.nameless.is_none() {
            self.nameless = self.unknown.clone();
        }
    }

    /// Brings the files of the consumer as a whole up to date; returns those that are not as they were.
    fn follow_own(&mut self, server: Server<'_>, wanted: &PartInputs<'_>) -> BTreeSet<FileName> {
        let mut changed = BTreeSet::new();
        for own in server.proxy.kind.own_files {
            let file = own_file(own.file);
            let is_there = wanted.installed.files.contains_key(&file);
            if !own.needed.by(server.consumer, server.proxy, is_there) {
                self.forget(&file);
                changed.insert(file);
                continue;
            }
            let view = Digest::of_value(&own_view(server, self.nameless.as_ref()));
            let certificate = self.nameless.clone().filter(|_| own.names_certificate);
            let is_known = |part: &&Part| {
                matches!(part.of, Of::All(_, seen) if seen == view)
                    && part.certificate == certificate
            };
            if self.files.get(&file).is_some_and(|part| is_known(&part)) {
                continue;
            }
            let text = own_text(server, own, self.nameless.as_ref(), wanted.templates);
            let of = Of::All(own, view);
            self.take(file.clone(), text, own.comes, certificate, of);
            changed.insert(file);
        }
        changed
    }

    /// Brings what a server is given to start with up to date; returns its name where that is not as it was.
    fn follow_default(&mut self, wanted: &PartInputs<'_>) -> Option<FileName> {
        let known = |file: &FileName| self.files.get(file);
        let NewDefault { file, text, seen } = default_config::made(wanted, known)?;
        self.take(
            file.clone(),
            text,
            Comes::WithSites,
            None,
            Of::Default(seen),
        );
        Some(file)
    }

    /// Finds out which files differ from those that are installed, given which are not as they were.
    fn follow_installed(
        &mut self,
        consumer: &Consumer,
        installed: &Rc<Installed>,
        mut changed: BTreeSet<FileName>,
    ) {
        if !Rc::ptr_eq(&self.installed, installed) {
            let before = mem::replace(&mut self.installed, Rc::clone(installed));
            let files = installed.files.changes(&before.files);
            changed.extend(files.map(|change| change.key.clone()));
            let given: BTreeSet<_> = installed
                .certificates
                .changes(&before.certificates)
                .map(|change| change.key)
                .collect();
            if !given.is_empty() {
                let names = |part: &Part| {
                    part.certificate
                        .as_ref()
                        .is_some_and(|serving| given.contains(&serving.name))
                };
                let named = self.files.iter().filter(|(_, part)| names(part));
                changed.extend(named.map(|(file, _)| file.clone()));
            }
        }
        let mark = consumer.proxy.as_ref();
        let mark = mark.map(|proxy| mark_file(proxy.kind));
        let but_mark = |file: &FileName| mark.as_ref() != Some(file);
        let default = consumer.default_config.as_ref().map(|it| &it.file);
        for file in changed.into_iter().filter(but_mark) {
            let is_in_place = match self.files.get(&file) {
                // It is not known now what should be in it.
                None if default == Some(&file) => true,
                Some(part) => part.text.is_err() || part.is_in_place(&file, (consumer, installed)),
                None => !installed.files.contains_key(&file),
            };
            match is_in_place {
                true => drop(self.differing.remove(&file)),
                false => drop(self.differing.insert(file)),
            }
        }
    }
}
