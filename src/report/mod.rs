//! Everything that is reported: events as they happen, and the status document. Nothing here decides anything.

mod event;
pub mod explain;
mod finding;
mod status;

use std::cell::RefCell;

pub(crate) use event::named;
pub use event::{Event, OrderStage};
pub use finding::{Finding, FindingState, Findings, start_it};
pub use status::{CertificateStatus, ConsumerStatus, FailureStatus, Instead, SiteStatus, Status};

thread_local! {
    /// Who is told events besides the log; work is done and reported on one thread.
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

type Listener = Box<dyn Fn(&Event)>;

/// Tells each event from now on to this one, too; `None` ends that.
pub fn listen(listener: Option<Listener>) {
    LISTENER.set(listener);
}

/// Tells an event to whoever listens: the log, and what shows progress.
pub fn report(event: &Event) {
    log(event);
    LISTENER.with_borrow(|listener| listener.iter().for_each(|listener| listener(event)));
}

fn log(event: &Event) {
    use tracing::Level;
    let name = event.name();
    match event.level() {
        Level::ERROR => tracing::error!(event = name, "{event}"),
        Level::WARN => tracing::warn!(event = name, "{event}"),
        Level::INFO => tracing::info!(event = name, "{event}"),
        _ => tracing::debug!(event = name, "{event}"),
    }
}

/// An error with everything it was caused by, on one line; the one place where chains are printed.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        // Some libraries repeat their source in their own words.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
