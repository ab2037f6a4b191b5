use super::{Call, Exit, Failure, setup};
use crate::{
    adapters::{clock::SystemClock, disk::Folders},
    daemon::BREATH,
    ports::Clock,
    report::chain,
};

/// How many signs of life may be missed.
pub(super) const MISSED: u32 = 3;

/// Reads one small file: health checks run for ever, and must cost nothing.
pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let state = call.settings.state.clone();
    let breath = Folders::new(state.join("certificates"), state, setup::tell).last_breath();
    let now = SystemClock.now();
    let (exit, problem) = match breath {
        Ok(Some(last)) if now.since(last) <= BREATH * MISSED => return Ok(Exit::Done),
        Ok(Some(last)) => (Exit::Partly, format!("the daemon was last seen at {last}")),
        Ok(None) => (
            Exit::Partly,
            "no daemon has worked on this state yet".to_owned(),
        ),
        // One that turns puts it right within seconds.
        Err(error) => (Exit::Partly, chain(&error)),
    };
    tracing::error!("{problem}");
    Ok(exit)
}
