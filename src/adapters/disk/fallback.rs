//! The check that keeps a self-signed certificate from being stored that serves only as long as there is nothing
//! better.

use super::{
    Folders,
    certificates::LiveOwner,
    copied_over::Copied,
    version::{read_copy, refused},
};
use crate::{
    observe::{HeldCertificate, Source},
    ports::DiskError,
    values::CertificateName,
};

impl Folders {
    /// The certificate that lies there and is no fallback.
    ///
    /// # Errors
    /// When something is in the way that is not ours, or can't be read now: a fallback is no reason to replace that.
    pub(super) fn better_than_fallback(
        &self,
        name: &CertificateName,
    ) -> Result<Option<HeldCertificate>, DiskError> {
        let found = match self.copied(name) {
            Copied::Nothing => self.read_live(name),
            Copied::Whole(version) => {
                let checked = version.check(Source::Provided);
                return Ok(Some(checked.map_err(|error| refused(name, error))?));
            }
            Copied::Half(problem) => return Err(problem),
        };
        match found {
            Ok(held) => Ok(Some(held).filter(|held| !held.is_fallback())),
            Err(problem @ DiskError::Io { .. }) => Err(problem),
            Err(problem) if self.owner(name) == LiveOwner::User => Err(problem),
            // A wreck of ours, or nothing: there may be a copy that it is mended from.
            Err(_) => {
                let copy = read_copy(&self.copy(name), name).map(|(_, certificate)| certificate);
                Ok(copy.ok().filter(|held| !held.is_fallback()))
            }
        }
    }
}
