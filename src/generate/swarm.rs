use super::{Pair, files::Made, known::Known};
use crate::{observe::Detail, ports::DetailedEngine};

/// The result of a template, unless it asks for facts about a Swarm that were not read yet: without these it would be
/// another text. Without such a template the engine is not asked.
///
/// # Errors
/// What is wrong, in words.
pub(super) async fn without_swarm(
    engine: &dyn DetailedEngine,
    known: Option<&Known>,
    pair: &Pair,
    made: Made,
) -> Result<Made, String> {
    let Some(list) = made.of_swarm else {
        return Ok(made);
    };
    let is_of_swarm = |detail: &Detail| {
        let labels = &detail.container.labels;
        labels.get("com.docker.swarm.service.name").is_some()
    };
    let manages = match engine.manages_swarm().await {
        Ok(manages) => manages,
        // Where this may not be asked, containers tell whether there is a Swarm.
        Err(_) => known.into_iter().flat_map(Known::all).any(is_of_swarm),
    };
    if !manages {
        return Ok(made);
    }
    let name = &pair.template;
    Err(format!(
        "template {name}: it asks for {list}, and services, tasks and nodes of a Swarm are not read yet; take {list} out of \
         it, or leave it to docker-pygen until they are"
    ))
}
