//! Look-ups in DNS.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::{
    observe::{Addresses, CaaRecords, LookupFault},
    values::Host,
};

/// Look-ups in DNS. Nothing is kept: each asks anew.
#[async_trait(?Send)]
pub trait Resolver {
    /// The addresses of a name, also over aliases (CNAME). One that exists and has none is fine. Only a plain name can be
    /// asked about: a wildcard or an address has none.
    async fn addresses(&self, name: &Host) -> Result<Addresses, LookupFault>;

    /// The CAA records that hold for a name: its own, or those of the nearest name above that has any.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8659#section-3>
    async fn caa(&self, name: &Host) -> Result<Option<CaaRecords>, LookupFault>;

    /// The texts of the TXT records where a CA looks for the proof of a name, also over aliases (CNAME).
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>
    async fn proofs(&self, name: &Host) -> Result<BTreeSet<String>, LookupFault>;
}
