use std::fmt;

use serde::Serialize;

/// A stage of an order at a CA, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderStage {
    /// The order is made, or the one on record is fetched.
    Order,
    /// The responses are published, and it is looked whether they are served.
    Look,
    /// The CA looks at them.
    Validate,
    /// The order is finalized, and its certificate downloaded.
    Finalize,
}

impl fmt::Display for OrderStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "the CA is asked for an order",
            Self::Look => "the responses are published and looked at",
            Self::Validate => "the CA validates",
            Self::Finalize => "the CA issues the certificate",
        })
    }
}
