//! `state/notify/NAME.json`: what a receiver of news was told of, and has to be told.

use std::path::PathBuf;

use super::{
    Folders,
    files::{self, Durability},
    state::read_json,
};
use crate::{
    observe::NewsBook,
    ports::{DiskError, NewsBooks, Remark},
};

impl NewsBooks for Folders {
    fn news_book(&self, receiver: &str) -> Result<NewsBook, DiskError> {
        let path = self.news_book_path(receiver);
        match read_json(&path) {
            Err(DiskError::Damaged { problem, .. }) => {
                files::set_damaged_aside(&path)?;
                (self.remarks)(Remark::FileDamaged {
                    path,
                    problem,
                    instead: "its waiting messages are not sent, and trouble that lasts is reported again".to_owned(),
                });
                Ok(NewsBook::default())
            }
            read => Ok(read?.unwrap_or_default()),
        }
    }

    fn keep_news_book(&self, receiver: &str, book: &NewsBook) -> Result<(), DiskError> {
        let path = self.news_book_path(receiver);
        let text = serde_json::to_vec(book).map_err(|error| DiskError::Damaged {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        // To wait for the disk would keep turns waiting: a power cut may cost what happened in its last seconds, or repeat it.
        self.write(&path, &text, Durability::Renamed)
    }
}

impl Folders {
    fn news_book_path(&self, receiver: &str) -> PathBuf {
        self.state.join("notify").join(format!("{receiver}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_book_is_private_and_one_that_is_damaged_is_set_aside_and_told() {
        thread_local! {
            static TOLD: std::cell::RefCell<Vec<Remark>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::new(folder.path().join("c"), folder.path().into(), |remark| {
            TOLD.with_borrow_mut(|told| told.push(remark));
        });
        assert_eq!(folders.news_book("chat").unwrap(), NewsBook::default());
        let book = NewsBook {
            next: 7,
            ..NewsBook::default()
        };
        folders.keep_news_book("chat", &book).unwrap();
        assert_eq!(folders.news_book("chat").unwrap(), book);
        let path = folder.path().join("notify/chat.json");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, "{").unwrap();
        assert_eq!(folders.news_book("chat").unwrap(), NewsBook::default());
        let told =
            TOLD.with_borrow(|told| told.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(
            told.len() == 1 && told[0].contains("notify/chat.json can't be used"),
            "{told:?}"
        );
        assert!(folder.path().join("notify/chat.json.damaged").exists());
        folders.keep_news_book("chat", &book).unwrap();
        assert_eq!(folders.news_book("chat").unwrap(), book);
    }
}
