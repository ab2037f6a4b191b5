use super::{Call, Exit, Failure};
use crate::{
    adapters::{clock::SystemClock, disk::Folders},
    daemon::BREATH,
    ports::Clock,
};

/// How many signs of life may be missed.
pub(super) const MISSED: u32 = 3;

/// Reads one small file: health checks run for ever, and must cost nothing.
pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let state = call.settings.state.clone();
    let breath = Folders::new(state.join("certificates"), state).last_breath()?;
    let now = SystemClock.now();
    let (exit, problem) = match breath {
        Some(last) if now.since(last) <= BREATH * MISSED => return Ok(Exit::Done),
        Some(last) => (Exit::Partly, format!("the daemon was last seen at {last}")),
        None => (Exit::Partly, "no daemon has worked on this state yet".to_owned()),
    };
    tracing::error!("{problem}");
    Ok(exit)
}
