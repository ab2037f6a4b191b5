//! Newtypes that can't be wrong, for everything that is passed between rooms.
//!
//! A value that exists is valid: constructors check, and nothing past them checks again. No effects live here; times
//! and digests are made from arguments.

mod block;
mod ca;
mod ca_table;
mod certificate_id;
mod challenge;
#[cfg(test)]
pub mod chance;
mod digest;
mod dns_name;
mod dns_names;
mod dns_settings;
mod email;
mod engine_settings;
mod external_account;
mod fallback_rule;
mod grants;
mod host;
mod interval;
mod issuers;
mod key_type;
mod keyed_table;
mod layout;
mod limit;
mod metric_set;
mod names;
mod nearest;
mod news_event;
mod notify_settings;
mod output;
mod owner;
mod probe_port;
mod profile;
mod reload_word;
mod retry;
mod revocation;
mod secret;
mod signal;
mod timestamp;
mod variable_names;

pub use block::Block;
pub use ca::{CA_PRESETS, CaPreset, Issuer, in_one_spelling, preset_at};
pub use ca_table::{CaError, CaSettings, CaTable, CaTableError};
pub use certificate_id::{CertificateId, CertificateIdError};
pub use challenge::{ChallengeType, ChallengeTypeError};
pub use digest::Digest;
pub use dns_name::{DnsName, DnsNameError};
pub use dns_names::DnsNames;
pub use dns_settings::{
    DNS_PROVIDERS, DnsProvider, DnsSecret, DnsSettings, DnsTable, DnsTableError, TsigAlgorithm,
};
pub use email::email;
pub use engine_settings::{EngineName, EngineSettings, EngineTableError};
pub use external_account::{ExternalAccount, MacAlgorithm};
pub use fallback_rule::{FallbackRule, FallbackRuleError};
pub use grants::{Grants, GrantsError, Right};
pub use host::{Host, HostError};
pub use interval::{Interval, IntervalError};
pub use issuers::{IssuerName, IssuerNames, Issuers};
pub use key_type::{KeyType, KeyTypeError};
pub use keyed_table::{KeyedTable, TableChange};
pub use layout::{LAYOUTS, Layout, LayoutError, LayoutRow, Piece};
pub use limit::{CaLimits, Limit};
pub use metric_set::MetricSet;
pub use names::{CertificateName, ContainerId, ContainerName, FileName, NameError};
pub use nearest::nearest;
pub use news_event::{NEWS_EVENTS, NewsChoice, NewsEvent};
pub use notify_settings::{
    NOTIFY_FORMATS, NotifyFormat, NotifySettings, NotifyTable, NotifyTableError,
};
pub use output::{Output, OutputError, OutputSettings};
pub use owner::{KeyAccess, Owner};
pub use probe_port::{ProbePort, ProbePortError, Protocol};
pub use profile::{Profile, ProfileError};
pub use reload_word::{ReloadWord, exec_words};
pub use retry::Retry;
pub use revocation::{RevocationReason, RevocationReasonError};
pub use secret::Secret;
pub use signal::{Signal, SignalError};
pub use timestamp::{Timestamp, TimestampError};
pub use variable_names::VariableNames;
