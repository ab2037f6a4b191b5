//! From the settings of receivers to what delivers to them.

use std::rc::Rc;

use super::{Call, Failure, ca_setup, setup};
use crate::{
    adapters::{
        clock::SystemClock,
        disk::{self, Folders},
        hook::Hook,
        notifier::{HttpNotifier, HttpReceiver},
    },
    daemon::{Notifying, Receiver},
    observe::Bearer,
    ports::{Clock, DiskError, NewsBooks, Notifier},
    report::MessageTemplate,
    values::{NotifySettings, NotifyTableError, Secret},
};

/// Enters what happens for all receivers of the settings from now on; delivers it, too, where `delivers`.
pub(super) fn begin(call: &Call, delivers: bool) -> Result<Notifying, Failure> {
    // Commands are run outside of containers alone, and books lie in state: nobody has to be asked who we are.
    let folders = setup::folders(call, None);
    let tables = call.settings.notify.iter();
    let receivers = tables.map(|(name, settings)| receiver(call, &folders, name, settings));
    let receivers = receivers.collect::<Result<_, _>>()?;
    let (books, clock): (Rc<dyn NewsBooks>, Rc<dyn Clock>) = (folders, Rc::new(SystemClock));
    Ok(Notifying::begin(receivers, &books, &clock, delivers)?)
}

/// Looks whether what the settings want can be done in the container that we run in.
pub(super) fn check(call: &Call, own: Option<&Bearer>) -> Result<(), Failure> {
    let mut tables = call.settings.notify.iter();
    let of_command = tables.find(|(_, settings)| settings.command.is_some());
    match (own, of_command) {
        (Some(own), Some((name, _))) => {
            let problem = format!(
                "quaymaster runs in the container {}, where there is nothing that a command could run; write url, or run \
                 quaymaster outside of containers",
                own.name
            );
            Err(NotifyTableError::new(name, problem).into())
        }
        _ => Ok(()),
    }
}

/// The receiver of this table.
pub(super) fn receiver(
    call: &Call,
    folders: &Folders,
    name: &str,
    settings: &NotifySettings,
) -> Result<Receiver, Failure> {
    let wrong = |problem: String| Failure::from(NotifyTableError::new(name, problem));
    let (origin, text) = match &settings.template {
        Some(path) => (path.display().to_string(), disk::text(path)?),
        None => (
            settings.format.name.to_owned(),
            settings.format.template.to_owned(),
        ),
    };
    let template = MessageTemplate::new(&origin, text, settings.room.clone()).map_err(wrong)?;
    let notifier: Rc<dyn Notifier> = match &settings.command {
        Some(words) => {
            let certificates = folders.certificates_folder().to_owned();
            Rc::new(Hook::new(words.clone(), &call.environment, certificates))
        }
        None => Rc::new(http(call, settings).map_err(|failure| match failure {
            Unfit::Table(problem) => wrong(problem),
            Unfit::Other(failure) => failure,
        })?),
    };
    Ok(Receiver {
        name: name.to_owned(),
        settings: settings.clone(),
        template,
        notifier,
    })
}

/// Why there is no receiver.
enum Unfit {
    /// Its table is wrong.
    Table(String),
    /// Something else.
    Other(Failure),
}

impl From<DiskError> for Unfit {
    fn from(error: DiskError) -> Self {
        Self::Other(error.into())
    }
}

fn http(call: &Call, settings: &NotifySettings) -> Result<HttpNotifier, Unfit> {
    let secret = |written: &Option<Secret>, file: &Option<std::path::PathBuf>| match (written, file)
    {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) => disk::text(path).map(|text| Some(Secret::new(text))),
        (None, None) => Ok(None),
    };
    let url = secret(&settings.url, &settings.url_file)?;
    let usual = || Secret::new(settings.format.url.unwrap_or_default());
    let receiver = HttpReceiver {
        settings,
        url: url.unwrap_or_else(usual),
        headers: secret(&settings.headers, &settings.headers_file)?,
        token: secret(&settings.token, &settings.token_file)?,
        root: settings.root.as_deref().map(disk::text).transpose()?,
    };
    let proxy = ca_setup::https_proxy(call).map_err(Unfit::Other)?;
    HttpNotifier::new(receiver, &proxy).map_err(Unfit::Table)
}
