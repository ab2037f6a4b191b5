//! A file of a consumer's folder: what it is there for, what stands in it, the certificate that it names.

use std::{net::SocketAddr, rc::Rc};

use super::{
    PlanRules,
    selection::{Choice, Selection},
    server::Server,
    views,
};
use crate::{
    desire::{CertificateFolder, Comes, Consumer, OwnFile, ProxyKind, Site},
    observe::{CertificateVersion, HeldCertificate, Installed, InstalledFile, Shelf, Source},
    render::{ProxyView, TemplateError, Templates},
    values::{CertificateName, Digest, FileName, Host},
};

/// The wanted content of a file in a consumer's folder.
#[derive(Debug)]
pub(super) struct Part {
    /// The digest of its text, or why a template fails for it.
    pub text: Result<Digest, TemplateError>,
    pub comes: Comes,
    /// The certificate that it names.
    pub certificate: Option<Serving>,
    pub of: Of,
}

/// The purpose of a part.
#[derive(Debug)]
pub(super) enum Of {
    Site(Host),
    /// The consumer as a whole; with the digest of what its template sees.
    All(&'static OwnFile, Digest),
    /// The first configuration of a server; with the digest of its template's view.
    Default(Digest),
}

/// A certificate that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Serving {
    /// Its name in the consumer.
    pub name: CertificateName,
    /// Its name where it is held.
    of: CertificateName,
    held: Rc<HeldCertificate>,
    /// True if a client must see it; false where clients send no name and are shown another's.
    pub is_shown: bool,
}

impl Serving {
    pub fn new(name: CertificateName, held: Rc<HeldCertificate>) -> Self {
        Self::called(name.clone(), name, held)
    }

    /// One that has another name in the consumer.
    pub fn called(name: CertificateName, of: CertificateName, held: Rc<HeldCertificate>) -> Self {
        Self {
            name,
            of,
            held,
            is_shown: true,
        }
    }

    /// Which version of which certificate it is.
    pub fn version(&self) -> CertificateVersion {
        CertificateVersion {
            of: self.of.clone(),
            digest: self.held.digest,
        }
    }

    /// True if it is for this name.
    pub fn covers(&self, host: &Host) -> bool {
        self.held.covers(host)
    }

    /// The one that was chosen.
    pub fn of(choice: &Choice<'_>) -> Self {
        Self::new(choice.name.clone(), Rc::clone(choice.certificate))
    }

    pub fn digest(&self) -> Digest {
        self.held.digest
    }

    /// True if the consumer was given it.
    pub fn is_given(&self, installed: &Installed) -> bool {
        installed.certificates.get(&self.name) == Some(&self.held.digest)
    }

    /// True if it is a newer version of a certificate that the consumer has, in the same place: such a version comes by
    /// itself, and a certificate that is in no place yet comes with the first file that names it. Certificates that the
    /// user provides lie elsewhere than ours where the consumer reads our own folder.
    pub fn is_renewed_alone(&self, (consumer, installed): (&Consumer, &Installed)) -> bool {
        let has_one_place = match consumer.certificates {
            CertificateFolder::Delivered(_) => true,
            CertificateFolder::Shared { .. } => self.held.shelf == Shelf::Live,
        };
        has_one_place && installed.certificates.contains_key(&self.name)
    }

    /// True if the user put it there.
    pub fn is_the_users(&self) -> bool {
        self.held.source == Source::Provided
    }

    /// Its files, beneath the folder of certificates.
    pub fn files(&self) -> String {
        let Self { of, held, .. } = self;
        let folder = format!("{}/{of}", held.shelf.folder());
        match held.shelf {
            Shelf::Live | Shelf::Provided => {
                format!("{folder}/fullchain.pem and {folder}/privkey.pem")
            }
            Shelf::ProvidedInParts => format!("the files in {folder}"),
        }
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
        (&self.of, &self.held)
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
            Of::All(..) | Of::Default(_) => None,
        }
    }

    /// The row of what belongs to the consumer as a whole.
    pub fn own(&self) -> Option<&'static OwnFile> {
        match &self.of {
            Of::Site(_) | Of::Default(_) => None,
            Of::All(own, _) => Some(own),
        }
    }

    /// The template that it is rendered from.
    pub fn template(&self, consumer: &Consumer) -> Option<&'static str> {
        match &self.of {
            Of::Site(_) => Some(consumer.proxy.as_ref()?.kind.site_template),
            Of::All(own, _) => Some(own.template),
            Of::Default(_) => Some(consumer.default_config.as_ref()?.kind.template),
        }
    }

    /// The certificate that has to come with it, because the consumer does not have it yet.
    pub fn brings(&self, (consumer, installed): (&Consumer, &Installed)) -> Option<&Serving> {
        self.certificate.as_ref().filter(|serving| {
            !serving.is_given(installed) && !serving.is_renewed_alone((consumer, installed))
        })
    }

    /// The digest of its content, with the certificate that comes with it; none where a template fails for it.
    pub fn unit(&self, to: (&Consumer, &Installed)) -> Option<Digest> {
        let text = self.text.as_ref().ok()?;
        Some(match self.brings(to) {
            Some(serving) => Digest::of_parts([text.to_string(), serving.digest().to_string()]),
            None => *text,
        })
    }

    /// True if its text lies there, and a certificate of the name that it names.
    pub fn is_in_place(&self, file: &FileName, to: (&Consumer, &Installed)) -> bool {
        self.has_text(file, to.1) && self.brings(to).is_none()
    }

    /// True if its text lies there.
    pub fn has_text(&self, file: &FileName, installed: &Installed) -> bool {
        let there = installed.files.get(file);
        there.is_some_and(|there| self.text.as_ref() == Ok(&there.digest))
    }

    /// The serial number that clients must be shown for its host, where it and that certificate are installed.
    pub fn serial(&self, installed: &Installed) -> Option<(&Host, &str)> {
        let serving = self.certificate.as_ref()?;
        let serial = serving.serial().filter(|_| serving.is_given(installed))?;
        Some((self.host()?, serial))
    }
}

/// The certificate that serves a site, if one does.
pub(super) fn serving(
    consumer: &Consumer,
    (host, site): (&Host, &Site),
    selection: &Selection<'_>,
) -> Option<Serving> {
    selection
        .serving(consumer, host, site)
        .map(|choice| Serving::of(&choice))
}

/// The file of a site in a proxy's config folder.
pub fn site_file(host: &Host) -> FileName {
    FileName::parse(format!("quaymaster-{}.conf", host.file_word()))
        .expect("it is plain and short enough for a file")
}

/// The name of this file's site among those that are shut.
pub(super) fn closed_name(file: &FileName) -> Option<FileName> {
    let word = file
        .as_str()
        .strip_prefix("quaymaster-")?
        .strip_suffix(".conf")?;
    FileName::parse(word).ok()
}

/// The file with the mark in a consumer's folder.
pub(super) fn mark_file(kind: &ProxyKind) -> FileName {
    own_file(kind.mark_file)
}

pub(super) fn own_file(name: &str) -> FileName {
    FileName::parse(name).expect("the kinds table has plain file names")
}

/// The text of the file that shows this mark.
pub(super) fn mark(
    server: Server<'_>,
    templates: &Templates,
    rules: &PlanRules,
    mark: u64,
) -> Result<String, TemplateError> {
    let view = views::mark(server, &rules.mark_host, mark);
    let kind = server.proxy.kind;
    let text = templates.render(kind.mark_template, &view)?;
    Ok(file(kind, &[], &text))
}

pub(super) fn site_text(
    server: Server<'_>,
    host: &Host,
    site: &Site,
    serving: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let certificate = serving.map(|serving| (&serving.name, &*serving.held));
    let view = views::site(server, host, site, certificate);
    let kind = server.proxy.kind;
    let text = templates.render(kind.site_template, &view)?;
    Ok(file(kind, &site.leads_to(), &text))
}

pub(super) fn own_text(
    server: Server<'_>,
    own: &OwnFile,
    nameless: Option<&Serving>,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let text = templates.render(own.template, &own_view(server, nameless))?;
    Ok(file(server.proxy.kind, &[], &text))
}

pub(super) fn own_view(server: Server<'_>, nameless: Option<&Serving>) -> ProxyView {
    views::proxy(
        server,
        nameless.map(|serving| (&serving.name, serving.held.shelf)),
    )
}

fn file(kind: &ProxyKind, leads_to: &[SocketAddr], text: &str) -> String {
    format!("{}{text}", InstalledFile::heading(kind.comment, leads_to))
}
