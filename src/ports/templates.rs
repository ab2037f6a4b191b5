//! Files of the user that are rendered.

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;
use thiserror::Error;

use super::DiskError;
use crate::observe::SharedPath;

/// Templates by name (`nginx/site.conf`): the text of each, or why it can't be read.
pub type TemplateTexts = BTreeMap<String, Result<String, String>>;

/// The user's folder of templates.
pub trait TemplateFiles {
    /// Reads the present texts; `None` when there is no such folder.
    ///
    /// # Errors
    /// When the folder as a whole can't be used.
    fn texts(&self) -> Result<Option<TemplateTexts>, DiskError>;

    /// Begins to watch, and reports when something there may have changed, until it can't watch any more. Misses
    /// nothing from here on: read after it.
    fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;
}

/// Files that the user names one by one: templates, and what they ask for.
pub trait NamedFiles {
    /// The text that lies there; `None` when there is no such file.
    fn text(&self, path: &Path) -> Result<Option<String>, DiskError>;

    /// Begins to watch the folder that a file lies in, and reports when something there may have changed, until it
    /// can't watch any more. Misses nothing from here on: read after it.
    fn changes(
        &self,
        path: &Path,
    ) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError>;
}

/// Files that are made from templates.
pub trait TargetFiles {
    /// The text that lies there; `None` when there is no such file.
    fn text_at(&self, target: &SharedPath) -> Result<Option<String>, DiskError>;

    /// Puts a text there in one rename, with owner, group and mode of what it replaces, readable by everybody where there
    /// was none.
    fn replace(&self, target: &SharedPath, text: &str) -> Result<(), DiskError>;

    /// Takes a file away; nothing when there is none.
    fn remove(&self, target: &SharedPath) -> Result<(), DiskError>;

    /// Keeps beside it what lies there, or that nothing does, for a crash to find. What is kept already stays; returns
    /// whether nothing was.
    fn keep_aside(&self, target: &SharedPath) -> Result<bool, DiskError>;

    /// Puts back what is kept beside it, which stays kept; returns whether anything is.
    fn put_back(&self, target: &SharedPath) -> Result<bool, DiskError>;

    /// Takes away what is kept beside it.
    fn forget_aside(&self, target: &SharedPath) -> Result<(), DiskError>;
}

/// Templates that lie at URLs.
#[async_trait(?Send)]
pub trait TemplateUrls {
    /// The text that lies at a URL now.
    async fn text(&self, url: &str) -> Result<String, FetchError>;
}

/// The reason why there is no text at a URL.
#[derive(Debug, Error)]
pub enum FetchError {
    /// It could not be fetched.
    #[error("it can't be fetched")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The text there is no template; the reason in words.
    #[error("it can't be fetched: {0}")]
    Unusable(String),
}
