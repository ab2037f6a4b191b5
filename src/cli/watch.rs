use std::{path::Path, rc::Rc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{Call, Exit, Failure, block_on, listening, notifying, setup};
use crate::{
    adapters::{
        disk::Lock,
        engine::{DockerEngine, OwnContainer},
    },
    ports::EngineError,
    report::{EngineReport, Event, chain, report},
};

/// Time between two looks of a second process for the end of the first.
const STAND_BY: Duration = Duration::from_secs(1);

/// Pauses while the engine has not been reached yet.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let mut stop = Stop::new()?;
        let hangups = hangups()?;
        tokio::select! {
            exit = stop.wait() => Ok(exit),
            begun = begin(call) => {
                let (daemon, _lock) = begun?;
                let mut exit = Exit::Done;
                daemon.watch(async { exit = stop.wait().await }, hangups).await;
                report(&Event::Ended {});
                Ok(exit)
            }
        }
    })
}

/// Waits for the state and for the engine, then sets everything up.
async fn begin(call: &Call) -> Result<(crate::daemon::Daemon, Lock), Failure> {
    let lock = stand_by(&call.settings.state).await?;
    setup::check_records(call)?;
    let recording = setup::recording(call);
    let engine = setup::engine(call)?;
    let questions = listening::show_pages(call).await?;
    let notifying = notifying::begin(call, true)?;
    let own = reach(call, &engine).await?;
    notifying::check(call, own.container())?;
    let folders = setup::folders(call, own.container());
    let mark_host = folders.mark_host()?;
    folders.give_keys();
    let mut daemon = setup::daemon(call, engine, folders, own.container(), mark_host)?;
    daemon.doubt = setup::complaint(&own);
    daemon.questions = questions;
    daemon.notifying = notifying;
    daemon.recording = recording;
    setup::listen(call, &mut daemon).await?;
    setup::agreed(call, &daemon).await?;
    report(&Event::Started {
        own: own.container().map(|own| own.name.clone()),
        certificates: daemon.label_rules.certificates.display().to_string(),
    });
    Ok((daemon, lock))
}

async fn stand_by(state: &Path) -> Result<Lock, Failure> {
    let mut told = false;
    loop {
        match Lock::take(state, setup::tell)? {
            Some(lock) => return Ok(lock),
            None if !told => report(&Event::StandingBy {}),
            None => {}
        }
        told = true;
        tokio::time::sleep(STAND_BY).await;
    }
}

/// Each SIGHUP from now on; one that comes early must not end us.
pub(super) fn hangups() -> Result<mpsc::UnboundedReceiver<()>, Failure> {
    let (sender, hangups) = mpsc::unbounded_channel();
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        while hangup.recv().await.is_some() && sender.send(()).is_ok() {}
    });
    Ok(hangups)
}

/// Asks the engine who we are until it answers.
pub(super) async fn reach(call: &Call, engine: &Rc<DockerEngine>) -> Result<OwnContainer, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        match setup::own(call, engine).await {
            Ok(own) => return Ok(own),
            Err(error @ EngineError::Address(_)) => return Err(error.into()),
            Err(error) => report(&Event::Engine(EngineReport::Lost {
                engine: None,
                problem: chain(&error),
                again_in: pause,
            })),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The signals that end us.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn wait(&mut self) -> Exit {
        tokio::select! {
            _ = self.terminate.recv() => Exit::Done,
            _ = self.interrupt.recv() => Exit::Interrupted,
        }
    }
}

/// Signals of a kind, from now on.
pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Bug {
        what: "signals can't be listened to",
        source: error.into(),
    })
}
