use super::{Call, Exit, Failure, block_on, notifying, setup};
use crate::{adapters::disk::Lock, daemon::Settled};

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    block_on(async {
        let state = &call.settings.state;
        let Some(_lock) = Lock::take(state, setup::tell)? else {
            let problem = "another quaymaster works on this state; end it first, or let it do this"
                .to_owned();
            return Err(Failure::Usage(problem));
        };
        setup::check_records(call)?;
        let engine = setup::engine(call)?;
        let own = setup::own(call, &engine).await?;
        let folders = setup::folders(call, own.container());
        let mark_host = folders.mark_host()?;
        folders.give_keys();
        let mut daemon = setup::daemon(call, engine, folders, own.container(), mark_host)?;
        daemon.doubt = setup::complaint(&own);
        notifying::check(call, own.container())?;
        daemon.notifying = notifying::begin(call, false)?;
        daemon.recording = setup::recording(call);
        setup::listen(call, &mut daemon).await?;
        setup::agreed(call, &daemon).await?;
        let _shown = call.progress.show();
        match daemon.once().await? {
            Settled::Clean => Ok(Exit::Done),
            Settled::WithTrouble => Ok(Exit::Partly),
        }
    })
}
