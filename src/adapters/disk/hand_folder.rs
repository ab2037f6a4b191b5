//! `state/by-hand/WORD/`: orders that people make by commands. No daemon looks there, so that both work side by side; each
//! has a lock of its own.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Folders, Lock, files, state::read_json};
use crate::{
    observe::HandOrder,
    ports::{DiskError, HandOrders, Issuing, Remarks},
};

const BY_HAND: &str = "by-hand";
const ABOUT: &str = "about.json";

/// The folder of one order.
#[derive(Debug)]
pub struct HandFolder {
    folders: Rc<Folders>,
    path: PathBuf,
    _lock: Lock,
}

/// The folder of an order, or who is at work on that.
#[derive(Debug)]
pub enum HandPlace {
    /// It is ours as long as this is there.
    Ours(HandFolder),
    /// The number of the process that has it, where that means something here.
    Theirs(Option<u32>),
}

impl HandFolder {
    /// Takes the folder of the order that is kept under this word, which is made unless it is there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn take(state: &Path, word: &str, remarks: Remarks) -> Result<HandPlace, DiskError> {
        let path = state.join(BY_HAND).join(word);
        let Some(lock) = Lock::take(&path, remarks)? else {
            return Ok(HandPlace::Theirs(Lock::holder(&path)?));
        };
        let folders = Folders::new(path.join("certificates"), path.clone(), remarks);
        Ok(HandPlace::Ours(Self {
            folders: Rc::new(folders),
            path,
            _lock: lock,
        }))
    }

    /// The same ports, but that the order is kept in this folder. What CAs count is counted with the rest.
    pub fn issuing(&self, usual: &Issuing) -> Issuing {
        Issuing {
            attempts: self.folders.clone(),
            orders: self.folders.clone(),
            ..usual.clone()
        }
    }

    /// Lets go of it. Where no order is in it, it is taken away.
    ///
    /// # Errors
    /// When it can't be taken away.
    pub fn end(self) -> Result<(), DiskError> {
        match files::is_there(&self.path.join(ABOUT)) {
            true => Ok(()),
            false => files::remove_folder(&self.path),
        }
    }
}

impl HandOrders for HandFolder {
    fn hand_order(&self) -> Result<Option<HandOrder>, DiskError> {
        let path = self.path.join(ABOUT);
        match read_json(&path) {
            // What is said beside the order's record is found out anew.
            Err(DiskError::Damaged { .. }) => {
                files::set_damaged_aside(&path)?;
                Ok(None)
            }
            read => read,
        }
    }

    fn keep_hand_order(&self, order: &HandOrder) -> Result<(), DiskError> {
        self.folders.write_json(&self.path.join(ABOUT), order)
    }

    fn drop_hand_order(&self) -> Result<(), DiskError> {
        files::remove(&self.path.join(ABOUT))
    }
}

impl Folders {
    /// The orders by commands that are under way, by the words that they are kept under. What can't be read of them is left
    /// out: the command that goes on with it says so.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn hand_orders(&self) -> Result<Vec<HandOrder>, DiskError> {
        let folder = self.state.join(BY_HAND);
        let words = files::entries(&folder)?.into_iter();
        let read = words.filter_map(|word| read_json(&folder.join(word).join(ABOUT)).ok()?);
        Ok(read.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::HandStage,
        values::{Host, Timestamp},
    };

    #[test]
    fn an_order_is_one_command_s_at_a_time_and_leaves_nothing_where_nothing_was_begun() {
        let state = tempfile::tempdir().expect("a folder");
        let take = || HandFolder::take(state.path(), "shop", |_| ()).expect("it can be tried");
        let HandPlace::Ours(folder) = take() else {
            panic!("nobody has it");
        };
        match take() {
            HandPlace::Theirs(who) => assert_eq!(who, Some(std::process::id())),
            HandPlace::Ours(_) => panic!("somebody has it"),
        }
        folder.end().expect("it is let go");
        assert!(!state.path().join("by-hand/shop").exists());
        let HandPlace::Ours(folder) = take() else {
            panic!("nobody has it");
        };
        let order = HandOrder {
            names: [Host::parse("shop.example").expect("a name")].into(),
            ca: "https://ca.example/dir".to_owned(),
            begun: Timestamp::from_seconds(1),
            webroot: None,
            tasks: Vec::new(),
            key_type: None,
            finalized_with: None,
            profile: None,
            is_by_dns: false,
            stage: HandStage::Open,
        };
        folder.keep_hand_order(&order).expect("it is kept");
        folder.end().expect("it is let go");
        let folders = Folders::new(state.path().into(), state.path().into(), |_| ());
        assert_eq!(folders.hand_orders().expect("they are listed"), [order]);
        let about = state.path().join("by-hand/shop/about.json");
        std::fs::write(&about, "{").expect("it is damaged");
        let HandPlace::Ours(folder) = take() else {
            panic!("nobody has it");
        };
        assert_eq!(folder.hand_order().expect("it is put aside"), None);
        assert!(about.with_extension("json.damaged").exists());
    }
}
