//! The history of names: what happens is gathered, and written down between turns, a burst at a time. Where nothing happens,
//! nothing is written.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tokio::{sync::Notify, task::JoinSet};

use crate::{
    observe::HistoryEntry,
    ports::{Clock, Histories, Remark},
    report::{Event, Listening, chain, listen, news, report},
};

/// Entries that are written at once: what thousands of names begin with takes several steps, and turns come between them.
const AT_ONCE: usize = 500;

/// Entries that wait for a disk that takes none. Those that come beyond are in the log alone.
const MOST_WAITING: usize = 50_000;

/// Keeps the history of names, as long as it is there.
#[derive(Default)]
pub struct Recording {
    pen: Option<Rc<Pen>>,
    _listening: Option<Listening>,
    _writing: JoinSet<()>,
}

struct Pen {
    histories: Rc<dyn Histories>,
    waiting: RefCell<Vec<HistoryEntry>>,
    bell: Notify,
    /// Whether it was told that nothing can be written.
    is_fault_told: Cell<bool>,
}

impl Recording {
    /// Keeps what happens from now on; that takes a local set of tasks.
    pub fn begin(histories: Rc<dyn Histories>, clock: Rc<dyn Clock>) -> Self {
        let pen = Rc::new(Pen {
            histories,
            waiting: RefCell::default(),
            bell: Notify::new(),
            is_fault_told: Cell::default(),
        });
        let (hearing, writing) = (Rc::clone(&pen), Rc::clone(&pen));
        let listening = listen(move |event| hearing.take(event, &*clock));
        let mut task = JoinSet::new();
        task.spawn_local(async move { writing.write_down().await });
        Self {
            pen: Some(pen),
            _listening: Some(listening),
            _writing: task,
        }
    }

    /// Writes down what is not on disk yet.
    pub(super) fn keep(&self) {
        if let Some(pen) = &self.pen {
            while pen.write_some() {}
        }
    }
}

impl Pen {
    fn take(&self, event: &Event, clock: &dyn Clock) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING
            && let Some(entry) = news::kept(event, clock.now())
        {
            waiting.push(entry);
            self.bell.notify_one();
        }
    }

    async fn write_down(&self) {
        loop {
            self.bell.notified().await;
            while self.write_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Writes the first of what waits; says whether there is more that can be written.
    fn write_some(&self) -> bool {
        let some: Vec<_> = {
            let mut waiting = self.waiting.borrow_mut();
            let count = waiting.len().min(AT_ONCE);
            waiting.drain(..count).collect()
        };
        if some.is_empty() {
            return false;
        }
        match self.histories.add_history(&some) {
            Ok(()) => {
                self.is_fault_told.set(false);
                !self.waiting.borrow().is_empty()
            }
            Err(error) => {
                // With the next event it is tried again.
                self.waiting.borrow_mut().splice(0..0, some);
                if !self.is_fault_told.replace(true) {
                    let problem = chain(&error);
                    report(&Event::Met(Remark::HistoryNotKept { problem }));
                }
                false
            }
        }
    }
}
