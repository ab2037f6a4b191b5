//! Whoever sits at the terminal, as those who put responses to challenges where a CA sees them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, IsTerminal},
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{Call, by_hand::told};
use crate::{
    observe::HandTask,
    ports::{Hands, Waited},
    values::Host,
};

/// Time between two looks for the awaited thing.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Whoever sits at the terminal, if there is one.
pub(super) struct TerminalHands {
    is_there: bool,
    /// True if the user has said before that all is there.
    insists: bool,
    /// Enter.
    typed: RefCell<Option<JoinHandle<bool>>>,
    /// The last words about each name.
    said: RefCell<BTreeMap<Host, String>>,
}

impl TerminalHands {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            is_there: io::stdin().is_terminal(),
            insists: call.options.get_flag("yes"),
            typed: RefCell::default(),
            said: RefCell::default(),
        }
    }

    /// Waits until somebody presses Enter; says no where the terminal is gone.
    async fn entered(&self) -> bool {
        let typing = self.typed.take().unwrap_or_else(|| {
            tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                io::stdin().read_line(&mut line).is_ok_and(|read| read > 0)
            })
        });
        let mut typing = Typing(Some(typing), &self.typed);
        match &mut typing.0 {
            Some(handle) => {
                let ended = handle.await;
                typing.0 = None;
                ended.unwrap_or(false)
            }
            None => false,
        }
    }
}

/// A line that is being typed; it is waited for again after the next look.
struct Typing<'a>(
    Option<JoinHandle<bool>>,
    &'a RefCell<Option<JoinHandle<bool>>>,
);

impl Drop for Typing<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            self.1.replace(Some(handle));
        }
    }
}

#[async_trait(?Send)]
impl Hands for TerminalHands {
    fn ask(&self, tasks: &[HandTask]) -> bool {
        if !self.is_there || self.insists {
            return self.insists;
        }
        eprintln!("The CA has to see this:");
        for task in tasks {
            eprint!("{}", told(task));
        }
        eprintln!(
            "Quaymaster checks every {} s. Enter: it is in place, let the CA look. Ctrl-C: stop; the same command goes \
             on later.",
            LOOK_EVERY.as_secs()
        );
        false
    }

    fn saw(&self, name: &Host) {
        if self.is_there {
            eprintln!("{name}: it can be seen");
        }
    }

    async fn wait(&self, unseen: &[(HandTask, String)]) -> Waited {
        if !self.is_there {
            return Waited::Nobody;
        }
        for (task, problem) in unseen {
            let before = self
                .said
                .borrow_mut()
                .insert(task.name().clone(), problem.clone());
            if before.as_ref() != Some(problem) {
                eprintln!("{}: not yet: {problem}", task.name());
            }
        }
        tokio::select! {
            is_typed = self.entered() => match is_typed {
                true => Waited::Insist,
                false => Waited::Nobody,
            },
            () = tokio::time::sleep(LOOK_EVERY) => Waited::Look,
        }
    }
}
