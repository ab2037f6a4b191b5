use std::io;

use super::renew::exit_of;
use crate::{
    observe::Blame,
    ports::{AuthorityError, DiskError, EngineError, NotifierError},
    render::TemplateError,
    settings::SettingsError,
    values::NotifyTableError,
};

/// The exit code of the program, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug.
    Bug = 1,
    /// Wrong usage or settings.
    Usage = 2,
    /// Some subject failed, the rest was done.
    Partly = 3,
    /// The engine can't be reached.
    Engine = 4,
    /// The CA can't be reached.
    Authority = 5,
    /// The CA refused.
    Refused = 6,
    /// Something must be done by hand first.
    ByHand = 7,
    /// Ended by Ctrl-C, or by SIGTERM where people wait for an order.
    Interrupted = 130,
}

/// A way to end: a row of the table of exit codes.
pub struct ExitRow {
    /// The code.
    pub exit: Exit,
    /// The meaning, in words.
    pub meaning: &'static str,
}

/// Every exit code there is.
pub const EXITS: &[ExitRow] = &[
    ExitRow {
        exit: Exit::Done,
        meaning: "done; `status`: also when it shows that something is wrong",
    },
    ExitRow {
        exit: Exit::Bug,
        meaning: "unexpected: a bug",
    },
    ExitRow {
        exit: Exit::Usage,
        meaning: "wrong usage or settings, terms not agreed to, state not writable",
    },
    ExitRow {
        exit: Exit::Partly,
        meaning: "something failed, is wrong or can't be followed, the rest was done (by `plan`: printed); a template \
                  failed; `health`: the daemon does not turn; `import`: the certificate can't be used, or another has \
                  its place; `register`: the CA does not take the e-mail address; `account`: the CA does not take the \
                  account as valid; `notify`: the message was not taken",
    },
    ExitRow {
        exit: Exit::Engine,
        meaning: "the engine can't be reached, or does not let us ask",
    },
    ExitRow {
        exit: Exit::Authority,
        meaning: "the CA can't be reached, is busy, or does not speak ACME",
    },
    ExitRow {
        exit: Exit::Refused,
        meaning: "the CA refused: it could not validate a name, its policy, its limits",
    },
    ExitRow {
        exit: Exit::ByHand,
        meaning: "something must be done by hand first: a file or a DNS record, which is printed, and then the same command again",
    },
    ExitRow {
        exit: Exit::Interrupted,
        meaning: "interrupted, by SIGTERM too where a certificate is obtained by hand, or a question was not answered with yes",
    },
];

/// The reason why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("nothing was imported")]
    Unusable(#[source] DiskError),
    #[error("{0}")]
    InTheWay(String),
    #[error("{problem}")]
    Order { problem: String, blame: Blame },
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Bug {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Receiver(#[from] NotifyTableError),
    #[error("[notify.{receiver}] has not taken the message")]
    NotDelivered {
        receiver: String,
        source: NotifierError,
    },
    #[error("the output can't be written")]
    Output(#[source] io::Error),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::Disk(_) | Self::Receiver(_) => Exit::Usage,
            Self::Authority(AuthorityError::Terms { .. } | AuthorityError::Ours { .. }) => {
                Exit::Usage
            }
            Self::Authority(error) if error.is_refusal() => Exit::Refused,
            Self::Engine(EngineError::Address(_)) => Exit::Usage,
            Self::Template(_)
            | Self::Unusable(_)
            | Self::InTheWay(_)
            | Self::NotDelivered { .. } => Exit::Partly,
            Self::Order { blame, .. } => exit_of(*blame),
            Self::Engine(_) => Exit::Engine,
            Self::Authority(_) => Exit::Authority,
            // Whoever reads us has seen enough, as with `quaymaster status | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) | Self::Bug { .. } => Exit::Bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_and_in_order() {
        assert!(EXITS.is_sorted_by(|one, other| one.exit < other.exit));
    }
}
