//! The requests of commands to the daemon: each is left in state, and answered by the daemon that works there, else by
//! the command itself.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use super::{Call, Failure, setup};
use crate::{
    adapters::disk::{Folders, Lock},
    daemon::BREATH,
    report::explain::{Works, rough},
};

/// Time between two looks of the command for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The ports that a request needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// A CA whose terms were agreed to.
    Authority,
    /// Our records alone.
    State,
}

/// Has what was left in state answered, and collects what came of it; nothing where Ctrl-C ended that first. `are_answered`
/// says when to collect. `collect` takes back from state what was left there, whatever came of it.
pub(super) async fn answers<T>(
    call: &Call,
    folders: &Folders,
    needs: Needs,
    are_answered: &dyn Fn() -> Result<bool, Failure>,
    collect: impl FnOnce() -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let ended = tokio::select! {
        fulfilled = fulfil(call, folders, needs, are_answered) => fulfilled.map(|()| true),
        _ = tokio::signal::ctrl_c() => Ok(false),
    };
    let answers = collect()?;
    Ok(ended?.then_some(answers))
}

/// Sees to it that everything that was left in state is answered; `are_answered` says when.
async fn fulfil(
    call: &Call,
    folders: &Folders,
    needs: Needs,
    are_answered: &dyn Fn() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let state = &call.settings.state;
    if let Some(_lock) = Lock::take(state, setup::tell)? {
        let (engine, own) = setup::reached(call).await?;
        let mark_host = folders.mark_host()?;
        let own_folders = setup::folders(call, own.as_ref());
        let daemon = setup::daemon(call, engine, own_folders, own.as_ref(), mark_host)?;
        if needs == Needs::Authority {
            setup::agreed(call, &daemon).await?;
        }
        let _shown = call.progress.show();
        return Ok(daemon.fulfil_wishes().await?);
    }
    let was_told = Lock::nudge(state)?;
    if io::stderr().is_terminal() {
        match was_told {
            true => {
                eprintln!("the daemon was notified; waiting for it (Ctrl-C withdraws the request)")
            }
            false => eprintln!(
                "the daemon starts within {} (Ctrl-C withdraws the request)",
                rough(BREATH)
            ),
        }
    }
    while !are_answered()? {
        if setup::works(call, folders, setup::now())? != Works::Well {
            tracing::error!(
                "the daemon that should do it has stopped; `quaymaster check` says more"
            );
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
