//! The first configuration of a server, as long as its user has written none.

use std::path::PathBuf;

use super::{
    content::PartInputs,
    part::{Of, Part},
    used,
};
use crate::{
    desire::{Consumer, DefaultConfig},
    observe::{Installed, InstalledFile},
    render::{CertificateView, DefaultConfigView, TemplateError, Templates},
    values::{Digest, FileName},
};

/// A default configuration that was made anew.
pub(super) struct NewDefault {
    pub file: FileName,
    pub text: Result<String, TemplateError>,
    /// The digest of what its template saw.
    pub seen: Digest,
}

/// The default configuration of a consumer; nothing where it has none, or what is known is still as it should be.
/// Without a name for its certificate, what is there stays.
pub(super) fn made<'p>(
    wanted: &PartInputs<'_>,
    known: impl FnOnce(&FileName) -> Option<&'p Part>,
) -> Option<NewDefault> {
    let config = wanted.consumer.default_config.as_ref()?;
    let view = view(config, wanted.consumer, wanted.installed)?;
    let seen = Digest::of_value(&view);
    let is_known = |part: &Part| matches!(part.of, Of::Default(of) if of == seen);
    if known(&config.file).is_some_and(is_known) {
        return None;
    }
    Some(NewDefault {
        file: config.file.clone(),
        text: rendered(config, &view, wanted.templates),
        seen,
    })
}

/// Its text; nothing where it has none.
pub(super) fn text(
    consumer: &Consumer,
    installed: &Installed,
    templates: &Templates,
) -> Option<Result<String, TemplateError>> {
    let config = consumer.default_config.as_ref()?;
    let view = view(config, consumer, installed)?;
    Some(rendered(config, &view, templates))
}

fn rendered(
    config: &DefaultConfig,
    view: &DefaultConfigView,
    templates: &Templates,
) -> Result<String, TemplateError> {
    let text = templates.render(config.kind.template, view)?;
    Ok(InstalledFile::sealed(config.kind.comment, &text))
}

/// The view for its template; none as long as the name of its certificate is not known.
fn view(
    config: &DefaultConfig,
    consumer: &Consumer,
    installed: &Installed,
) -> Option<DefaultConfigView> {
    let name = used::with_room(consumer).into_iter().next()?;
    let shown = |path: PathBuf| path.display().to_string();
    let [fullchain, privkey] = consumer.certificates.pair(name)?.map(shown);
    let there = |file: &FileName| {
        let is_there = installed.beside.contains(file);
        is_there.then(|| shown(config.folder.theirs.join(file.as_str())))
    };
    let [password_file, acl_file] = config.names.each_ref().map(there);
    Some(DefaultConfigView {
        certificate: CertificateView { fullchain, privkey },
        password_file,
        acl_file,
    })
}
