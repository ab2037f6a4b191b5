//! What a consumer's folder should hold: its parts, rendered.

use std::collections::BTreeMap;

use super::{Rules, selection, views};
use crate::{
    desire::{Comes, Consumer},
    observe::{Installed, Observed, Shelf},
    render::{TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// What every file of ours says of itself, so that it is known again whatever happens to our records.
const WRITTEN_BY_US: &str = "Written by quaymaster. Changes here are overwritten.";

/// A file of a consumer's folder, with the certificate that it names: what is given and held back as one.
pub(super) struct Part {
    pub text: String,
    pub file: Digest,
    pub comes: Comes,
    /// The host that it serves; none for what belongs to the consumer as a whole.
    pub host: Option<Host>,
    pub certificate: Option<Serving>,
}

/// A certificate that a file names.
#[derive(Clone)]
pub(super) struct Serving {
    pub name: CertificateName,
    pub digest: Digest,
    pub shelf: Shelf,
    /// The serial number that must be served for the host; none where clients send no name and are shown another's.
    pub serial: Option<String>,
}

impl Part {
    fn new(consumer: &Consumer, text: &str, comes: Comes) -> Self {
        let text = format!("{} {WRITTEN_BY_US}\n{text}", consumer.kind.comment);
        Self { file: Digest::of(&text), text, comes, host: None, certificate: None }
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
        let given = |serving: &Serving| installed.certificates.get(&serving.name) == Some(&serving.digest);
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
    Ok(Part::new(consumer, &templates.render(consumer.kind.mark_template, &view)?, Comes::WithSites).text)
}

/// Everything but the mark.
pub(super) fn parts(
    consumer: &Consumer,
    observed: &Observed,
    templates: &Templates,
    now: Timestamp,
) -> Result<BTreeMap<FileName, Part>, TemplateError> {
    let (mut parts, mut nameless) = (BTreeMap::new(), None);
    for (host, site) in &consumer.sites {
        let pin = site.pin.as_ref().map(|pin| &pin.certificate);
        let held = site.certificate.as_ref().and_then(|wanted| selection::serving(host, wanted, pin, observed, now));
        let view = views::site(consumer, host, site, held);
        let mut part = Part::new(consumer, &templates.render(consumer.kind.site_template, &view)?, Comes::WithSites);
        part.host = Some(host.clone());
        part.certificate = held.map(|(name, certificate)| Serving {
            name: name.clone(),
            digest: certificate.digest,
            shelf: certificate.shelf,
            serial: Some(certificate.serial.clone()),
        });
        if let Some(serving) = part.certificate.as_mut().filter(|_| host.address().is_some()) {
            // Of several addresses, only the first can be shown its own.
            let shown: &mut Serving = nameless.get_or_insert_with(|| Serving { serial: None, ..serving.clone() });
            serving.serial = serving.serial.take().filter(|_| shown.name == serving.name);
        }
        parts.insert(site_file(host), part);
    }
    for own in consumer.kind.own_files.iter().filter(|own| own.needed.by(consumer)) {
        let view = views::proxy(consumer, nameless.as_ref().map(|serving| (&serving.name, serving.shelf)));
        let mut part = Part::new(consumer, &templates.render(own.template, &view)?, own.comes);
        part.certificate = nameless.clone().filter(|_| own.names_certificate);
        parts.insert(own_file(own.file), part);
    }
    Ok(parts)
}
