use std::{io, net::SocketAddr, rc::Rc};

use super::{Call, Failure, setup};
use crate::{
    adapters::page_listener,
    daemon::{LoopPages, Questions},
};

/// Shows pages and metrics from now on, where the settings say so.
pub(super) async fn show_pages(call: &Call) -> Result<Questions, Failure> {
    let settings = &call.settings;
    let Some(at) = settings.listen else {
        return Ok(Questions::default());
    };
    // Where certificates are is known once the engine has answered; of these folders only the state is looked at.
    let (pages, questions) = LoopPages::new(
        at,
        setup::folders(call, None),
        setup::histories(call),
        settings.metrics_also.clone(),
    )
    .map_err(|error| Failure::Bug {
        what: "pages can't be set up",
        source: error.into(),
    })?;
    let names = settings.listen_names.iter().map(ToString::to_string);
    page_listener::show_pages(at, names.collect(), Rc::new(pages))
        .await
        .map_err(|error| cannot_listen("listen", at, &error))?;
    Ok(questions)
}

/// Nobody can listen there.
pub(super) fn cannot_listen(setting: &str, at: SocketAddr, error: &io::Error) -> Failure {
    Failure::Usage(format!(
        "{setting}: nobody can listen at {at} from here: {error}; end what listens there, write another address, or let this \
         program have it (ports below 1024 are root's, or need the capability NET_BIND_SERVICE)"
    ))
}
