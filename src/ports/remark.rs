//! The remarks of adapters: facts that are no errors, and that a user should know all the same; a row each, as events
//! have them.

use std::path::{Path, PathBuf};

use serde::Serializer;
use tracing::Level;

use super::row::events;
use crate::values::ContainerName;

/// The receiver of adapters' remarks.
pub type Remarks = fn(Remark);

/// The remedy once the URL of an account is another.
const RECORDS: &str = "Records that name the account's URL (CAA accounturi) must be changed";

events! {
    /// Something that an adapter met and went on from.
    pub enum Remark;

    /// An account was registered at a CA.
    AccountRegistered {
        /// The CA's directory.
        directory: String,
        /// The account's URL.
        account: String,
    } => "account-registered", Level::INFO, ("registered at the CA {directory} as {account}");

    /// A CA does not know our account any more, and gave us another.
    AccountLost {
        /// The CA's directory.
        directory: String,
        /// The URL of the one that is lost.
        lost: String,
        /// The URL of the new one.
        account: String,
    } => "account-lost", Level::WARN,
        ("the CA {directory} has lost the account {lost}; registered a new one, {account}. {RECORDS}");

    /// An account on disk can't be used, and another takes its place.
    AccountDamaged {
        /// The CA's directory.
        directory: String,
        /// The problem with it.
        problem: String,
        /// Where it is kept.
        #[serde(serialize_with = "shown")]
        kept: PathBuf,
    } => "account-damaged", Level::WARN,
        ("the account at the CA {directory} is damaged ({problem}) and was renamed to {}; registering a new one. \
          {RECORDS}", kept.display());

    /// A CA could not be sent the e-mail address of the settings.
    EmailUntold {
        /// The CA's directory.
        directory: String,
        /// The reason.
        problem: String,
    } => "email-untold", Level::WARN,
        ("the CA {directory} did not accept the e-mail address of the setting email, and the account is used without \
          it: {problem}");

    /// A CA does not have a profile that is wanted.
    ProfileMissing {
        /// The CA's directory.
        directory: String,
        /// The CA's word for it.
        profile: String,
    } => "profile-missing", Level::WARN,
        ("the CA {directory} does not offer the profile {profile:?}, so certificates have its default profile; change \
          the label or setting profile, or remove it");

    /// A CA has a profile again that is wanted.
    ProfileBack {
        /// The CA's directory.
        directory: String,
        /// The CA's word for it.
        profile: String,
    } => "profile-back", Level::INFO,
        ("the CA {directory} offers the profile {profile:?} again");

    /// A CA has no chain that ends at the root of the settings, or none that can be had and used.
    ChainMissing {
        /// The CA's directory.
        directory: String,
        /// The root, as the settings name it.
        chain: String,
        /// The roots at which its chains end.
        offered: Vec<String>,
        /// The reason why one of them was not taken; none where each was seen and none fits.
        problem: Option<String>,
    } => "chain-missing", Level::WARN,
        ("the CA {directory} sent no chain that ends at {chain:?}, so the certificate has the default chain: {}",
          chain_remedy(offered, problem.as_deref()));

    /// A CA did not get the name of the certificate that a new one replaces.
    ReplacedUntold {
        /// The CA's directory.
        directory: String,
        /// The CA's reason.
        problem: String,
    } => "replaced-untold", Level::INFO,
        ("the CA {directory} rejected the order as a replacement of an earlier certificate ({problem}); it is ordered \
          once more without that mark, and then may count against the CA's limits");

    /// A file or folder in the folders of certificates or of state can't be used, and something takes its place.
    FileDamaged {
        /// Where it was found.
        #[serde(serialize_with = "shown")]
        path: PathBuf,
        /// The problem with it.
        problem: String,
        /// The fate of the file, and its replacement.
        instead: String,
    } => "file-damaged", Level::WARN, ("{} can't be used: {problem}; {instead}", path.display());

    /// A key can't be given to the owner of the settings.
    KeyNotGiven {
        /// The key.
        #[serde(serialize_with = "shown")]
        path: PathBuf,
        /// The reason.
        problem: String,
    } => "key-not-given", Level::WARN,
        ("{}: its owner and mode could not be set, so they stay as they were: {problem}. The settings owner and mode \
          need the capability CHOWN, and DAC_READ_SEARCH unless quaymaster is in the group that may read the key", path.display());

    /// News can't be delivered to a receiver. Told once, until it can.
    NotDelivered {
        /// Its table.
        receiver: String,
        /// Why.
        problem: String,
        /// How much it has to be told.
        owed: usize,
    } => "not-delivered", Level::WARN,
        ("[notify.{receiver}] can't be reached: {problem}. Quaymaster tries again, with growing pauses up to an hour; \
          {owed} messages wait");

    /// News is delivered to a receiver again.
    DeliveredAgain {
        /// Its table.
        receiver: String,
    } => "delivered-again", Level::INFO, ("[notify.{receiver}] takes messages again");

    /// What a receiver has to be told can't be written down.
    NewsNotKept {
        /// Its table.
        receiver: String,
        /// Why.
        problem: String,
    } => "news-not-kept", Level::ERROR,
        ("[notify.{receiver}]: its waiting messages can't be stored and are lost when quaymaster ends: {problem}");

    /// What happens can't be kept to be looked up.
    HistoryNotKept {
        /// Why.
        problem: String,
    } => "history-not-kept", Level::WARN,
        ("events are only in the log, because the history can't be written: {problem}");

    /// Something on disk is as it should be again.
    DiskFaultOver {
        /// What was wrong.
        problem: String,
    } => "disk-fault-over", Level::INFO, ("resolved: {problem}");

    /// A container is left out of what is seen.
    ContainerLeftOut {
        /// Which, as far as that is known, and why.
        problem: String,
    } => "container-unreadable", Level::WARN, ("{problem}");

    /// The network that a container shares can't be seen.
    NetworkUnseen {
        /// The container.
        container: ContainerName,
        /// The reason.
        problem: String,
    } => "network-unseen", Level::WARN, ("{container}: the network that it shares can't be inspected: {problem}");

    /// The labels of a container's image can't be seen.
    ImageUnseen {
        /// The container.
        container: ContainerName,
        /// The reason.
        problem: String,
    } => "image-unseen", Level::WARN,
        ("{container}: all its labels count as written by you, because the labels of its image can't be read: {problem}");

    /// An event of the engine is too long to be read.
    EngineEventTooLong {
        /// Its length in bytes.
        bytes: usize,
    } => "engine-event-too-long", Level::WARN, ("an event of the engine is ignored, because it is too long: {bytes} \
                                                 bytes");

    /// The engine does not give its time, so that events may be missed while the stream of them begins.
    EngineTimeUnknown {
        /// Its address.
        engine: String,
    } => "engine-time-unknown", Level::WARN,
        ("the engine {engine} sends no Date header: the first events may be missed");
}

/// Which roots there are to choose from, and what to do.
fn chain_remedy(offered: &[String], problem: Option<&str>) -> String {
    let names: Vec<_> = offered.iter().map(|name| format!("{name:?}")).collect();
    let names = names.join(", ");
    let write = "write one of them into the setting chain of this CA, or leave that out";
    match problem {
        Some(problem) => format!(
            "{problem}. The CA has offered chains that end at {names}: {write}, or wait for the next renewal"
        ),
        None => format!("it offers chains that end at {names}; {write}"),
    }
}

/// Writes a path as it is shown: one that is no text has a form, too.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
