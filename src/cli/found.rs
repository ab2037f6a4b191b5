//! A certificate that somebody names on the command line: by its name in our folders, or by its files.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use clap::{Arg, ArgAction, value_parser};

use super::{Call, Failure, forget::named, setup};
use crate::{
    adapters::disk::{Folders, FoundCertificate},
    ports::CertificateStore,
    values::{CertificateName, nearest},
};

/// The certificate that a command is about.
pub(super) fn argument() -> Arg {
    let arg = Arg::new("certificate")
        .value_name("NAME|FILE")
        .value_parser(value_parser!(PathBuf))
        .action(ArgAction::Append)
        .required(true);
    arg.help(
        "what it is called in live/ or provided/; or its file or folder, and that of its key where it lies elsewhere",
    )
}

/// The certificate that is meant. A word without a slash is a name first, then a file.
pub(super) fn find(call: &Call, folders: &Folders) -> Result<FoundCertificate, Failure> {
    let words = call.options.get_many::<PathBuf>("certificate");
    let files: Vec<_> = words.unwrap_or_default().cloned().collect();
    if let [word] = files.as_slice()
        && let Some(word) = plain(word)
        && let Ok(name) = named(word)
    {
        if let Some(found) = folders.certificate_called(&name)? {
            return Ok(found);
        }
        if !files.iter().all(|file| file.exists()) {
            return Err(unknown(&name, folders)?);
        }
    }
    Ok(folders.certificate_in(&files)?)
}

/// A word that is no path.
fn plain(word: &Path) -> Option<&str> {
    word.to_str().filter(|word| !word.contains('/'))
}

fn unknown(name: &CertificateName, folders: &Folders) -> Result<Failure, Failure> {
    let there = folders.certificates(setup::now())?;
    let names = there.held.keys().chain(there.provided.keys());
    let remedy = nearest(name.as_str(), names.map(CertificateName::as_str)).map_or_else(
        || "`quaymaster status` lists those that are there".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    Ok(Failure::Usage(format!(
        "there is no certificate {name} in live/ or provided/ of {}, and no file of that name; {remedy} (the setting \
         certificates says where they lie)",
        folders.place().display()
    )))
}

/// Our folders, whether an engine can be asked or not: where it can't, the setting `certificates` says where they are, or the
/// default counts.
pub(super) async fn folders(call: &Call) -> Rc<Folders> {
    if call.settings.certificates.is_some() {
        return setup::folders(call, None);
    }
    match setup::reached(call).await {
        Ok((_, own)) => setup::folders(call, own.as_ref()),
        // What is mounted here is not known then. What is not found is told with the place where it was looked for.
        Err(_) => setup::folders(call, None),
    }
}
