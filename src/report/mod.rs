//! Everything that is reported: events as they happen, and the status document. Nothing here decides anything.

mod default_config;
mod event;
pub mod explain;
mod finding;
mod measure;
mod message;
pub mod metrics;
pub mod news;
mod output;
mod overview;
pub mod page;
mod status;
mod tally;

use std::{cell::RefCell, rc::Rc};

pub use default_config::tell_default_config;
pub(crate) use event::named;
pub use event::{EngineReport, Event, OrderStage, TemplateEvent};
pub use finding::{Finding, FindingState, Findings, start_it};
pub use measure::{Measure, Measuring, measured, measuring};
pub use message::{MessageTemplate, sample as sample_news};
pub use output::OutputStatus;
pub use overview::Overview;
pub use status::{
    CertificateStatus, ConsumerStatus, FailureStatus, Instead, LimitedStatus, SiteStatus, Status,
};
pub use tally::Tally;

thread_local! {
    /// The listeners to events in addition to the log; work is done and reported on one thread.
    static LISTENERS: RefCell<Vec<Rc<Listener>>> = const { RefCell::new(Vec::new()) };
    /// The event that is being logged, for logs that have its fields: a line of `tracing` can't carry any.
    static LOGGED: RefCell<Option<Event>> = const { RefCell::new(None) };
}

type Listener = dyn Fn(&Event);

/// A listener's place among those that get events, until it is dropped.
#[must_use = "the listener gets no more events once this is dropped"]
pub struct Listening(Rc<Listener>);

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENERS.with_borrow_mut(|all| all.retain(|listener| !Rc::ptr_eq(listener, &self.0)));
    }
}

/// Tells each event on this thread to this one, too, as long as the result is there.
pub fn listen(listener: impl Fn(&Event) + 'static) -> Listening {
    let listener: Rc<Listener> = Rc::new(listener);
    LISTENERS.with_borrow_mut(|all| all.push(Rc::clone(&listener)));
    Listening(listener)
}

/// Tells an event to whoever listens: the log, what shows progress, and others.
pub fn report(event: &Event) {
    LOGGED.set(Some(event.clone()));
    log(event);
    LOGGED.set(None);
    // A listener may report, and listen or end that: it is told by a copy of the list.
    let listeners = LISTENERS.with_borrow(Clone::clone);
    listeners.iter().for_each(|listener| listener(event));
}

/// Reads the event that the line comes from which is being logged on this thread; none where it comes from elsewhere.
pub fn read_logged<T>(read: impl FnOnce(Option<&Event>) -> T) -> T {
    LOGGED.with_borrow(|event| read(event.as_ref()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listener_is_told_what_happens_as_long_as_it_listens() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let noting = |who: &'static str| {
            let told = Rc::clone(&told);
            listen(move |event| told.borrow_mut().push((who, event.name())))
        };
        let first = noting("first");
        report(&Event::StandingBy {});
        let second = noting("second");
        report(&Event::StandingBy {});
        drop(first);
        report(&Event::Ended {});
        drop(second);
        report(&Event::Ended {});
        assert_eq!(
            *told.borrow(),
            [
                ("first", "standing-by"),
                ("first", "standing-by"),
                ("second", "standing-by"),
                ("second", "ended"),
            ]
        );
    }
}
