use crate::{adapters::dns::RecordResponder, report::Findings, settings::Settings};

const ABOUT: &str = "DNS";

/// Looks at each way to set records, as far as that can be done without a change.
pub(super) async fn look(settings: &Settings, records: &RecordResponder, told: &mut Findings) {
    for (name, dns) in settings.dns_tables.iter() {
        let provider = dns.provider.map_or("", |provider| provider.name);
        match records.look_at_table(name).await {
            Ok(found) => told.advice(
                ABOUT,
                format!("[dns.{name}], {provider}: {found}"),
                format!(
                    "`quaymaster records --dns {name} --try NAME` sets and removes a record, to be sure"
                ),
            ),
            Err(problem) => told.problem(
                ABOUT,
                format!("[dns.{name}], {provider}: {problem}"),
                format!("then try it out: `quaymaster records --dns {name} --try NAME`"),
            ),
        }
    }
}
