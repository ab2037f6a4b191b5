use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::values::{CertificateName, Timestamp};

/// Something that is sent to people or programs elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The event's name.
    pub event: String,
    /// What it is about, in a word that stays the same from its beginning to its end.
    pub matter: String,
    /// Whether it tells that something is over.
    pub is_over: bool,
    /// How much it matters: `error`, `warning` or `info`.
    pub level: String,
    /// Certificates, containers and host names that it is about.
    pub names: Vec<String>,
    /// What has happened, in words.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// Since when it has been so.
    pub since: Timestamp,
    /// The certificate that it is about, where there is one alone.
    pub certificate: Option<CertificateName>,
}

/// What an event says, as somebody who is to hear of it understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It has happened, and that is all.
    Moment(News),
    /// Something is so from now on.
    Begins(News),
    /// Something is so no longer.
    Ends {
        /// What.
        matter: String,
    },
}

/// Something that is so, and of which the end is to be told, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenMatter {
    /// Its beginning.
    pub news: News,
    /// Its place in the order of what happens.
    #[serde(default)]
    pub number: u64,
    /// Whether that was put among what is owed.
    pub is_told: bool,
}

/// News that has to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedNews {
    /// Another for each, and the same for each try.
    pub id: String,
    /// The news.
    pub news: News,
}

/// What one receiver was told of, and what it has to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsBook {
    /// What is so now, by its word.
    #[serde(default)]
    pub open: BTreeMap<String, OpenMatter>,
    /// What is not delivered yet, in order.
    #[serde(default)]
    pub owed: VecDeque<OwedNews>,
    /// How many were left out since the last delivery, because too many were owed.
    #[serde(default)]
    pub dropped: u64,
    /// The number of the next one.
    #[serde(default)]
    pub next: u64,
}
