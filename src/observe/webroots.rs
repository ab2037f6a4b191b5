use std::{collections::BTreeSet, net::SocketAddr};

use super::SharedPath;

/// Where responses to http-01 challenges are put, and who shows them to a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webroots {
    /// The folders, as we see them.
    pub folders: BTreeSet<SharedPath>,
    /// The proxies that the CA's requests reach, where they can be reached from here.
    pub proxies: BTreeSet<SocketAddr>,
}
