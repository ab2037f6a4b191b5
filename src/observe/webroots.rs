use std::{collections::BTreeSet, net::SocketAddr};

use super::SharedPath;

/// Where responses to challenges are put, and who shows them to a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webroots {
    /// The folders, as we see them.
    pub folders: BTreeSet<SharedPath>,
    /// The proxies that the CA's requests reach, where they can be reached from here.
    pub proxies: BTreeSet<SocketAddr>,
    /// The table `[dns.NAME]` that sets TXT records, for dns-01.
    pub dns: Option<String>,
}

impl Webroots {
    /// No folder and no proxy, since this table `[dns.NAME]` sets a TXT record.
    pub fn of_dns(dns: &str) -> Self {
        Self {
            dns: Some(dns.to_owned()),
            ..Self::default()
        }
    }
}
