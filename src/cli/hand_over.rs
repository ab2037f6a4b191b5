//! What a command obtained is offered to the daemon that works on the same state, so that it orders nothing for names that
//! labels want.

use std::{cell::RefCell, path::PathBuf, time::Duration};

use itertools::Itertools;
use serde::Serialize;

use super::{Call, Failure, setup, watch::Stop};
use crate::{
    adapters::disk::{Folders, LaidOut, Lock},
    observe::{HandOver, TakenOver},
    ports::{DiskError, IssuedCertificate, IssuedFiles, IssuedKey, ObtainedPair, Wishes},
    report::explain::Works,
    values::{CertificateName, Digest},
};

/// How often the command looks for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Files of the user's own, of which the daemon is offered a copy.
pub(super) struct Offered<'a> {
    files: &'a LaidOut,
    /// What was put into them, with its profile; nothing where the key is not ours to give.
    put: RefCell<Option<(ObtainedPair, String)>>,
}

impl<'a> Offered<'a> {
    pub(super) fn new(files: &'a LaidOut) -> Self {
        Self {
            files,
            put: RefCell::default(),
        }
    }
}

impl IssuedFiles for Offered<'_> {
    fn put(&self, issued: &IssuedCertificate<'_>) -> Result<Vec<PathBuf>, DiskError> {
        let put = self.files.put(issued)?;
        if let IssuedKey::Key(key) = issued.key {
            let pair = ObtainedPair {
                chain: issued.chain.to_owned(),
                key: key.clone(),
            };
            *self.put.borrow_mut() = Some((pair, issued.profile.to_owned()));
        }
        Ok(put)
    }
}

/// What the daemon does with what was obtained, as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub(super) enum DaemonAnswer {
    /// It has looked.
    Looked(TakenOver),
    /// It did not say, and it can't use it any more.
    Silent,
}

impl DaemonAnswer {
    /// The same for people, a line or nothing.
    pub(super) fn text(&self) -> Vec<String> {
        match self {
            Self::Silent => vec![
                "it did not answer, and may order another; `quaymaster import` hands this one over"
                    .to_owned(),
            ],
            Self::Looked(TakenOver { taken, refused }) => {
                let uses = (!taken.is_empty())
                    .then(|| format!("it uses this certificate for {}", taken.iter().join(", ")));
                let refused = refused.iter();
                let refused = refused.map(|(name, why)| {
                    format!("it does not use this certificate for {name}: {why}")
                });
                uses.into_iter().chain(refused).collect()
            }
        }
    }
}

/// Offers it to the daemon that works on the same state, and waits for its answer; nothing where none works there, nobody
/// wants the names, or the key is not ours. The files are there already: whatever happens here, they stay.
pub(super) async fn offered(
    call: &Call,
    files: &Offered<'_>,
    directory: &str,
) -> Result<Option<DaemonAnswer>, Failure> {
    let state = &call.settings.state;
    let folders = setup::folders(call, None);
    let Some((pair, profile)) = files.put.take() else {
        return Ok(None);
    };
    if setup::works(call, &folders, setup::now())? != Works::Well {
        return Ok(None);
    }
    let which = Digest::of(pair.chain.as_bytes());
    let word = format!("{:.200}-{}", files.files.name().as_str(), which.short());
    let word = CertificateName::parse(word).map_err(|error| Failure::Usage(error.to_string()))?;
    let about = HandOver {
        ca: directory.to_owned(),
        profile,
        left: setup::now(),
        outcome: None,
    };
    folders.leave_hand_over(word.as_str(), &about, &pair)?;
    drop(pair);
    Lock::nudge(state)?;
    let mut stop = Stop::new()?;
    let answer = tokio::select! {
        answer = answer(call, &folders, word.as_str()) => answer,
        _ = stop.wait() => Ok(DaemonAnswer::Silent),
    };
    folders.drop_hand_over(word.as_str())?;
    let answer = answer?;
    let is_unwanted = matches!(&answer, DaemonAnswer::Looked(over) if over.is_unwanted());
    Ok((!is_unwanted).then_some(answer))
}

/// Waits for the daemon to look, as long as it works.
async fn answer(call: &Call, folders: &Folders, word: &str) -> Result<DaemonAnswer, Failure> {
    loop {
        let (mut found, _) = folders.hand_overs()?;
        match found.remove(word).map(|about| about.outcome) {
            Some(Some(over)) => return Ok(DaemonAnswer::Looked(over)),
            // It could not be read, which the daemon has told.
            None => return Ok(DaemonAnswer::Silent),
            Some(None) => {}
        }
        if setup::works(call, folders, setup::now())? != Works::Well {
            return Ok(DaemonAnswer::Silent);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
