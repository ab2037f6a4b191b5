use std::path::Path;

use crate::{
    adapters::disk::{self, FolderLook, Folders},
    cli::{Call, Failure},
    daemon::{Daemon, Survey},
    desire::{CertificateFolder, Consumer, Delivery, Destination, Helper, Proxy},
    observe::{Bearer, Place, SharedPath, locate},
    report::{Findings, chain},
};

/// The folders of the settings.
pub(super) fn ours(call: &Call, daemon: &Daemon, own: Option<&Bearer>, told: &mut Findings) {
    let state = call.settings.state.as_path();
    if let Some(found) = folder("state", &SharedPath::top(state), told) {
        private(state, found.mode, own, told);
    }
    kept("state", state, own, told);
    let certificates = daemon.label_rules.certificates.as_path();
    if !certificates.starts_with(state) {
        folder("certificates", &SharedPath::top(certificates), told);
        kept("certificates", certificates, own, told);
    }
    if let Some(webroot) = &daemon.label_rules.webroot {
        folder("webroot", &SharedPath::top(webroot), told);
    }
}

/// Checks that others are kept out of a folder that holds keys. Quaymaster does not change its mode: a folder of the
/// user's own may be meant for others, too.
fn private(path: &Path, mode: u32, own: Option<&Bearer>, told: &mut Findings) {
    let says = format!("{} has mode {mode:04o}", path.display());
    let remedy = to_run("chmod 0700", path, own);
    match (mode & 0o022, mode & 0o077) {
        (0, 0) => {}
        // As volumes are made; what we write in it is readable by its owner alone.
        (0, _) => told.advice(
            "folders",
            format!("{says}: others can list it, and read nothing that lies in it"),
            remedy,
        ),
        (..) => told.problem(
            "folders",
            format!("{says}, so others can put files there, and it holds keys"),
            remedy,
        ),
    }
}

/// A command about a path of ours, by the path that it has where it can be run: in our container there is no shell.
pub(super) fn to_run(command: &str, path: &Path, own: Option<&Bearer>) -> String {
    let (place, path) = match own.and_then(|own| locate(&own.mounts, path)) {
        Some(
            Place::Host(there)
            | Place::Volume {
                on_host: Some(there),
                ..
            },
        ) => ("on the host, ", there),
        _ => ("", path.to_owned()),
    };
    let path = path.to_string_lossy();
    format!("{place}`{command} {}`", shell_words::quote(&path))
}

/// In a container, what lies on no volume is gone with it.
fn kept(what: &str, path: &Path, own: Option<&Bearer>, told: &mut Findings) {
    let Some(own) = own else { return };
    if !own
        .mounts
        .iter()
        .any(|mount| path.starts_with(&mount.destination))
    {
        let says = format!(
            "{what}: {} is on no volume, so it is lost with this container",
            path.display()
        );
        let remedy = format!(
            "in Compose, add `volumes: [\"{what}:{}\"]` to service {}",
            path.display(),
            own.service()
        );
        told.problem("folders", says, remedy);
    }
}

fn folder(what: &str, shown: &SharedPath, told: &mut Findings) -> Option<FolderLook> {
    match disk::look(shown) {
        Ok(None) => {
            told.note(
                "folders",
                format!("{what}: {shown} is not there yet; it is made when it is needed"),
            );
            None
        }
        Ok(Some(FolderLook {
            writable: Err(error),
            ..
        })) => {
            let remedy =
                "let quaymaster's user write there; is it mounted read-only, or the disk full?";
            told.problem("folders", format!("{what}: {}", chain(&error)), remedy);
            None
        }
        Ok(Some(found)) => {
            told.ok(
                "folders",
                format!("{what}: {shown} can be written, mode {:04o}", found.mode),
            );
            Some(found)
        }
        Err(error) => {
            told.problem(
                "folders",
                format!("{what}: {}", chain(&error)),
                "make it a folder that quaymaster may use",
            );
            None
        }
    }
}

/// The folders of proxies, as each side sees them.
pub(super) fn theirs(survey: &Survey, told: &mut Findings) {
    for consumer in survey.desired.consumers.values() {
        let name = &consumer.name;
        let mut pair = |what: &str, theirs: &Path, ours: &SharedPath| {
            told.ok(
                "mounts",
                format!("{name}: {what} {} is {} here", theirs.display(), ours),
            );
        };
        if let Some(Proxy {
            config, webroot, ..
        }) = &consumer.proxy
        {
            pair("config", &config.theirs, &config.ours);
            pair("webroot", &webroot.theirs, &webroot.ours);
        }
        if let Some(Helper {
            folder, webroot, ..
        }) = &consumer.helper
        {
            pair("list", &folder.theirs, &folder.ours);
            pair("webroot", &webroot.theirs, &webroot.ours);
        }
        match &consumer.certificates {
            CertificateFolder::Delivered(Delivery { to, .. }) => match to {
                Destination::Folder(folder) => {
                    pair("certificates", &folder.theirs, &folder.ours);
                }
                Destination::Inside(theirs) => {
                    let theirs = theirs.display();
                    let how = "not mounted here, so the engine puts its certificates there";
                    told.ok("mounts", format!("{name}: {theirs} is {how}"));
                }
            },
            CertificateFolder::Shared { theirs } => {
                told.ok(
                    "mounts",
                    format!("{name}: it reads our certificates, at {}", theirs.display()),
                );
            }
        }
        let written = match (&consumer.proxy, &consumer.helper, &consumer.certificates) {
            (Some(proxy), ..) => &proxy.config.ours,
            (None, Some(helper), _) => &helper.folder.ours,
            (None, None, CertificateFolder::Delivered(delivery)) => match delivery.to.ours() {
                Some(ours) => ours,
                None => continue,
            },
            (None, None, CertificateFolder::Shared { .. }) => continue,
        };
        if folder(name.as_str(), written, told).is_some() {
            given(consumer, written, told);
        }
    }
}

/// Checks that a server that does not run as root can be given its keys.
fn given(consumer: &Consumer, folder: &SharedPath, told: &mut Findings) {
    let Some(owner) = consumer.owner else { return };
    let (name, user) = (&consumer.name, owner.user);
    match disk::try_owner(folder, owner) {
        Ok(()) => told.ok(
            "folders",
            format!("{name}: its keys can be given to user {user}"),
        ),
        Err(error) => told.problem(
            "folders",
            format!("{name}: {}", chain(&error)),
            format!("in Compose, add `cap_add: [CHOWN]` to quaymaster, or run both as user {user}"),
        ),
    }
}

/// The subject of findings about left-overs.
pub(super) const LEFT_OVERS: &str = "left-overs";

/// Finds left-overs that are of no use any more. They do no harm.
pub(super) fn left_overs(
    folders: &Folders,
    survey: &Survey,
    told: &mut Findings,
) -> Result<(), Failure> {
    let orders = folders.orders()?.into_iter();
    for name in orders.filter(|name| !survey.desired.certificates.contains_key(name)) {
        let path = folders.order_path(&name);
        told.note(
            LEFT_OVERS,
            format!(
                "a left-over order for {name}, which no label asks for: {}",
                path.display()
            ),
        );
    }
    for path in folders.unfinished()? {
        told.note(
            LEFT_OVERS,
            format!(
                "a certificate that was only partly written: {}",
                path.display()
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{container, volume},
        report::FindingState,
    };

    #[test]
    fn a_folder_that_is_open_to_others_is_told_with_the_line_that_shuts_it_where_that_can_be_run() {
        let mut own = container("quaymaster", 2);
        own.mounts = vec![volume("state", "/state", true)];
        let there = "on the host, `chmod 0700 /var/lib/docker/volumes/state/_data`";
        for (mode, own, expected) in [
            (0o700, None, None),
            (0o755, Some(&own), Some((FindingState::Note, there))),
            (
                0o755,
                None,
                Some((FindingState::Note, "`chmod 0700 /state`")),
            ),
            (0o777, Some(&own), Some((FindingState::Problem, there))),
        ] {
            let mut told = Findings::default();
            private(Path::new("/state"), mode, own, &mut told);
            let found = told
                .0
                .first()
                .map(|finding| (finding.state, finding.remedy.as_deref().unwrap_or_default()));
            assert_eq!(found, expected, "{mode:o}");
        }
    }
}
