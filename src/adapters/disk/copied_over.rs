//! Files that the user copied over a version of ours, one by one, as with `docker cp` into `live/NAME/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    passwords::Passwords,
    version::{Version, read_bytes, refused},
};
use crate::{
    adapters::{pem, x509},
    ports::DiskError,
    values::{Digest, Secret},
};

/// Files of certificates, the longest chain first.
const CERTIFICATES: [&str; 3] = ["fullchain.pem", "cert.pem", "chain.pem"];

/// The contents of a version's folder, compared with what quaymaster stored there.
pub(super) enum Copied {
    /// The stored files, perhaps damaged.
    Nothing,
    /// A certificate, its key and its chain.
    Whole(Version),
    /// Files that don't belong together, or not yet.
    Half(DiskError),
}

/// Looks for files that can be read and are not those that were stored.
pub(super) fn copied_over(
    folder: &Path,
    stored: &BTreeMap<String, Digest>,
    usual: Option<&Path>,
) -> Copied {
    if stored.is_empty() || all_as_stored(folder, stored) {
        return Copied::Nothing;
    }
    let is_other = |file: &str, text: &str| stored.get(file) != Some(&Digest::of(text.as_bytes()));
    let key = key(folder, usual);
    let is_key_other = key
        .as_ref()
        .is_some_and(|key| is_other("privkey.pem", key.expose()));
    let (mut certificates, mut leaf) = (Vec::new(), Vec::new());
    let mut others: Vec<_> = is_key_other.then_some("privkey.pem").into_iter().collect();
    for file in CERTIFICATES {
        let read = certificates_in(&folder.join(file));
        let text = pem::written(read.iter().map(Vec::as_slice));
        if !read.is_empty() && is_other(file, &text) {
            others.push(file);
            certificates.extend(read);
        } else if file == "cert.pem" {
            leaf = read;
        }
    }
    if others.is_empty() {
        return Copied::Nothing;
    }
    let mut seen = BTreeSet::new();
    let certificates: Vec<_> = certificates
        .iter()
        .map(Vec::as_slice)
        .filter(|certificate| seen.insert(*certificate))
        .collect();
    let Some(key) = key else {
        return half(folder, &others);
    };
    match x509::chain_of(&certificates, &key) {
        // Of what we stored, a part of the chain was lost.
        Ok(Some(chain)) if !is_key_other && leaf.iter().any(|leaf| leaf == chain[0]) => {
            Copied::Nothing
        }
        Ok(Some(chain)) => Copied::Whole(Version {
            fullchain: pem::written(chain),
            privkey: key,
            irregular: None,
            is_self_signed: false,
            profile: None,
        }),
        Ok(None) => half(folder, &others),
        Err(error) => Copied::Half(refused(folder.display(), error)),
    }
}

/// True if every file is as it was stored, byte for byte.
fn all_as_stored(folder: &Path, stored: &BTreeMap<String, Digest>) -> bool {
    stored.iter().all(|(file, digest)| {
        let bytes = read_bytes(&folder.join(file)).map(Option::unwrap_or_default);
        bytes.is_ok_and(|bytes| Digest::of(Zeroizing::new(bytes).as_slice()) == *digest)
    })
}

fn half(folder: &Path, others: &[&str]) -> Copied {
    Copied::Half(DiskError::Damaged {
        path: folder.to_owned(),
        problem: format!(
            "of its files, {} was copied over quaymaster's, and no certificate stands there with its key yet; copy privkey.pem and fullchain.pem (or \
             cert.pem and chain.pem) of one certificate, or remove the link to have quaymaster's back",
            others.join(", ")
        ),
    })
}

/// The key in a folder; none where it can't be read, which is damage.
fn key(folder: &Path, usual: Option<&Path>) -> Option<Secret> {
    let passwords = Passwords::of(folder, usual).ok()?;
    let bytes = Zeroizing::new(read_bytes(&folder.join("privkey.pem")).ok()??);
    let key = passwords.open(|password| pem::key(&bytes, password)).ok()?;
    Some(key.text)
}

/// The certificates in a file; none where it can't be read, which is damage.
fn certificates_in(path: &Path) -> Vec<Vec<u8>> {
    let bytes = read_bytes(path).ok().flatten();
    let contents = bytes.and_then(|bytes| pem::contents(&Zeroizing::new(bytes), None).ok());
    contents.map_or_else(Vec::new, |contents| contents.certificates)
}
