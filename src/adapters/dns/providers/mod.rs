//! Interfaces over HTTP by which TXT records are set, one file each. What they have in common is asking, and what is said of
//! answers that are of no use.

mod acme_dns;
mod api;
mod cloudflare;
mod desec;
mod digital_ocean;
mod hetzner;
mod httpreq;
mod powerdns;
#[cfg(test)]
mod tests;

pub(super) use self::{
    acme_dns::AcmeDnsGate, cloudflare::CloudflareGate, desec::DesecGate,
    digital_ocean::DigitalOceanGate, hetzner::HetznerGate, httpreq::HttpreqGate,
    powerdns::PowerDnsGate,
};
use super::{
    gate::{DnsOutside, GateFault, RecordGate},
    place::RecordPlace,
    shown,
};
use crate::values::{DnsSettings, Secret};

/// Parts of a gate: a table of the settings, its secret, and what it asks with.
pub(super) type GateParts<'a> = (&'a DnsSettings, &'a Secret, &'a DnsOutside);

/// Time for which resolvers may keep a record, in seconds, where the interface takes it: it is there for minutes.
const TTL: u32 = 60;

/// The name below its zone; nothing where it is the zone's own.
fn below_zone(place: &RecordPlace) -> String {
    let (name, zone) = (shown(&place.name), shown(&place.zone));
    let below = name.strip_suffix(&zone).unwrap_or(&name);
    below.trim_end_matches('.').to_owned()
}

/// The text of a TXT record as zone files have it. Values of challenges are letters, digits, `-` and `_`.
fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

/// True where the text of a record, with quotes or without, is this value.
fn is_value(text: &str, value: &str) -> bool {
    text == value || text == quoted(value)
}
