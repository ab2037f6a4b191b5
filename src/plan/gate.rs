//! The gate that keeps requests from containers that have others' addresses after a start. Engines give addresses anew
//! when containers start, and a proxy that starts reads files that name those from before. So files of sites name two
//! ways: by the id of a container, which the engine's DNS has for no other, and by the addresses of all. Which of them
//! is taken is decided at each request by a file in the proxy's /dev/shm, the gate: that is empty at each start. The
//! gate is opened through the proxy itself, once this start and all addresses in its files are known to be right.

use super::{PlanRules, content::Parts, part::own_file};
use crate::{
    desire::{Consumer, Guard},
    observe::{Installed, Observed},
    values::{Digest, FileName, Timestamp},
};

/// The beginning of the names of gates, as a host and as a file.
const GATE: &str = "quaymaster-gate-";
const OPEN: &str = "/quaymaster-open-";

/// Digits of what nobody else knows. Longer names of hosts need another setting of nginx.
const HOST_DIGITS: usize = 24;
const FILE_DIGITS: usize = 32;

/// The gate of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gate {
    /// Under which host it is opened.
    pub host: String,
    /// At which path; that file in /dev/shm is what is looked for.
    pub path: String,
    /// True if files of sites name two ways.
    pub is_used: bool,
}

/// A gate that is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Under which host.
    pub host: String,
    /// At which path.
    pub path: String,
    /// For which start of the proxy.
    pub started_at: Timestamp,
}

impl Gate {
    pub fn of(consumer: &Consumer, installed: &Installed, rules: &PlanRules) -> Self {
        let digits = |what: &str, count: usize| {
            let all = Digest::of_parts([what, &rules.mark_host, consumer.name.as_str()]);
            all.to_string()[..count].to_owned()
        };
        Self {
            host: format!("{GATE}{}", digits("host", HOST_DIGITS)),
            path: format!("{OPEN}{}", digits("file", FILE_DIGITS)),
            is_used: match consumer
                .proxy
                .as_ref()
                .map_or(Guard::Nothing, |proxy| proxy.guard)
            {
                // Only where it was seen to open: a site that goes by id alone has one container.
                Guard::Gate => has_gate(consumer, installed) && installed.opened_for.is_some(),
                Guard::Names => true,
                Guard::Nothing => false,
            },
        }
    }

    /// The gate to open once the trial is in use, if there is any. `after` is what lies there then.
    pub fn opening(
        &self,
        consumer: &Consumer,
        parts: &Parts,
        observed: &Observed,
        after: &Installed,
    ) -> Option<Opening> {
        let started_at = consumer.started_at?;
        let is_closed = after.opened_for != Some(started_at);
        let can_be_opened =
            consumer.running && consumer.reach().is_some() && has_gate(consumer, after);
        // Of who is missed after a gap, the engine has not said yet where it is.
        let is_known = can_be_opened && is_closed && !observed.are_any_missed;
        (is_known && leads_to_its_own(parts, after)).then(|| Opening {
            host: self.host.clone(),
            path: self.path.clone(),
            started_at,
        })
    }
}

/// True if the file with the gate lies there. Where it is refused, sites do without.
fn has_gate(consumer: &Consumer, installed: &Installed) -> bool {
    let Some(proxy) = &consumer.proxy else {
        return false;
    };
    let file = proxy.kind.gate_file.map(own_file);
    proxy.guard == Guard::Gate && file.is_some_and(|file| installed.files.contains_key(&file))
}

/// True if each address in the files belongs to a container of its site.
fn leads_to_its_own(parts: &Parts, installed: &Installed) -> bool {
    installed
        .files
        .keys()
        .all(|file| elsewhere(parts, installed, file) == Astray::Nowhere)
}

/// The share of a file's addresses that lead elsewhere than to containers of its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Astray {
    /// Nowhere: each address is one of its own.
    Nowhere,
    /// To some that are not its own any more.
    Partly,
    /// To none of its own.
    Wholly,
}

pub(super) fn elsewhere(parts: &Parts, installed: &Installed, file: &FileName) -> Astray {
    let Some(there) = installed.files.get(file) else {
        return Astray::Nowhere;
    };
    let site = parts.site(file);
    let own = |address| site.is_some_and(|site| site.may_lead_to(address));
    let count = there.leads_to.iter().filter(|address| own(address)).count();
    match count {
        all if all == there.leads_to.len() => Astray::Nowhere,
        0 => Astray::Wholly,
        _ => Astray::Partly,
    }
}
