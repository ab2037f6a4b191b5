//! A file of a consumer's folder: what it is there for, what stands in it, the certificate that it names.

use std::{net::SocketAddr, rc::Rc};

use super::{PlanRules, gate::Gate, selection, views};
use crate::{
    desire::{Comes, Consumer, OwnFile, Site},
    observe::{HeldCertificate, Installed, InstalledFile, Observed, Shelf, Source},
    render::{ProxyView, TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host, Timestamp},
};

/// A file of a consumer's folder, with the certificate that it names: what is given and held back as one.
#[derive(Debug)]
pub(super) struct Part {
    /// The digest of its text.
    pub file: Digest,
    pub comes: Comes,
    pub certificate: Option<Serving>,
    pub of: Of,
}

/// What a part is there for.
#[derive(Debug)]
pub(super) enum Of {
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
    pub is_shown: bool,
}

impl Serving {
    pub fn digest(&self) -> Digest {
        self.held.digest
    }

    /// Whether the consumer was given it.
    pub fn is_given(&self, installed: &Installed) -> bool {
        installed.certificates.get(&self.name) == Some(&self.held.digest)
    }

    /// Whether the user put it there.
    pub fn is_the_users(&self) -> bool {
        self.held.source == Source::Provided
    }

    /// Its files, beneath the folder of certificates.
    pub fn files(&self) -> String {
        let Self { name, held, .. } = self;
        let at = |file| format!("{}/{name}/{file}", held.shelf.folder());
        let chain = match held.shelf {
            Shelf::Live | Shelf::Provided => at("fullchain.pem"),
            Shelf::ProvidedInParts => format!("{}, {}", at("cert.pem"), at("chain.pem")),
        };
        format!("{chain} and {}", at("privkey.pem"))
    }

    /// The same one where it need not be seen.
    pub fn unshown(&self) -> Self {
        Self {
            is_shown: false,
            ..self.clone()
        }
    }

    /// Which certificate it is, whoever is shown it.
    pub fn which(&self) -> (&CertificateName, &Rc<HeldCertificate>) {
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
            Some(serving) => {
                Digest::of_parts([self.file.to_string(), serving.digest().to_string()])
            }
            None => self.file,
        }
    }

    /// Whether all of it lies there.
    pub fn is_in_place(&self, file: &FileName, installed: &Installed) -> bool {
        self.has_file(file, installed) && self.has_certificate(installed)
    }

    /// Whether its text lies there.
    pub fn has_file(&self, file: &FileName, installed: &Installed) -> bool {
        installed
            .files
            .get(file)
            .is_some_and(|there| there.digest == self.file)
    }

    /// Whether its certificate lies there, if it has one.
    pub fn has_certificate(&self, installed: &Installed) -> bool {
        self.certificate
            .as_ref()
            .is_none_or(|serving| serving.is_given(installed))
    }
}

/// The certificate that serves a site, if one does.
pub(super) fn serving<'a>(
    consumer: &Consumer,
    (host, site): (&Host, &Site),
    held: (&'a Observed, &selection::ProvidedByHost<'a>),
    now: Timestamp,
) -> Option<Serving> {
    let (name, held) = selection::serving(consumer, host, site, held, now)?;
    Some(Serving {
        name: name.clone(),
        held: Rc::clone(held),
        is_shown: true,
    })
}

/// The file of a site in a proxy's config folder.
pub fn site_file(host: &Host) -> FileName {
    FileName::parse(format!("quaymaster-{}.conf", host.file_word()))
        .expect("it is plain and short enough for a file")
}

/// What a site of this file is called among those that are shut.
pub(super) fn closed_name(file: &FileName) -> Option<FileName> {
    let word = file
        .as_str()
        .strip_prefix("quaymaster-")?
        .strip_suffix(".conf")?;
    FileName::parse(word).ok()
}

/// The file with the mark in a consumer's folder.
pub(super) fn mark_file(consumer: &Consumer) -> FileName {
    own_file(consumer.kind.mark_file)
}

pub(super) fn own_file(name: &str) -> FileName {
    FileName::parse(name).expect("the kinds table has plain file names")
}

/// The text of the file that shows this mark.
pub(super) fn mark(
    consumer: &Consumer,
    templates: &Templates,
    rules: &PlanRules,
    mark: u64,
) -> Result<String, TemplateError> {
    let view = views::mark(consumer, &rules.mark_host, mark);
    Ok(file(
        consumer,
        &[],
        &templates.render(consumer.kind.mark_template, &view)?,
    ))
}

pub(super) fn site_text(
    (consumer, gate): (&Consumer, &Gate),
    host: &Host,
    site: &Site,
    serving: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let certificate = serving.map(|serving| (&serving.name, &*serving.held));
    let view = views::site((consumer, gate), host, site, certificate);
    Ok(file(
        consumer,
        &site.leads_to(),
        &templates.render(consumer.kind.site_template, &view)?,
    ))
}

pub(super) fn own_text(
    (consumer, gate): (&Consumer, &Gate),
    own: &OwnFile,
    nameless: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    Ok(file(
        consumer,
        &[],
        &templates.render(own.template, &own_view(consumer, gate, nameless))?,
    ))
}

pub(super) fn own_view(consumer: &Consumer, gate: &Gate, nameless: Option<&Serving>) -> ProxyView {
    views::proxy(
        (consumer, gate),
        nameless.map(|serving| (&serving.name, serving.held.shelf)),
    )
}

fn file(consumer: &Consumer, leads_to: &[SocketAddr], text: &str) -> String {
    format!(
        "{}{text}",
        InstalledFile::heading(consumer.kind.comment, leads_to)
    )
}
