//! `state/handed-over/WORD/`: certificates that commands obtained, each with its key, until the daemon has looked at it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    Folders,
    files::{self, Durability},
    state::read_json,
};
use crate::{
    adapters::x509,
    observe::{HandOver, HeldCertificate, Source},
    ports::{DiskError, NewCertificate, ObtainedPair},
    values::{CertificateName, Secret, Timestamp},
};

const HANDED_OVER: &str = "handed-over";
/// Written last: without it there is nothing to find.
const ABOUT: &str = "about.json";
const CHAIN: &str = "fullchain.pem";
const KEY: &str = "privkey.pem";

impl Folders {
    pub(super) fn hand_over(&self, word: &str) -> PathBuf {
        self.state.join(HANDED_OVER).join(word)
    }

    pub(super) fn found_hand_overs(
        &self,
    ) -> Result<(BTreeMap<String, HandOver>, Vec<DiskError>), DiskError> {
        let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
        for word in files::entries(&self.state.join(HANDED_OVER))? {
            match read_json(&self.hand_over(&word).join(ABOUT)) {
                Ok(about) => found.extend(about.map(|about| (word, about))),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((found, faults))
    }

    pub(super) fn read_hand_over(&self, word: &str) -> Result<Option<ObtainedPair>, DiskError> {
        let folder = self.hand_over(word);
        let chain = files::read(&folder.join(CHAIN))?;
        let key = files::read(&folder.join(KEY))?.map(Secret::new);
        Ok(chain
            .zip(key)
            .map(|(chain, key)| ObtainedPair { chain, key }))
    }

    pub(super) fn checked_hand_over(
        &self,
        word: &str,
        about: &HandOver,
        pair: &ObtainedPair,
        now: Timestamp,
    ) -> Result<HeldCertificate, DiskError> {
        let damaged = |problem: String| DiskError::Damaged {
            path: self.hand_over(word),
            problem,
        };
        let name = CertificateName::parse(word).map_err(|error| damaged(error.to_string()))?;
        let new = NewCertificate {
            name: &name,
            // Whatever they are: who wants it says which have to be there.
            names: &BTreeSet::new(),
            key: &pair.key,
            chain: &pair.chain,
            source: Source::Acme(about.ca.clone()),
            profile: Some(&about.profile),
            now,
        };
        x509::check_new(&new).map_err(|error| damaged(error.to_string()))
    }

    pub(super) fn write_hand_over(
        &self,
        word: &str,
        about: &HandOver,
        pair: &ObtainedPair,
    ) -> Result<(), DiskError> {
        let folder = self.hand_over(word);
        // One of the same names that nobody has looked at is older than this one.
        files::remove_folder(&folder)?;
        let write = |file: &str, text: &str| {
            self.write(&folder.join(file), text.as_bytes(), Durability::Synced)
        };
        write(KEY, pair.key.expose())?;
        write(CHAIN, &pair.chain)?;
        self.write_json(&folder.join(ABOUT), about)
    }

    pub(super) fn close_hand_over(&self, word: &str, about: &HandOver) -> Result<(), DiskError> {
        let folder = self.hand_over(word);
        // Whoever left it may have taken it back.
        if files::is_there(&folder.join(ABOUT)) {
            self.write_json(&folder.join(ABOUT), about)?;
        }
        files::remove(&folder.join(KEY))?;
        files::remove(&folder.join(CHAIN))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{observe::TakenOver, ports::Wishes, values::Timestamp};

    #[test]
    fn what_is_left_for_the_daemon_is_found_whole_and_its_key_goes_with_the_answer() {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().to_owned();
        let folders = Folders::new(path.join("certificates"), path.clone(), |_| ());
        let about = HandOver {
            ca: "https://ca.example/dir".to_owned(),
            profile: String::new(),
            left: Timestamp::from_seconds(1),
            outcome: None,
        };
        let pair = ObtainedPair {
            chain: "chain".to_owned(),
            key: Secret::new("key"),
        };
        let read = || folders.read_hand_over("a").expect("it is read");
        assert_eq!(read(), None);
        folders
            .leave_hand_over("a", &about, &pair)
            .expect("it is written");
        let key = path.join("handed-over/a/privkey.pem");
        let mode = fs::metadata(&key).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(read(), Some(pair));
        let told = folders.handed_over("a", &about, Timestamp::from_seconds(2));
        let told = told.expect_err("it is no certificate").to_string();
        assert!(told.contains("handed-over/a"), "{told}");
        // One that is written at this moment, or was when the program was killed.
        fs::create_dir(path.join("handed-over/b")).expect("a folder");
        fs::write(path.join("handed-over/b/privkey.pem"), "key").expect("it is written");
        let found = |about: &HandOver| {
            let (found, faults) = folders.hand_overs().expect("they are listed");
            assert!(faults.is_empty(), "{faults:?}");
            assert_eq!(found, [("a".to_owned(), about.clone())].into());
        };
        found(&about);
        let answered = HandOver {
            outcome: Some(TakenOver::default()),
            ..about
        };
        folders
            .answer_hand_over("a", &answered)
            .expect("it is answered");
        found(&answered);
        assert!(!key.exists());
        folders.drop_hand_over("a").expect("it is taken away");
        // An answer to what was taken back is nobody's.
        folders
            .answer_hand_over("a", &answered)
            .expect("nothing is there");
        assert_eq!(folders.hand_overs().expect("they are listed").0.len(), 0);
    }
}
