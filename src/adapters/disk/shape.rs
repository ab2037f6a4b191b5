//! The shape of certificates in a server's folder, wherever that is: the names of versions, the link that chooses one,
//! and the content of each file.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use super::{
    files::{PRIVATE, PUBLIC},
    version::Version,
};
use crate::{
    ports::CertificatePlace,
    values::{CertificateName, Digest, Layout, Piece},
};

/// Where versions lie, beside the links to them.
pub(super) const VERSIONS: &str = ".versions";

/// The link that chooses the version, where files have no folder of their certificate's name.
const CURRENT: &str = ".current";

/// The layout of a server's certificates, and the mode of its keys.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    pub layout: &'a Layout,
    pub key_mode: u32,
}

impl<'a> Shape<'a> {
    pub fn of(place: &CertificatePlace<'a>) -> Self {
        Self {
            layout: place.layout,
            key_mode: place.key_mode,
        }
    }

    /// The link that chooses the version.
    pub fn link(&self, name: &CertificateName) -> String {
        match (self.layout.has_folders(), self.layout.is_for_one()) {
            (true, _) => name.as_str().to_owned(),
            (false, true) => CURRENT.to_owned(),
            (false, false) => format!("{CURRENT}-{name}"),
        }
    }

    /// The links by which the server finds files, with where each leads, where they have no folder of their own.
    pub fn links(&self, name: &CertificateName) -> impl Iterator<Item = (String, PathBuf)> {
        let above = PathBuf::from(self.link(name));
        let files = self.layout.files(name);
        files
            .filter(|_| !self.layout.has_folders())
            .map(move |(file, _)| (file.clone(), above.join(file)))
    }

    /// True if a link of this name chooses a version in this layout, of whichever certificate.
    pub fn may_choose(&self, link: &str) -> bool {
        match (self.layout.has_folders(), self.layout.is_for_one()) {
            (true, _) => !is_current(link),
            (false, true) => link == CURRENT,
            (false, false) => is_current(link) && link != CURRENT,
        }
    }

    /// Where a version lies, seen from the folder with the links.
    pub fn version_path(&self, name: &CertificateName, digest: Digest) -> PathBuf {
        let versions = Path::new(VERSIONS).join(name.as_str());
        versions.join(self.version_word(digest))
    }

    /// The folder name of a version: the same certificate in another layout, or with another mode, is another version.
    /// Modes are not looked at: there are file systems that keep none.
    pub fn version_word(&self, digest: Digest) -> String {
        if self.layout.has_folders() && self.key_mode == PRIVATE {
            return digest.to_string();
        }
        let kind = Digest::of_parts([self.layout.to_string(), format!("{:o}", self.key_mode)]);
        format!("{digest}-{}", kind.short())
    }

    /// The mode of a file with this content.
    pub fn mode(&self, piece: Piece) -> u32 {
        match piece.has_key() {
            true => self.key_mode,
            false => PUBLIC,
        }
    }
}

/// True if a link of this name chooses a version where files have no folder.
pub(super) fn is_current(link: &str) -> bool {
    let rest = link.strip_prefix(CURRENT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The text of a file of this content.
pub(super) fn piece_of(version: &Version, piece: Piece) -> Cow<'_, str> {
    let file = match piece {
        Piece::Combined => {
            let key = version.privkey.expose().trim_end();
            return format!("{key}\n{}", version.fullchain).into();
        }
        Piece::Certificate => "cert.pem",
        Piece::Chain => "chain.pem",
        Piece::Fullchain => "fullchain.pem",
        Piece::PrivateKey => "privkey.pem",
    };
    let mut files = version.files().into_iter();
    let found = files.find(|(name, ..)| *name == file);
    found.map(|(_, text, _)| text).unwrap_or_default()
}
