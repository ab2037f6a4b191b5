//! The profile for which a CA is asked: the wanted one, where the CA has it, and else its usual one, which is reported.

use std::{cell::RefCell, collections::BTreeSet};

use instant_acme::Account;

use crate::{
    ports::{AuthorityError, Problem, Remark, Remarks},
    values::Profile,
};

/// The profiles of one CA, as far as they were wanted.
pub(super) struct Profiles {
    directory: String,
    remarks: Remarks,
    /// Those that it did not have when they were last wanted.
    missing: RefCell<BTreeSet<String>>,
}

impl Profiles {
    /// Nothing is known to be missing yet.
    pub(super) fn new(directory: String, remarks: Remarks) -> Self {
        Self {
            directory,
            remarks,
            missing: RefCell::default(),
        }
    }

    /// Tells that a profile was not to be had, or is again: each once.
    pub(super) fn tell(&self, wanted: Option<&Profile>, sent: Option<&str>) {
        let Some(Profile { name: profile, .. }) = wanted.cloned() else {
            return;
        };
        let (directory, mut missing) = (self.directory.clone(), self.missing.borrow_mut());
        match sent {
            None if missing.insert(profile.clone()) => {
                (self.remarks)(Remark::ProfileMissing { directory, profile });
            }
            Some(_) if missing.remove(&profile) => {
                (self.remarks)(Remark::ProfileBack { directory, profile });
            }
            _ => {}
        }
    }
}

/// The profile to ask for: none where the directory does not list it, unless nothing else will do.
///
/// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-4>
pub(super) fn offered<'p>(
    account: &Account,
    profile: &'p Profile,
) -> Result<Option<&'p str>, AuthorityError> {
    let offered = account.profiles().map(|meta| meta.name.to_owned());
    let mut offered: Vec<_> = offered.collect();
    offered.sort_unstable();
    match (offered.contains(&profile.name), profile.is_required) {
        (true, _) => Ok(Some(&profile.name)),
        (false, false) => Ok(None),
        (false, true) => Err(AuthorityError::NoProfile {
            profile: profile.name.clone(),
            offered,
        }),
    }
}

/// True if the CA lists the profile and does not issue by it for us: a profile that is merely wanted is left out then.
///
/// <https://datatracker.ietf.org/doc/html/draft-ietf-acme-profiles-01#section-6.3>
pub(super) fn is_refused(error: &AuthorityError, wanted: Option<&Profile>) -> bool {
    let is_of_profile = matches!(
        error,
        AuthorityError::Refused {
            problem: Problem::InvalidProfile,
            ..
        }
    );
    is_of_profile && wanted.is_some_and(|profile| !profile.is_required)
}
