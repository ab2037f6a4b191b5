//! What a consumer's folder should hold: its parts, rendered.

use std::collections::BTreeMap;

use super::{
    Rules, selection,
    views::{self, ServerFacts, SiteFacts},
};
use crate::{
    desire::{Comes, Consumer},
    observe::{Installed, Observed, Shelf},
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// What every file of ours says of itself, so that it is known again whatever happens to our records.
const WRITTEN_BY_US: &str = "Written by quaymaster. Changes here are overwritten.";

/// A file of a consumer's folder, with the certificate that it names: what is given and held back as one.
pub(super) struct Part<'a> {
    pub file: Digest,
    pub comes: Comes,
    /// The host that it serves; none for what belongs to the consumer as a whole.
    pub host: Option<&'a Host>,
    pub certificate: Option<Serving<'a>>,
    content: Content<'a>,
}

/// How a part's text is come by.
enum Content<'a> {
    /// It was rendered.
    Text(String),
    /// It was rendered before, and is rendered again where it is needed: most files are as they were.
    Known(SiteFacts<'a>),
}

/// A certificate that a file names.
#[derive(Clone)]
pub(super) struct Serving<'a> {
    pub name: &'a CertificateName,
    pub digest: Digest,
    pub shelf: Shelf,
    /// The serial number that must be served for the host; none where clients send no name and are shown another's.
    pub serial: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn own(text: String, comes: Comes) -> Self {
        Self { file: Digest::of(&text), comes, host: None, certificate: None, content: Content::Text(text) }
    }

    fn site(
        consumer: &Consumer,
        host: &'a Host,
        facts: SiteFacts<'a>,
        templates: &Templates,
    ) -> Result<Self, TemplateError> {
        let mut content = Content::Known(facts);
        let file = templates.recall(&(consumer.kind.name, facts), || {
            let text = site(consumer, &facts, templates)?;
            let digest = Digest::of(&text);
            content = Content::Text(text);
            Ok(digest)
        })?;
        Ok(Self { file, comes: Comes::WithSites, host: Some(host), certificate: None, content })
    }

    /// What stands in it.
    pub fn text(&self, consumer: &Consumer, templates: &Templates) -> Result<String, TemplateError> {
        match &self.content {
            Content::Text(text) => Ok(text.clone()),
            Content::Known(facts) => site(consumer, facts, templates),
        }
    }

    /// What is in it, certificate included.
    pub fn unit(&self) -> Digest {
        match &self.certificate {
            Some(serving) => Digest::of_parts([self.file.to_string(), serving.digest.to_string()]),
            None => self.file,
        }
    }

    /// Whether all of it lies there.
    pub fn is_in_place(&self, file: &FileName, installed: &Installed) -> bool {
        installed.files.get(file) == Some(&self.file) && self.has_certificate(installed)
    }

    /// Whether its certificate lies there, if it has one.
    pub fn has_certificate(&self, installed: &Installed) -> bool {
        let given = |serving: &Serving<'_>| installed.certificates.get(serving.name) == Some(&serving.digest);
        self.certificate.as_ref().is_none_or(given)
    }
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

/// The text of a site's file.
fn site(consumer: &Consumer, facts: &SiteFacts<'_>, templates: &Templates) -> Result<String, TemplateError> {
    Ok(file(consumer, &templates.render(consumer.kind.site_template, &views::site(facts))?))
}

fn file(consumer: &Consumer, text: &str) -> String {
    format!("{} {WRITTEN_BY_US}\n{text}", consumer.kind.comment)
}

/// Everything but the mark.
pub(super) fn parts<'a>(
    consumer: &'a Consumer,
    observed: &'a Observed,
    templates: &Templates,
    now: Timestamp,
) -> Result<BTreeMap<FileName, Part<'a>>, TemplateError> {
    let (mut parts, mut nameless) = (BTreeMap::new(), None);
    let server = ServerFacts::of(consumer);
    for (host, site) in &consumer.sites {
        let pin = site.pin.as_ref().map(|pin| &pin.certificate);
        let held = site.certificate.as_ref().and_then(|wanted| selection::serving(host, wanted, pin, observed, now));
        let mut part = Part::site(consumer, host, server.site(host, site, held), templates)?;
        part.certificate = held.map(|(name, certificate)| Serving {
            name,
            digest: certificate.digest,
            shelf: certificate.shelf,
            serial: Some(&certificate.serial),
        });
        if let Some(serving) = part.certificate.as_mut().filter(|_| host.address().is_some()) {
            // Of several addresses, only the first can be shown its own.
            let shown: &mut Serving<'_> = nameless.get_or_insert_with(|| Serving { serial: None, ..serving.clone() });
            serving.serial = serving.serial.take().filter(|_| shown.name == serving.name);
        }
        parts.insert(site_file(host), part);
    }
    for own in consumer.kind.own_files.iter().filter(|own| own.needed.by(consumer)) {
        let view = views::proxy(consumer, nameless.as_ref().map(|serving| (serving.name, serving.shelf)));
        let mut part = Part::own(file(consumer, &templates.render(own.template, &view)?), own.comes);
        part.certificate = nameless.clone().filter(|_| own.names_certificate);
        parts.insert(own_file(own.file), part);
    }
    Ok(parts)
}
