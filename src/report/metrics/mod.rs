//! The metrics: a row for each, and the text that is made of them piece by piece.

mod numbers;
mod rows;
mod text;

use std::{collections::BTreeSet, rc::Rc};

use super::Overview;
use crate::values::{CertificateName, MetricSet};
pub use rows::METRICS;
use text::{END, Samples};
pub use text::{MEDIA_TYPE, MetricKind};

/// Certificates whose numbers are written at a time: well within a millisecond.
const AT_ONCE: usize = 500;

/// A metric.
pub struct MetricRow {
    /// Its name, without what its kind adds to it.
    pub name: &'static str,
    /// The kind of number.
    pub kind: MetricKind,
    /// The labels that distinguish its numbers.
    pub labels: &'static [&'static str],
    /// The meaning, with its unit.
    pub doc: &'static str,
    /// Whose names it goes by; none where they are ours.
    pub set: Option<MetricSet>,
    of: Of,
}

/// The subject of a metric's numbers.
enum Of {
    /// Of all together: there are few.
    All(fn(&Overview, &mut Samples)),
    /// Of each certificate that is wanted or held: there may be thousands.
    Certificate(fn(&Overview, &CertificateName, &mut Samples)),
}

/// All metrics as text, those of other tools only as far as asked for. Numbers of a name that is gone are gone, too.
pub fn metrics(
    overview: Rc<Overview>,
    sets: &BTreeSet<MetricSet>,
) -> impl Iterator<Item = Vec<u8>> + use<> {
    let sets = sets.clone();
    let rows = METRICS
        .iter()
        .filter(move |row| row.set.is_none_or(|set| sets.contains(&set)));
    let names: Rc<[CertificateName]> = overview.certificate_names().into();
    rows.flat_map(move |row| family(row, Rc::clone(&overview), Rc::clone(&names)))
        .chain(std::iter::once(END.as_bytes().to_vec()))
}

/// One metric, piece by piece; its first piece has its name and meaning.
fn family(
    row: &'static MetricRow,
    overview: Rc<Overview>,
    names: Rc<[CertificateName]>,
) -> impl Iterator<Item = Vec<u8>> {
    let pieces = match row.of {
        Of::All(_) => 1,
        Of::Certificate(_) => names.len().div_ceil(AT_ONCE).max(1),
    };
    (0..pieces).map(move |piece| {
        let mut samples = Samples::new(row.name, row.kind);
        if piece == 0 {
            samples.begin(row.doc);
        }
        match row.of {
            Of::All(all) => all(&overview, &mut samples),
            Of::Certificate(each) => {
                let some = names.iter().skip(piece * AT_ONCE).take(AT_ONCE);
                some.for_each(|name| each(&overview, name, &mut samples));
            }
        }
        samples.take()
    })
}

#[cfg(test)]
mod tests;
