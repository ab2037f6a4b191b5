//! A proxy as its files are made for it: what it is, and what it was seen to take.

use super::{gate::Gate, part::own_file};
use crate::{
    desire::{Consumer, Proxy},
    observe::{Installed, PartName},
};

/// The inputs of all files of a proxy.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub consumer: &'a Consumer,
    pub proxy: &'a Proxy,
    pub gate: &'a Gate,
    /// True if its files have it listen on IPv6, too.
    pub listens_ipv6: bool,
}

/// True if a server listens on IPv6: where it was seen to take the file that is the first to, as long as its networks
/// give it an address; and where such an address is the only way to it, since nothing could be seen of it otherwise.
pub(super) fn listens_ipv6(consumer: &Consumer, installed: &Installed) -> bool {
    let Some(proxy) = &consumer.proxy else {
        return false;
    };
    let is_reached_so = proxy.reach.is_some_and(|reach| reach.http.is_ipv6());
    let is_in_use = |file: &&str| {
        let file = own_file(file);
        let is_there = installed.files.contains_key(&file);
        is_there && !(installed.open && installed.trying.contains_key(&PartName::File(file)))
    };
    let file = proxy.kind.ipv6_file.as_ref();
    is_reached_so || proxy.has_ipv6.unwrap_or(true) && file.is_some_and(is_in_use)
}
