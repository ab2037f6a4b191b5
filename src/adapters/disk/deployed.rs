//! Our record of a consumer's folders, and the journal of what was there before: one file, written in one piece, because
//! each write that has to be on the disk makes a reload late by some milliseconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Folders, consumers::may_be_touched, delivery::Copies, files, shared::SharedFolder,
    state::read_json,
};
use crate::{
    observe::Installed,
    ports::{Change, ConsumerPlace, DiskError, Remark},
    values::{CertificateName, ContainerName, Digest, FileName, KeyedTable},
};

/// The record of a consumer.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The facts about it; the contents of its folder are looked at, not believed.
    pub installed: Option<Installed>,
    /// The files that have to come back if the new ones are not taken up.
    pub journal: Option<Journal>,
    /// The certificates of which earlier copies go once this is written, and the copy that stays, if any: a crash in
    /// between must not leave keys where nobody looks for them.
    #[serde(default)]
    pub tidy: Tidy,
}

/// Certificates with the copy that stays; none where all go.
pub(super) type Tidy = BTreeMap<CertificateName, Option<Digest>>;

/// The earlier files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The texts of files; none where there was no file.
    pub files: BTreeMap<FileName, Option<String>>,
    /// Where links to certificates led; none where there was none.
    pub links: BTreeMap<CertificateName, Option<PathBuf>>,
}

impl Journal {
    /// Adds the files that lie in the way of a change now, unless something older is known.
    fn add_files(
        &mut self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<(), DiskError> {
        let config = place.config.map(SharedFolder::open).transpose()?.flatten();
        for name in change.write.keys().chain(change.remove) {
            if !self.files.contains_key(name) {
                let text = match &config {
                    // What is never touched need not come back.
                    Some(config) if !may_be_touched(place, config, name) => continue,
                    Some(config) => config.text(name.as_str())?,
                    None => None,
                };
                self.files.insert(name.clone(), text);
            }
        }
        Ok(())
    }

    /// Where the link of a certificate leads that may come back.
    pub fn link(&self, name: &CertificateName) -> Option<&PathBuf> {
        self.links.get(name)?.as_ref()
    }
}

impl Folders {
    /// Reads the record of a consumer. A record that can't be read is put aside with a remark: the folder itself shows
    /// most of what it said.
    pub(super) fn record(&self, consumer: &ContainerName) -> Result<Record, DiskError> {
        let path = self.record_file(consumer);
        let anew = "everything of this consumer is proven again";
        let mut record: Record = self.read_or_set_aside(&path, anew)?;
        if let Some(installed) = &mut record.installed {
            let anew = "its certificates are delivered again";
            installed.certificates = self.read_or_set_aside(&self.given_file(consumer), anew)?;
        }
        Ok(record)
    }

    /// Reads a record; one that is not there is empty, and one that can't be understood is set aside and empty.
    pub(super) fn read_or_set_aside<T: Default + DeserializeOwned>(
        &self,
        path: &Path,
        instead: &str,
    ) -> Result<T, DiskError> {
        match read_json(path) {
            Ok(record) => Ok(record.unwrap_or_default()),
            Err(DiskError::Damaged { path, problem }) => {
                let kept = files::set_damaged_aside(&path)?;
                (self.remarks)(Remark::FileDamaged {
                    path,
                    problem,
                    instead: format!("it is kept as {}, and {instead}", kept.display()),
                });
                Ok(T::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the record down, and with it what the change is about to replace.
    pub(super) fn open_journal(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
        installed: &Installed,
    ) -> Result<(), DiskError> {
        let mut journal = self.record(place.consumer)?.journal.unwrap_or_default();
        journal.add_files(place, change)?;
        let (copies, inside) = (Copies::of(place)?, self.chosen_inside(place)?);
        for name in change.deliver.keys() {
            if !journal.links.contains_key(name) {
                let chosen = match &copies {
                    Some(copies) => copies.chosen(name)?,
                    None => inside.get(name).cloned(),
                };
                journal.links.insert(name.clone(), chosen);
            }
        }
        self.write_record(
            place.consumer,
            &Record {
                installed: Some(bare(installed)),
                journal: Some(journal),
                tidy: Tidy::new(),
            },
        )
    }

    /// Writes the record down; the journal stays only as long as the record says that it is open. Returns of which
    /// certificates earlier copies can go now: these, and those that the closed journal could have brought back.
    pub(super) fn close_journal(
        &self,
        consumer: &ContainerName,
        installed: &Installed,
        tidy: &BTreeSet<CertificateName>,
    ) -> Result<Tidy, DiskError> {
        let before = self.record(consumer)?.journal;
        let closed = before
            .iter()
            .filter(|_| !installed.open)
            .flat_map(|journal| journal.links.keys());
        let stays =
            |name: &CertificateName| (name.clone(), installed.certificates.get(name).copied());
        let tidy: Tidy = tidy.iter().chain(closed).map(stays).collect();
        let journal = before.filter(|_| installed.open);
        self.write_record(
            consumer,
            &Record {
                installed: Some(bare(installed)),
                journal,
                tidy: tidy.clone(),
            },
        )?;
        Ok(tidy)
    }

    /// Writes down which certificates it was given, if these are others than before.
    pub(super) fn keep_given(
        &self,
        consumer: &ContainerName,
        certificates: &KeyedTable<CertificateName, Digest>,
    ) -> Result<(), DiskError> {
        let path = self.given_file(consumer);
        let known: Option<KeyedTable<CertificateName, Digest>> =
            read_json(&path).unwrap_or_default();
        if known.as_ref() == Some(certificates) {
            Ok(())
        } else {
            self.write_json(&path, certificates)
        }
    }

    fn write_record(&self, consumer: &ContainerName, record: &Record) -> Result<(), DiskError> {
        self.write_json(&self.record_file(consumer), record)
    }

    fn record_file(&self, consumer: &ContainerName) -> PathBuf {
        self.deployed_folder(consumer).join("record.json")
    }

    fn given_file(&self, consumer: &ContainerName) -> PathBuf {
        self.deployed_folder(consumer).join("certificates.json")
    }

    pub(super) fn deployed_folder(&self, consumer: &ContainerName) -> PathBuf {
        self.state
            .join(Path::new("deployed"))
            .join(consumer.as_str())
    }
}

/// Without what is looked at or stands in a file of its own: with thousands of sites that would be written each time.
fn bare(installed: &Installed) -> Installed {
    let Installed {
        generation,
        progress,
        trial,
        reload,
        open,
        has_earlier,
        trying,
        templates,
        process,
        signals,
        is_own_broken,
        opened_for,
        // Named, so that nothing new is left out by chance.
        files: _,
        foreign: _,
        certificates: _,
        shut: _,
        beside: _,
    } = installed;
    Installed {
        generation: *generation,
        progress: progress.clone(),
        trial: trial.clone(),
        reload: *reload,
        open: *open,
        has_earlier: *has_earlier,
        trying: trying.clone(),
        templates: templates.clone(),
        process: *process,
        signals: signals.clone(),
        is_own_broken: *is_own_broken,
        opened_for: *opened_for,
        ..Installed::default()
    }
}
