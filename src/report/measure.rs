use std::{cell::RefCell, rc::Rc, time::Duration};

thread_local! {
    /// Who is told how long things took; work is done and measured on one thread.
    static MEASURING: RefCell<Vec<Rc<Measurer>>> = const { RefCell::new(Vec::new()) };
}

type Measurer = dyn Fn(&Measure, Duration);

/// Something that took a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// All templates were rendered.
    Generation,
    /// Files were compared with what came of templates, and put in place where they differ.
    TargetUpdate,
    /// The engine was asked for all containers.
    Look,
    /// Somebody was sent a signal.
    Signal {
        /// Who, in the user's word.
        target: String,
        /// Which.
        signal: String,
    },
    /// Somebody was started again.
    Restart {
        /// Who, in the user's word.
        target: String,
    },
}

/// The place of somebody who measures, until it is dropped.
#[must_use = "nothing is measured any more once this is dropped"]
pub struct Measuring(Rc<Measurer>);

impl Drop for Measuring {
    fn drop(&mut self) {
        MEASURING.with_borrow_mut(|all| all.retain(|one| !Rc::ptr_eq(one, &self.0)));
    }
}

/// Tells how long each thing took that is measured on this thread, as long as the result is there.
pub fn measuring(measurer: impl Fn(&Measure, Duration) + 'static) -> Measuring {
    let measurer: Rc<Measurer> = Rc::new(measurer);
    MEASURING.with_borrow_mut(|all| all.push(Rc::clone(&measurer)));
    Measuring(measurer)
}

/// Tells whoever measures how long something took.
pub fn measured(what: &Measure, took: Duration) {
    let all = MEASURING.with_borrow(Clone::clone);
    all.iter().for_each(|one| one(what, took));
}
