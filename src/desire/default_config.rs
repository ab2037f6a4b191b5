//! The configuration that a server is given to start with, where its label says in which folder.

use super::{
    Complaint, DefaultConfig, consumers::folder, folders::Holding, kinds::Kind, spec::ProxySpec,
};
use crate::{
    observe::{Bearer, locate},
    values::{ContainerName, FileName},
};

/// The first configuration of a server that its user may change: put where the label says, and nowhere without it.
pub(super) fn default_config(
    bearer: &Bearer,
    kind: &Kind,
    spec: &ProxySpec,
    own: Option<&Bearer>,
    taken: &mut Vec<Holding>,
) -> Result<Option<DefaultConfig>, Complaint> {
    let theirs = spec
        .config
        .as_ref()
        .filter(|_| kind.proxy.is_none() && kind.helper.is_none());
    let Some(theirs) = theirs else {
        return Ok(None);
    };
    let Some(default) = kind.default_file else {
        return Err(configures_nothing(bearer, kind, spec));
    };
    let folder = folder(bearer, theirs.clone(), own, spec.origin(bearer, "config"))?;
    if let Some(place) = locate(&bearer.mounts, theirs) {
        let mut others = taken.iter().filter(|it| it.server != bearer.name);
        if let Some(other) = others.find(|it| it.place.is(&place)) {
            return Err(configured_elsewhere(bearer, spec, &other.server));
        }
        taken.push(Holding {
            place,
            server: bearer.name.clone(),
            is_kept_going: bearer.is_kept_going(),
        });
    }
    let named = |name: &str| FileName::parse(name).expect("the kinds table has plain file names");
    Ok(Some(DefaultConfig {
        kind: default,
        file: named(default.file),
        names: [default.password_file, default.acl_file].map(named),
        folder,
    }))
}

/// That the folder of a server's configuration is another's, too.
fn configured_elsewhere(bearer: &Bearer, spec: &ProxySpec, other: &ContainerName) -> Complaint {
    let problem = format!("what lies in that folder is container {other}'s");
    let remedy =
        "give it a folder of its own; until then nothing is written there for it".to_owned();
    spec.origin(bearer, "config").complains(problem, remedy)
}

/// That nothing is written for a server into the folder that its label says.
fn configures_nothing(bearer: &Bearer, kind: &Kind, spec: &ProxySpec) -> Complaint {
    let problem = format!("quaymaster writes no configuration for {}", kind.name);
    let remedy = format!(
        "leave the label out; where its certificates go is what {} says",
        spec.origin(bearer, "files").label
    );
    spec.origin(bearer, "config").complains(problem, remedy)
}
