//! Where targets of outputs are: consumers see them at other places than we do.

use std::path::{Path, PathBuf};

use tokio::sync::OwnedMutexGuard;

use super::Turning;
use crate::{
    desire::{Origin, shared_folder},
    generate::{Pair, PartOfWatch, known::Known},
    observe::{Bearer, SharedPath, mount_of},
    render::CertificateRecord,
    values::ContainerName,
};

impl Turning {
    /// Where the target of a pair is, as we see it; nothing where it is printed.
    ///
    /// # Errors
    /// Why it can't be written from here, and what to do, in words.
    pub(super) fn located(&self, pair: &Pair) -> Result<Option<SharedPath>, String> {
        let Some(target) = &pair.target else {
            return Ok(None);
        };
        let Some(output) = &self.given.output else {
            return Ok(Some(SharedPath::top(target)));
        };
        let own = self.own();
        if self.given.own.is_some() && own.is_none() {
            return Err("the engine does not know quaymaster's own container".to_owned());
        }
        let Some(consumer) = &output.consumer else {
            return Ok(Some(of_ours(own, target)));
        };
        let readers = self.readers(consumer);
        let mut found: Option<(&Bearer, SharedPath)> = None;
        for reader in readers {
            let place = of_theirs(reader, target, own, output)?;
            match &found {
                Some((other, first)) if *first != place => {
                    return Err(format!(
                        "{} and {} are both called {consumer}, and have this file in different places; name one of them, \
                         or let both mount the same volume",
                        other.name, reader.name
                    ));
                }
                Some(_) => {}
                None => found = Some((reader, place)),
            }
        }
        match found {
            Some((_, place)) => Ok(Some(place)),
            None => Err(format!(
                "no container has the name or id {consumer}, and none is of a service called so{}; start it, or write \
                 another consumer, such as PROJECT/SERVICE",
                of_project(own)
            )),
        }
    }

    /// The containers that a consumer's word means: by name or id, else the service of our own Compose project, or of the
    /// one before a slash. Not by anything that containers say of themselves: they get files, signals and words to run.
    pub(in crate::generate) fn consumers(&self, word: &str) -> Vec<&Bearer> {
        let all = || self.details.iter().flat_map(Known::all);
        let all = || all().map(|detail| &detail.container);
        let exact = |it: &&Bearer| it.name.as_str() == word || is_id(it.id.as_str(), word);
        let named: Vec<_> = all().filter(exact).collect();
        if !named.is_empty() {
            return named;
        }
        let (project, service) = match word.split_once('/') {
            Some((project, service)) => (Some(project), service),
            None => (self.own().and_then(Bearer::project), word),
        };
        let is_of_service = |it: &&Bearer| {
            let is_of_project = project.is_none() || it.project() == project;
            is_of_project && it.service() == service && !it.is_one_off()
        };
        all().filter(is_of_service).collect()
    }

    /// Those who read what is made: those that run, or where none does, all that are there.
    pub(super) fn readers(&self, consumer: &str) -> Vec<&Bearer> {
        let running = self.meant(consumer);
        match running.is_empty() {
            true => self.meant_at_all(consumer),
            false => running,
        }
    }

    /// Waits until nobody else gives files to those who read what is made.
    pub(super) async fn turn_at_consumers(&self) -> Vec<OwnedMutexGuard<()>> {
        let mut turns = Vec::new();
        let Some(output) = &self.given.output else {
            return turns;
        };
        let consumer = output.consumer.iter();
        let mut names: Vec<_> = consumer
            .flat_map(|consumer| self.readers(consumer))
            .map(|reader| reader.name.clone())
            .collect();
        // Whoever waits for several takes them in the same order, so that no two wait for each other.
        names.sort();
        for name in names {
            turns.push(output.board.turn_of(&name).await);
        }
        turns
    }

    /// The certificates that templates see, with paths as the consumer sees them.
    pub(super) fn certificates(&self) -> Vec<CertificateRecord> {
        let Some(output) = &self.given.output else {
            return Vec::new();
        };
        let held = output.board.held().unwrap_or_default();
        let Some(consumer) = &output.consumer else {
            return held.ours.clone();
        };
        let readers = self.readers(consumer).into_iter();
        let mut given = readers.filter_map(|reader| held.given.get(&reader.name));
        given.next().unwrap_or(&held.plain).clone()
    }
}

/// Where services are looked for.
fn of_project(own: Option<&Bearer>) -> String {
    let project = own.and_then(Bearer::project);
    project.map_or(String::new(), |project| {
        format!(" in the Compose project {project}")
    })
}

/// True if a word is a container's id, or enough of its beginning, as `docker ps` shows it.
fn is_id(id: &str, word: &str) -> bool {
    const SHORT: usize = 12;
    id == word || word.len() >= SHORT && id.starts_with(word)
}

/// A file of ours. In what is mounted into our container others may write, too, so that no link is followed there.
fn of_ours(own: Option<&Bearer>, target: &Path) -> SharedPath {
    let folder = target.parent().unwrap_or(Path::new("/"));
    let mount = own.and_then(|own| mount_of(&own.mounts, target));
    let mount = mount.map_or(folder, |mount| &mount.destination);
    SharedPath::beneath(mount, target)
}

/// A file of the consumer's, as we see it.
fn of_theirs(
    reader: &Bearer,
    target: &Path,
    own: Option<&Bearer>,
    output: &PartOfWatch,
) -> Result<SharedPath, String> {
    let name = &reader.name;
    let single = reader.mounts.iter().find(|it| it.destination == target);
    let (Some(folder), Some(file), None) = (target.parent(), target.file_name(), single) else {
        return Err(format!(
            "container {name}: {} is mounted by itself, and such a mount keeps showing what was mounted first; mount \
             the folder above it instead",
            target.display()
        ));
    };
    let label = format!("outputs.{}.target", output.name);
    let said = Origin::new(&ContainerName::of_settings(), &label, "");
    let folder = shared_folder(reader, PathBuf::from(folder), own, said).map_err(|complaint| {
        format!(
            "container {name}: {}; {}",
            complaint.problem, complaint.remedy
        )
    })?;
    Ok(folder.ours.join(&file.to_string_lossy()))
}
