use std::{collections::BTreeSet, fmt::Write};

use super::{Call, Exit, Failure, json, print, setup, table, terminal::width};
use crate::{
    desire::visible,
    observe::{HistoryEntry, MOST_ENTRIES},
    ports::Histories,
    values::Host,
};

/// Tells what has happened to a name; no engine is asked.
pub(super) fn run(call: &Call, word: &str) -> Result<Exit, Failure> {
    // Names are kept as they are sent to a CA.
    let name = Host::parse(word).map_or_else(|_| word.to_owned(), |host| host.to_string());
    let histories = setup::histories(call);
    let own = found(&*histories, [name.clone()].into())?;
    // Of a host, that of its certificate belongs to it, which may have another name: the first of what was obtained.
    let obtained = own.iter().filter(|entry| entry.event == "obtained");
    let names: BTreeSet<_> = obtained
        .filter_map(|entry| entry.names.first().cloned())
        .chain([name.clone()])
        .collect();
    let all = match names.len() {
        1 => own,
        _ => found(&*histories, names)?,
    };
    let told = HistoryEntry::told(all, MOST_ENTRIES);
    print(&match call.wants_json() {
        true => json(&told)?,
        false => shown(&name, &told),
    })?;
    Ok(Exit::Done)
}

fn found(histories: &dyn Histories, names: BTreeSet<String>) -> Result<Vec<HistoryEntry>, Failure> {
    let mut all = Vec::new();
    for some in histories.history(names) {
        all.extend(some?);
    }
    Ok(all)
}

fn shown(name: &str, entries: &[HistoryEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let line = format!(
            "{} {} {}",
            entry.at,
            visible(&entry.event),
            visible(&entry.text)
        );
        let _ = writeln!(text, "{}", table::hanging(&line, 2, width()));
    }
    match entries.is_empty() {
        true => format!(
            "nothing is kept of {}; the log may have more\n",
            visible(name)
        ),
        false => text,
    }
}
