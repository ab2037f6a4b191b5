//! The ways of saying on a bearer what is wanted of us.

use std::collections::BTreeSet;

use super::{Complaint, labels, named, spec::Spec};
use crate::observe::{Bearer, Interest};

/// One way of saying it: a row of the table.
pub(super) struct Dialect {
    /// The bearers that it concerns, and the variables that it reads, given what our own labels begin with.
    interest: fn(prefix: &str) -> Interest,
    /// Reads a bearer, and complains about what can't be read.
    read: fn(&Bearer, prefix: &str, &mut BTreeSet<Complaint>) -> Spec,
}

/// Every dialect there is. A bearer that several concern is read in the first of them.
const DIALECTS: &[Dialect] = &[Dialect {
    interest: labels::interest,
    read: labels::read,
}];

/// The bearers that any dialect concerns, and the variables that any reads.
pub fn interest(prefix: &str) -> Interest {
    let mut all = Interest::default();
    for dialect in DIALECTS {
        let Interest {
            labels,
            variables,
            of_image,
        } = (dialect.interest)(prefix);
        all.labels.extend(labels);
        all.variables.extend(variables);
        all.of_image.extend(of_image);
    }
    all
}

/// The words of a bearer, read in the dialect that concerns it; nothing where none does.
pub(super) fn read(bearer: &Bearer, prefix: &str, complaints: &mut BTreeSet<Complaint>) -> Spec {
    if bearer.name.is_settings() {
        return named::read(bearer);
    }
    let mut dialects = DIALECTS.iter();
    match dialects.find(|dialect| (dialect.interest)(prefix).is_in(bearer)) {
        Some(dialect) => (dialect.read)(bearer, prefix, complaints),
        None => Spec::default(),
    }
}
