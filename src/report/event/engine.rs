//! Events about engines.

use std::{collections::BTreeSet, time::Duration};

use tracing::Level;

use super::words::{listed, of_engine, seconds, the_engine};
use crate::{
    ports::events,
    values::{ContainerName, EngineName, Timestamp},
};

events! {
    /// An engine answers, or does not.
    pub enum EngineReport;

    /// The engine was listed.
    Seen {
        /// Its name, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        engine: Option<EngineName>,
        /// Number of containers that bear our labels.
        containers: usize,
    } => "engine-seen", Level::INFO, ("{} answers; {containers} containers have labels for quaymaster", the_engine(engine.as_ref()));

    /// The engine can't be asked; what was known stays.
    Lost {
        /// Its name, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        engine: Option<EngineName>,
        /// The reason.
        problem: String,
        /// When it is asked again.
        #[serde(serialize_with = "seconds")]
        again_in: Duration,
    } => "engine-lost", Level::ERROR, (
        "{}{problem}; everything stays as it is; trying again in {again_in:.1?}",
        of_engine(engine.as_ref())
    );

    /// Containers that were there before the engine could not be seen, and are not there now.
    Missed {
        /// Which.
        containers: BTreeSet<ContainerName>,
        /// Until when they count as they were.
        until: Timestamp,
    } => "missed", Level::WARN,
        ("missing since the engine last answered: {}; their sites and certificates stay until {until}", listed(containers));
}
