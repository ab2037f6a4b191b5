//! Ways to set a record, as the rest of this room sees them.

use std::{fmt, rc::Rc};

use async_trait::async_trait;

use super::{
    DnsResolver,
    hook::HookGate,
    place::RecordPlace,
    providers::{
        AcmeDnsGate, CloudflareGate, DesecGate, DigitalOceanGate, HetznerGate, HttpreqGate,
        PowerDnsGate,
    },
    update::UpdateGate,
};
use crate::{
    adapters::{disk, https_proxy::HttpsProxy},
    ports::{Clock, TxtProof},
    values::{DnsProvider, DnsSettings, Secret, Timestamp},
};

/// A way to set and remove one record at its place. Others at the same name stay as they are.
#[async_trait(?Send)]
pub(super) trait RecordGate {
    /// Adds a record; one that is there already is fine.
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault>;
    /// Removes this record and no other; one that is not there is fine.
    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault>;
    /// Looks whether it can be asked, as far as that can be told without a change, and says what was found.
    async fn look(&self) -> Result<String, GateFault>;
}

/// Reason for which a record could not be set or removed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GateFault {
    /// Problem, and its remedy.
    pub problem: String,
    /// Time before which the other side wants no request, where it says so.
    pub not_before: Option<Timestamp>,
}

impl fmt::Debug for GateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl From<String> for GateFault {
    fn from(problem: String) -> Self {
        Self {
            problem,
            not_before: None,
        }
    }
}

/// Means by which gates ask.
#[derive(Clone)]
pub struct DnsOutside {
    /// Finder of a record's place, and of its servers.
    pub resolver: Rc<DnsResolver>,
    /// The time, which updates are signed with.
    pub clock: Rc<dyn Clock>,
    /// The proxy for https.
    pub proxy: HttpsProxy,
    /// True in a container, where there are no other programs.
    pub is_in_container: bool,
}

/// The way that these settings name. Nothing is asked yet; files are read.
///
/// # Errors
/// When it can't be used: what is wrong, and what to do.
pub(super) fn gate(
    settings: &DnsSettings,
    outside: &DnsOutside,
) -> Result<Box<dyn RecordGate>, String> {
    let secret = secret(settings)?;
    let with = (settings, &secret, outside);
    Ok(match settings.provider.map(|provider| provider.name) {
        Some(DnsProvider::RFC_2136) => {
            Box::new(UpdateGate::new(settings, &secret, outside.clock.clone())?)
        }
        Some(DnsProvider::ACME_DNS) => Box::new(AcmeDnsGate::new(with)?),
        Some(DnsProvider::HTTPREQ) => Box::new(HttpreqGate::new(with)?),
        Some(DnsProvider::CLOUDFLARE) => Box::new(CloudflareGate::new(with)?),
        Some(DnsProvider::HETZNER) => Box::new(HetznerGate::new(with)?),
        Some(DnsProvider::DIGITAL_OCEAN) => Box::new(DigitalOceanGate::new(with)?),
        Some(DnsProvider::DESEC) => Box::new(DesecGate::new(with)?),
        Some(DnsProvider::POWERDNS) => Box::new(PowerDnsGate::new(with)?),
        Some(DnsProvider::EXEC) => Box::new(HookGate::new(settings, outside.is_in_container)?),
        _ => return Err("it does not say how records are set; write provider".to_owned()),
    })
}

/// The secret of a table, out of its file where it lies in one; an empty one where it needs none.
fn secret(settings: &DnsSettings) -> Result<Secret, String> {
    let Some(said) = settings.secret() else {
        return Ok(Secret::new(String::new()));
    };
    let secret = match (said.text, said.file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let read = disk::text(path).map_err(|error| of_file(&error, path, said.field))?;
            Secret::new(read.trim())
        }
        (None, None) => Secret::new(String::new()),
    };
    match (DnsSettings::check_secret(said.field, &secret), said.file) {
        (Ok(()), _) => Ok(secret),
        (Err(problem), Some(path)) => Err(format!("{}: {problem}", path.display())),
        (Err(problem), None) => Err(problem),
    }
}

/// Problem of a file that can't be read, and its remedy.
fn of_file(error: &dyn std::error::Error, path: &std::path::Path, field: &str) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!(
        "{error}{}; put the {field} into {}, where quaymaster may read it, or correct {field}-file",
        cause.unwrap_or_default(),
        path.display()
    )
}
