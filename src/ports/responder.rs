//! Where responses to challenges are shown.

use super::{Challenge, DiskError};
use crate::observe::SharedPath;

/// Webroots, from which servers answer challenges.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
pub trait Responder {
    /// Makes a challenge's response readable in a webroot.
    fn publish(&self, webroot: &SharedPath, challenge: &Challenge) -> Result<(), DiskError>;
    /// Takes the response to this token away again, also one half written; one that is not there is fine.
    fn withdraw(&self, webroot: &SharedPath, token: &str) -> Result<(), DiskError>;
}
