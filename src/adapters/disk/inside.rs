//! Copies of certificates inside a container, where only its engine gets. They lie as in a folder that is mounted here:
//! each version in a folder of its own, whole before the link leads to it. But nothing can be looked at there, so that it is
//! written down what was put into which container; and nothing can be taken away, so that an empty file comes in the place
//! of a version that nothing leads to any more.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Folders,
    consumers::FOLDER_MODE,
    deployed::Journal,
    files::PRIVATE,
    shape::{Shape, VERSIONS, piece_of},
    version::Version,
};
use crate::{
    observe::CertificateVersion,
    ports::{Change, ConsumerPlace, DiskError, Item, Parcel, Spot},
    values::{CertificateName, ContainerId, ContainerName, Digest, KeyedTable, Owner, Secret},
};

/// The folder of a server's certificates inside its container.
pub(super) struct Inside<'a> {
    container: &'a ContainerId,
    folder: &'a Path,
    shape: Shape<'a>,
    owner: Option<Owner>,
}

/// The files that were put inside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packed {
    /// Which container it is, and how files lie there: in another one, or another way, nothing does.
    of: Option<Digest>,
    /// The certificates that links lead to.
    pub given: KeyedTable<CertificateName, Digest>,
    /// The versions that lie there, as they came.
    there: BTreeMap<CertificateName, Vec<Digest>>,
}

impl<'a> Inside<'a> {
    /// None where nothing is put inside the container.
    pub fn of(place: &ConsumerPlace<'a>) -> Option<Self> {
        let certificates = place.certificates?;
        let Spot::Inside { container, folder } = certificates.at else {
            return None;
        };
        Some(Self {
            container,
            folder,
            shape: Shape::of(&certificates),
            owner: place.owner,
        })
    }

    /// Tells containers, and ways in which files lie there, apart.
    fn digest(&self) -> Digest {
        let Self {
            container, folder, ..
        } = self;
        let Shape { layout, key_mode } = self.shape;
        Digest::of_parts([
            container.as_str(),
            &folder.display().to_string(),
            &layout.to_string(),
            &format!("{key_mode:o} {:?}", self.owner),
        ])
    }

    /// All that is ours there: a version that goes makes room for an empty file.
    fn parcel_of_versions(&self, items: Vec<(PathBuf, Item)>) -> Parcel {
        Parcel {
            container: self.container.clone(),
            folder: self.folder.to_owned(),
            items,
            may_replace_folders: true,
        }
    }

    /// Where a link is to be, somebody may have a folder of that name, with keys of theirs.
    fn parcel_of_links(&self, items: Vec<(PathBuf, Item)>) -> Option<Parcel> {
        let is_any = !items.is_empty();
        let parcel = Parcel {
            may_replace_folders: false,
            ..self.parcel_of_versions(items)
        };
        is_any.then_some(parcel)
    }

    /// A version, where no link leads yet.
    fn version(
        &self,
        name: &CertificateName,
        digest: Digest,
        version: &Version,
    ) -> Vec<(PathBuf, Item)> {
        let folder = self.shape.version_path(name, digest);
        let file = |text: &str, mode, owner| Item::File {
            text: Secret::new(text),
            mode,
            owner,
        };
        let files = self.shape.layout.files(name).map(|(path, piece)| {
            let owner = self.owner.filter(|_| piece.has_key());
            let text = piece_of(version, piece);
            (path, file(&text, self.shape.mode(piece), owner))
        });
        let marker = version.marker();
        let marker = marker.map(|(path, text, mode)| (path.to_owned(), file(&text, mode, None)));
        let files = files.chain(marker);
        let files = files.map(|(path, item)| (folder.join(path), item));
        std::iter::once((folder.clone(), FOLDER))
            .chain(files)
            .collect()
    }

    /// The links that have a version read in place of another. That which chooses it comes first: the others lead through
    /// it.
    fn links(&self, name: &CertificateName, version: PathBuf) -> Vec<(PathBuf, Item)> {
        let first = (self.shape.link(name), version);
        let links = std::iter::once(first).chain(self.shape.links(name));
        let links = links.map(|(link, target)| (link.into(), Item::Link(target)));
        links.collect()
    }
}

const FOLDER: Item = Item::Folder { mode: FOLDER_MODE };

impl Packed {
    /// Those versions that nothing leads to, and nothing may again, once this one is there. Those that came after the one
    /// that is given may be read: it is not known how far the engine got.
    fn superseded(
        &self,
        (name, new): (&CertificateName, Digest),
        may_come_back: Option<&PathBuf>,
        shape: &Shape<'_>,
    ) -> Vec<Digest> {
        let there = self.there.get(name).into_iter().flatten();
        let Some(given) = self.given.get(name) else {
            return Vec::new();
        };
        let before = there.take_while(|version| *version != given);
        let goes = |version: &&Digest| {
            **version != new && may_come_back != Some(&shape.version_path(name, **version))
        };
        before.filter(goes).copied().collect()
    }

    /// A version comes, after all others.
    fn comes(&mut self, name: &CertificateName, version: Digest) {
        let there = self.there.entry(name.clone()).or_default();
        there.retain(|known| *known != version);
        there.push(version);
    }
}

impl Folders {
    /// Packs the files to put inside a container.
    pub(super) fn packed(
        &self,
        consumer: &ContainerName,
        inside: &Inside<'_>,
    ) -> Result<Packed, DiskError> {
        let anew = "its certificates are delivered again";
        let known: Packed = self.read_or_set_aside(&self.packed_file(consumer), anew)?;
        let of = Some(inside.digest());
        match known.of == of {
            true => Ok(known),
            false => Ok(Packed {
                of,
                ..Packed::default()
            }),
        }
    }

    /// Where certificates go inside a container, what was put there, and what may come back; nothing where none go there.
    fn to_pack<'p>(
        &self,
        place: &ConsumerPlace<'p>,
        change: &Change<'_>,
    ) -> Result<Option<(Inside<'p>, Packed, Journal)>, DiskError> {
        let Some(inside) = Inside::of(place).filter(|_| !change.deliver.is_empty()) else {
            return Ok(None);
        };
        let packed = self.packed(place.consumer, &inside)?;
        let journal = self.record(place.consumer)?.journal.unwrap_or_default();
        Ok(Some((inside, packed, journal)))
    }

    /// Versions of certificates for the inside of a container. They are written down before they are sent: keys of ours are
    /// not forgotten there.
    pub(super) fn pack_versions(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Parcel>, DiskError> {
        let Some((inside, mut packed, journal)) = self.to_pack(place, change)? else {
            return Ok(None);
        };
        let mut items = vec![(VERSIONS.into(), FOLDER)];
        for (name, CertificateVersion { of, digest }) in change.deliver {
            let version = self.version(of, *digest)?;
            items.push((Path::new(VERSIONS).join(name.as_str()), FOLDER));
            let old = packed.superseded((name, *digest), journal.link(name), &inside.shape);
            let old = old.into_iter().map(|old| {
                let gone = Item::File {
                    text: Secret::new(""),
                    mode: PRIVATE,
                    owner: None,
                };
                (inside.shape.version_path(name, old), gone)
            });
            items.extend(old);
            items.extend(inside.version(name, *digest, &version));
            packed.comes(name, *digest);
        }
        self.keep_packed(place.consumer, &packed)?;
        Ok(Some(inside.parcel_of_versions(items)))
    }

    /// The links to versions that lie inside a container by now; what these took the place of is forgotten.
    pub(super) fn pack_links(
        &self,
        place: &ConsumerPlace<'_>,
        change: &Change<'_>,
    ) -> Result<Option<Parcel>, DiskError> {
        let Some((inside, mut packed, journal)) = self.to_pack(place, change)? else {
            return Ok(None);
        };
        let mut items = Vec::new();
        for (name, CertificateVersion { digest, .. }) in change.deliver {
            let old = packed.superseded((name, *digest), journal.link(name), &inside.shape);
            let there = packed.there.entry(name.clone()).or_default();
            there.retain(|version| !old.contains(version));
            let version = inside.shape.version_path(name, *digest);
            items.extend(inside.links(name, version));
        }
        self.keep_packed(place.consumer, &packed)?;
        Ok(inside.parcel_of_links(items))
    }

    /// The links to the versions that were read before, as far as these lie inside the container. Where there was none, the
    /// link stays: nothing can be taken away.
    pub(super) fn pack_earlier_links(
        &self,
        place: &ConsumerPlace<'_>,
        journal: &Journal,
    ) -> Result<Option<Parcel>, DiskError> {
        let Some(inside) = Inside::of(place) else {
            return Ok(None);
        };
        let mut packed = self.packed(place.consumer, &inside)?;
        let mut items = Vec::new();
        for (name, target) in &journal.links {
            let path = |version: &Digest| inside.shape.version_path(name, *version);
            let mut there = packed.there.get(name).into_iter().flatten();
            let earlier = there
                .find(|version| Some(path(version)) == *target)
                .copied();
            match earlier {
                Some(earlier) => {
                    items.extend(inside.links(name, path(&earlier)));
                    packed.given.insert(name.clone(), earlier);
                }
                None => drop(packed.given.remove(name)),
            }
        }
        self.keep_packed(place.consumer, &packed)?;
        Ok(inside.parcel_of_links(items))
    }

    /// Writes down which certificates links inside a container lead to: no others than were put there.
    pub(super) fn keep_given_inside(
        &self,
        consumer: &ContainerName,
        inside: &Inside<'_>,
        given: &KeyedTable<CertificateName, Digest>,
    ) -> Result<(), DiskError> {
        let packed = self.packed(consumer, inside)?;
        if packed.given == *given {
            return Ok(());
        }
        let mut given = given.clone();
        given.retain(|name, version| {
            packed
                .there
                .get(name)
                .is_some_and(|it| it.contains(version))
        });
        self.keep_packed(consumer, &Packed { given, ..packed })
    }

    /// Where the links inside a container lead that choose versions.
    pub(super) fn chosen_inside(
        &self,
        place: &ConsumerPlace<'_>,
    ) -> Result<BTreeMap<CertificateName, PathBuf>, DiskError> {
        let Some(inside) = Inside::of(place) else {
            return Ok(BTreeMap::new());
        };
        let packed = self.packed(place.consumer, &inside)?;
        let chosen = packed.given.iter().map(|(name, version)| {
            let path = inside.shape.version_path(name, *version);
            (name.clone(), path)
        });
        Ok(chosen.collect())
    }

    fn keep_packed(&self, consumer: &ContainerName, packed: &Packed) -> Result<(), DiskError> {
        self.write_json(&self.packed_file(consumer), packed)
    }

    fn packed_file(&self, consumer: &ContainerName) -> PathBuf {
        self.deployed_folder(consumer).join("inside.json")
    }
}
