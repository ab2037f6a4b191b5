use std::time::Duration;

use super::apart;
use crate::{
    adapters::engine::{DockerEngine, OwnProcess, own_container},
    cli::{Call, Failure, setup},
    observe::{Bearer, Way},
    ports::{Engine, EngineError},
    report::{Findings, chain, explain::rough},
    values::{ContainerId, Digest, Signal, Timestamp},
};

const ABOUT: &str = "engine";
const ELSEWHERE: &str = "engines elsewhere";

/// A container or image that can't be: ids are digests, and no digest is known that is nothing but noughts.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The difference of clocks from which there is a finding: a certificate is not valid before its CA's own time.
pub(super) const APART: Duration = Duration::from_secs(30);

/// Tries each call that quaymaster makes; says whether the engine can be asked at all.
pub(super) async fn look(
    call: &Call,
    engine: &DockerEngine,
    now: Timestamp,
    told: &mut Findings,
) -> bool {
    let time = match engine.time().await {
        Err(error) => {
            tell(told, "GET /_ping", Err(&error));
            return false;
        }
        Ok(time) => time,
    };
    tell(told, "GET /_ping", Ok("it answers"));
    clock(time, now, told);
    match engine.version().await {
        Ok(version) => tell(told, "GET /version", Ok(&version)),
        // Nothing but this command asks for it.
        Err(error) => told.note(
            ABOUT,
            format!("`GET /version`: {}; it is not needed", chain(&error)),
        ),
    }
    let events = engine.events().await.map(drop);
    tell(told, "GET /events", events.as_ref().map(|()| "allowed"));
    let inspect = engine.inspect(NOBODY).await;
    tell(
        told,
        "GET /containers/{id}/json",
        inspect.as_ref().map(|_| "allowed"),
    );
    let list = engine.bearers(&call.dialects.interest()).await;
    let listed = list
        .as_ref()
        .map(|list| format!("{} containers have labels for quaymaster", list.len()));
    tell(
        told,
        "GET /containers/json",
        listed.as_deref().map_err(|error| &**error),
    );
    images(engine, told).await;
    kill(engine, told).await;
    list.is_ok()
}

/// Looks whether the engines answer that have a name, and where their published ports are reached.
pub(super) async fn elsewhere(call: &Call, told: &mut Findings) -> Result<(), Failure> {
    for (name, engine) in setup::other_engines(&call.settings)? {
        let seen = async {
            let version = engine.version().await?;
            let host = engine.host().await?;
            let bearers = engine.bearers(&call.dialects.interest()).await?;
            Ok::<_, EngineError>((version, host, bearers.len()))
        };
        match seen.await {
            Ok((version, host, bearers)) => {
                let host = host.map_or_else(|| "this machine".to_owned(), |host| host.to_string());
                told.ok(
                    ELSEWHERE,
                    format!(
                        "{name}: {version}; {bearers} containers bear our labels, and are reached at {host} by the ports that they \
                         publish"
                    ),
                );
            }
            Err(error) => told.problem(
                ELSEWHERE,
                format!("{name}: {}", chain(&error)),
                "look at the table's address and tls, and whether the way there is open; until then, what that engine said last \
                 counts",
            ),
        }
    }
    Ok(())
}

/// Checks that the labels of images can be separated from those of containers. Nothing fails where they can't.
async fn images(engine: &DockerEngine, told: &mut Findings) {
    const CALL: &str = "GET /images/{id}/json";
    let nobody = Digest::try_from(NOBODY.to_owned()).expect("it is made of digits");
    match engine.labels_of_image(nobody).await {
        Ok(_) | Err(EngineError::Refused { status: 404, .. }) => tell(
            told,
            CALL,
            Ok("allowed (tried on an image that does not exist)"),
        ),
        Err(EngineError::Denied { engine, .. }) => told.advice(
            ABOUT,
            format!(
                "`{CALL}` is forbidden at {engine} (403): a label such as kind or use counts even if it came with the \
                 image and nobody wrote it on the container"
            ),
            "allow this call in the socket proxy",
        ),
        Err(error) => tell(told, CALL, Err(&error)),
    }
}

/// An engine that lets the call pass answers that there is no such container.
async fn kill(engine: &DockerEngine, told: &mut Findings) {
    let nobody = ContainerId::parse(NOBODY).expect("it is made of digits");
    let answer = match engine.kill(&nobody, Signal::HUP, Way::Engine).await {
        Ok(_) | Err(EngineError::Refused { status: 404, .. }) => {
            Ok("allowed (tried on a container that does not exist)")
        }
        Err(error) => Err(error),
    };
    tell(
        told,
        "POST /containers/{id}/kill",
        answer.as_ref().map(|words| *words),
    );
}

fn tell(told: &mut Findings, call: &str, answer: Result<&str, &EngineError>) {
    match answer {
        Ok(words) => told.ok(ABOUT, format!("`{call}`: {words}")),
        Err(EngineError::Denied { call, engine }) => {
            let remedy =
                "allow this call in the socket proxy, or use another socket (setting engine)";
            told.problem(
                ABOUT,
                format!("`{call}` is forbidden at {engine} (403)"),
                remedy,
            );
        }
        Err(error @ EngineError::Unreachable { .. }) => {
            let remedy = "start the engine; in a container, mount its socket: \
                          `volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]`; elsewhere, name it by the setting engine";
            told.problem(ABOUT, chain(error), remedy);
        }
        Err(error) => told.problem(
            ABOUT,
            format!("`{call}`: {}", chain(error)),
            "the engine's own log says more",
        ),
    }
}

fn clock(time: Option<Timestamp>, now: Timestamp, told: &mut Findings) {
    let Some(time) = time else {
        return told.note("clocks", "the engine does not send its time");
    };
    match apart(time, now) {
        length if length <= APART => {
            told.ok("clocks", "the clocks of this machine and the engine agree")
        }
        length => told.problem(
            "clocks",
            format!(
                "the clock of this machine says {now}, the engine's {time}: {} apart",
                rough(length)
            ),
            "set both by NTP",
        ),
    }
}

/// Which container we run in, how that was found out, and whether the setting for it is right.
pub(super) async fn own(call: &Call, engine: &DockerEngine, told: &mut Findings) -> Option<Bearer> {
    const OURSELVES: &str = "ourselves";
    let own = match own_container(engine, &OwnProcess::read(), call.settings.own.as_deref()).await {
        Ok(own) => own,
        Err(error) => {
            told.problem(
                OURSELVES,
                chain(&error),
                "name quaymaster's container by the setting self",
            );
            return None;
        }
    };
    if let Some(doubt) = &own.doubt {
        told.problem(OURSELVES, doubt.to_string(), doubt.remedy());
    }
    match own.found {
        Some((container, clue)) => {
            told.ok(
                OURSELVES,
                format!(
                    "quaymaster runs in container {}, found by {clue}",
                    container.name
                ),
            );
            Some(container)
        }
        None => {
            if own.doubt.is_none() {
                told.note(OURSELVES, "quaymaster runs on the host itself");
            }
            None
        }
    }
}
