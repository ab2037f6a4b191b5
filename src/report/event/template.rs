//! Events about templates of the user.

use std::collections::BTreeSet;

use tracing::Level;

use super::words::templates_taken;
use crate::ports::events;

events! {
    /// Something that is to be known about templates of the user.
    pub enum TemplateEvent;

    /// Other templates of the user are in use than before.
    Taken {
        /// Their names; empty when only the built-in ones are left.
        names: BTreeSet<String>,
    } => "templates-taken", Level::INFO, ("{}", templates_taken(names));

    /// Something is wrong with templates of the user.
    Broken {
        /// Which, where, and what is wrong.
        problem: String,
    } => "template-broken", Level::WARN, ("{problem}");

    /// It is so no longer.
    Mended {
        /// The problem that it had.
        problem: String,
    } => "template-mended", Level::INFO, ("resolved: {problem}");

    /// A lenient template asks for a name that is not there.
    NameUnknown {
        /// Which, and for what.
        problem: String,
    } => "name-unknown", Level::WARN, ("{problem}");
}
