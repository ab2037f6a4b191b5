//! Effects: one function an action, in the order that keeps what works working. Nothing here chooses what to do; what
//! is waited for and what counts as seen is given by the action.

mod by_hand;
mod check;
mod deploy;
mod gate;
mod helper;
mod ledger_pen;
mod left_records;
mod obtain;
mod proof;
mod published;
mod rehearse;
mod self_check;
mod shown;
mod tell;
#[cfg(test)]
mod tests;

pub use by_hand::{HandCall, HandFailure};
pub use deploy::place;
pub use helper::list_place;
pub use left_records::withdraw_left;
pub use rehearse::{RehearsalFailure, rehearse};
pub use self_check::preview;

use crate::{
    observe::{
        Attempt, Blame, BusyCa, Fault, HandTask, HeldCertificate, Installed, LedgerEntry, Subject,
    },
    plan::{Action, Obtain, SelfCheckFailed, run_failed},
    ports::{
        AuthorityError, DiskError, EngineError, NotServed, Ports, Ran, RecordFault, ResponseFault,
    },
    report::chain,
    values::{CertificateName, ContainerName, Retry, Timestamp},
};

/// The result of an action.
#[derive(Debug)]
pub struct Outcome {
    /// The subject.
    pub subject: Subject,
    /// The new facts, or the record of the failure.
    pub result: Result<Learned, Attempt>,
    /// Whose fault a failure is.
    pub blame: Option<Blame>,
    /// The CA, by the URL of its directory, that asked to be left alone.
    pub busy: Option<(String, BusyCa)>,
    /// The CA, by the URL of its directory, that has issued or refused what it was asked for: it is not busy.
    pub answered: Option<String>,
    /// The entries that were written into the ledger.
    pub entered: Vec<LedgerEntry>,
}

/// The facts that an action changed.
#[derive(Debug)]
pub enum Learned {
    /// A certificate lies on disk.
    Held(CertificateName, Box<HeldCertificate>),
    /// A consumer's folder has changed.
    Installed(ContainerName, Box<Installed>),
}

/// The reason why an action failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("{problem}")]
    Run { problem: String },
    #[error(
        "its own configuration is broken even without the new files, and it keeps serving what is live: {0}"
    )]
    Broken(Box<Failure>),
    #[error(
        "it accepts neither its new configuration nor the previous one, which was restored: {reason}. Either a file of its own \
         is wrong, or it does not get the signal: `docker logs {consumer}` says which, and for nginx, \
         `docker exec {consumer} nginx -t`"
    )]
    Unseen {
        consumer: ContainerName,
        reason: String,
    },
    #[error(
        "the new configuration does not appear: {reason}; the server rejected it or does not get the signal: `docker \
         logs {consumer}` says which"
    )]
    NotSeen {
        consumer: ContainerName,
        reason: String,
    },
    #[error(
        "{consumer} ended when it was reloaded, and its previous files were restored: {reason}; `docker logs {consumer}` \
         says why it ended, and `docker start {consumer}` starts it if its restart policy does not"
    )]
    Ended {
        consumer: ContainerName,
        reason: String,
    },
    #[error(
        "the new configuration did not appear in time, and a reload took {took:.1?}; the server gets more time: {reason}"
    )]
    Slow {
        took: std::time::Duration,
        reason: String,
    },
    #[error(
        "it does not answer at all, so the new configuration stays unproven: {reason}; if the server listens on other \
         ports, set the labels http-port and https-port"
    )]
    OutOfReach { reason: String },
    #[error("the new configuration is in place, but still does not appear: {reason}")]
    StillUnseen { reason: String },
    #[error(
        "its gate (it keeps requests from other containers after a start) can't be opened: {problem}; `docker logs \
         {consumer}` says more"
    )]
    Gate {
        consumer: ContainerName,
        problem: String,
    },
    #[error(transparent)]
    NotServed(#[from] NotServed),
    #[error(transparent)]
    Record(#[from] RecordFault),
    #[error("{saw}; quaymaster looks again, and asks the CA once the record is seen")]
    NotYet { saw: String, again: Timestamp },
    #[error(transparent)]
    SelfCheck(#[from] SelfCheckFailed),
    #[error(
        "the helper {helper} has not obtained it within {within:?}: {saw}; `docker logs {helper}` says why"
    )]
    NothingBrought {
        helper: ContainerName,
        within: std::time::Duration,
        saw: String,
    },
    #[error("the helper {helper} can't be given its list of certificates: {reason}")]
    HelperNotTold {
        helper: ContainerName,
        reason: String,
    },
    #[error(
        "{} was not put there by certbot, so certbot can't store its certificate under that name; move it away, \
         together with the same name in live/ and archive/, or add the label `ca`, so that quaymaster obtains the \
         certificate itself",
        path.display()
    )]
    InCertbotsWay { path: std::path::PathBuf },
    #[error(
        "the clock of this machine was set meanwhile; nothing was ordered, and quaymaster checks again whether the \
         certificate is due"
    )]
    ClockSet,
    #[error("a file or a DNS record has to be put in place by hand first")]
    Hands(Vec<(HandTask, String)>),
}

impl From<ResponseFault> for Failure {
    fn from(fault: ResponseFault) -> Self {
        match fault {
            ResponseFault::Disk(error) => error.into(),
            ResponseFault::Record(fault) => fault.into(),
        }
    }
}

impl Failure {
    fn blame(&self) -> Blame {
        match self {
            Self::Disk(_) | Self::NotServed(_) | Self::Record(_) | Self::NotYet { .. } => {
                Blame::Here
            }
            Self::SelfCheck(_) | Self::ClockSet | Self::Hands(_) => Blame::Here,
            Self::Authority(AuthorityError::Ours { .. } | AuthorityError::WrongClock { .. }) => {
                Blame::Here
            }
            Self::Unseen { .. }
            | Self::NotSeen { .. }
            | Self::Ended { .. }
            | Self::Slow { .. }
            | Self::Gate { .. }
            | Self::OutOfReach { .. }
            | Self::StillUnseen { .. } => Blame::Here,
            Self::Run { .. } | Self::Broken(_) => Blame::Here,
            Self::HelperNotTold { .. } | Self::InCertbotsWay { .. } => Blame::Here,
            Self::NothingBrought { .. } => Blame::Authority,
            Self::Engine(_) => Blame::Engine,
            Self::Authority(AuthorityError::Terms { .. }) => Blame::Refused,
            Self::Authority(error) if error.is_refusal() => Blame::Refused,
            Self::Authority(_) => Blame::Authority,
        }
    }

    /// Whose fault it is that a certificate was not obtained.
    fn fault(&self) -> Fault {
        match self {
            Self::Authority(error) => error.fault(),
            // What the CA has issued is of no use.
            Self::Disk(DiskError::Certificate { .. }) => Fault::Ca,
            _ => Fault::Here,
        }
    }

    /// Words that were run in a consumer and failed.
    fn of_run(words: &[String], ran: &Ran) -> Self {
        Self::Run {
            problem: run_failed(words, ran.code, &ran.output),
        }
    }

    /// The CA that asked to be left alone, with its pause.
    fn busy(&self, since: Timestamp) -> Option<(String, BusyCa)> {
        let Self::Authority(error) = self else {
            return None;
        };
        let (directory, until) = error.busy()?;
        let problem = error.to_string();
        let busy = BusyCa {
            since,
            until: until.unwrap_or(since),
            problem,
            count: 1,
        };
        Some((directory.to_owned(), busy))
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Engine(error) => error.retry(),
            Self::Authority(error) => error.retry(),
            Self::Disk(DiskError::NotYetValid { from, .. }) => Retry::NotBefore(*from),
            Self::SelfCheck(_) => Retry::SelfCheck,
            Self::NotYet { again, .. } => Retry::Propagation(*again),
            Self::Record(RecordFault {
                not_before: Some(time),
                ..
            }) => Retry::NotBefore(*time),
            Self::Disk(_) | Self::NotServed(_) | Self::Record(_) => Retry::Backoff,
            Self::ClockSet | Self::Hands(_) => Retry::Backoff,
            Self::Run { .. } | Self::Broken(_) => Retry::Backoff,
            Self::HelperNotTold { .. }
            | Self::InCertbotsWay { .. }
            | Self::NothingBrought { .. } => Retry::Backoff,
            Self::Unseen { .. }
            | Self::NotSeen { .. }
            | Self::Ended { .. }
            | Self::Slow { .. }
            | Self::Gate { .. }
            | Self::OutOfReach { .. }
            | Self::StillUnseen { .. } => Retry::Backoff,
        }
    }
}

/// Carries an action out.
/// The time of a signal is written into what is known afterwards.
pub async fn execute(ports: &Ports, action: &mut Action) -> Outcome {
    let (mut blame, mut busy, mut answered) = (None, None, None);
    let mut entered = Vec::new();
    let result = match action {
        Action::Deploy(deploy) => deploy::deploy(ports, deploy)
            .await
            .map(|installed| Learned::Installed(deploy.consumer.name.clone(), Box::new(installed)))
            .inspect_err(|failure| blame = Some(failure.blame()))
            .map_err(|failure| failed(ports, &deploy.attempt, &failure)),
        Action::TakeBack(back) => deploy::bring_back(ports, back)
            .await
            .map(|installed| Learned::Installed(back.consumer.name.clone(), Box::new(installed)))
            .map_err(|failure| failed(ports, &back.attempt, &failure)),
        Action::FallBack(fallback) => obtain::fall_back(&ports.issuing, &*ports.clock, fallback)
            .await
            .map(|held| Learned::Held(fallback.certificate.clone(), Box::new(held)))
            .map_err(|failure| failed(ports, &fallback.attempt, &failure)),
        Action::Obtain(obtain) => {
            match obtained(ports, obtain, &mut entered).await {
                Ok(held) => {
                    answered = obtain.issuance.issuer.directory().map(str::to_owned);
                    Ok(Learned::Held(obtain.certificate.clone(), Box::new(held)))
                }
                Err(failure) => {
                    if matches!(&failure, Failure::Authority(error) if error.is_refusal()) {
                        answered = obtain.issuance.issuer.directory().map(str::to_owned);
                    }
                    blame = Some(failure.blame());
                    busy = failure.busy(ports.clock.now());
                    let mut attempt = failed(ports, &obtain.attempt, &failure);
                    if let Failure::Authority(AuthorityError::WrongClock { .. })
                    | Failure::ClockSet = failure
                    {
                        // Nothing was asked for, however often the clocks are compared.
                        attempt.count = attempt.count.saturating_sub(1).max(1);
                    }
                    count_look(&mut attempt, &failure);
                    attempt.ca.count(failure.fault());
                    if let Failure::Disk(DiskError::Io { .. }) | Failure::ClockSet = failure {
                        // What the disk did not take costs no CA anything: once there is room again, it shall not take a
                        // day until that is found out. The next is after the pause that there is between any two.
                        attempt.retry = Retry::NotBefore(attempt.last);
                    }
                    Err(noted(ports, &obtain.certificate, attempt))
                }
            }
        }
    };
    Outcome {
        subject: action.subject(),
        result,
        blame,
        busy,
        answered,
        entered,
    }
}

/// Counts a look before an order that failed, or one at a record that is not seen yet, as no try, and any other end as the end of such looks.
fn count_look(attempt: &mut Attempt, failure: &Failure) {
    attempt.looks = match failure {
        Failure::SelfCheck(_) | Failure::NotYet { .. } => {
            // No CA was asked for anything.
            attempt.count = attempt.count.saturating_sub(1);
            attempt.looks.saturating_add(1)
        }
        _ => 0,
    };
}

/// A certificate from its issuer, by way of a helper where there is one.
async fn obtained(
    ports: &Ports,
    obtain: &Obtain,
    entered: &mut Vec<LedgerEntry>,
) -> Result<HeldCertificate, Failure> {
    match &obtain.helper {
        Some(order) => helper::obtain(ports, obtain, order, entered).await,
        None => obtain::obtain(&ports.issuing, &*ports.clock, obtain, entered).await,
    }
}

/// The record of a try that failed now: a pause is one between the end of a try and the next, however long it took.
fn failed(ports: &Ports, attempt: &Attempt, failure: &Failure) -> Attempt {
    Attempt {
        last: ports.clock.now(),
        retry: failure.retry(),
        problem: Some(chain(failure)),
        ..attempt.clone()
    }
}

/// Adds what went wrong to the record on disk. The record itself is there already, so that a disk that fails now costs
/// only the words.
fn noted(ports: &Ports, name: &CertificateName, attempt: Attempt) -> Attempt {
    match ports.issuing.attempts.note_attempt(name, &attempt) {
        Ok(()) => attempt,
        Err(error) => {
            let problem = attempt.problem.as_deref().unwrap_or_default();
            Attempt {
                problem: Some(format!("{problem}; and {}", chain(&error))),
                ..attempt
            }
        }
    }
}
