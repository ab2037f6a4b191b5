//! The entries in the ledger of what CAs limit, each written before the request.

use super::Failure;
use crate::{
    observe::{Counted, LedgerEntry},
    plan::{Obtain, names_digest},
    ports::{AuthorityError, Clock, DiskError, Issuing},
    values::Digest,
};

/// The writer of ledger entries while an order is made.
pub(super) struct LedgerPen<'a> {
    pub issuing: &'a Issuing,
    pub clock: &'a dyn Clock,
    pub directory: &'a str,
    pub entered: &'a mut Vec<LedgerEntry>,
}

impl LedgerPen<'_> {
    /// Writes down the names that the CA could not validate, where it limits those.
    pub fn enter_failures<T>(
        &mut self,
        asked: &Result<T, Failure>,
        obtain: &Obtain,
    ) -> Result<(), DiskError> {
        if let Err(Failure::Authority(AuthorityError::Validation(names))) = asked
            && obtain.counts.failures
        {
            for name in names.keys() {
                let name = name.clone();
                self.enter(Counted::Failure { name })?;
            }
        }
        Ok(())
    }

    /// Writes down the certificate that the CA is about to be asked to issue, where it limits those.
    pub fn enter_certificate(&mut self, obtain: &Obtain, url: &str) -> Result<(), DiskError> {
        if !obtain.counts.certificate {
            return Ok(());
        }
        let (names, order) = (names_digest(&obtain.names), Digest::of(url));
        self.enter(Counted::Certificate { names, order })
    }

    pub fn enter(&mut self, counted: Counted) -> Result<(), DiskError> {
        let entry = LedgerEntry {
            at: self.clock.now(),
            ca: self.directory.to_owned(),
            counted,
        };
        self.issuing.ledger.enter(&entry)?;
        self.entered.push(entry);
        Ok(())
    }
}
