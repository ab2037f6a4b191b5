//! Where news is sent, and where it is written down until it was delivered.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use thiserror::Error;

use super::DiskError;
use crate::observe::{News, NewsBook};

/// News as a receiver gets it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Another for each, and the same for each try.
    pub id: String,
    /// What it is about, in a line.
    pub title: String,
    /// What is sent over HTTP.
    pub body: String,
    /// The news itself.
    pub news: News,
}

/// Why news was not delivered. Nothing that the receiver says is in it: an answer may hold secrets.
#[derive(Debug, Error)]
pub enum NotifierError {
    /// There is no whole answer.
    #[error("there is no answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    /// It was not taken.
    #[error("it answers with status {status}{}", remedy(*status))]
    Status {
        /// The status of the answer.
        status: u16,
        /// When it wants to be asked again.
        wait: Option<Duration>,
    },
    /// The words could not be run.
    #[error("{program} can't be run")]
    NotRun {
        /// The first word.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The words were run, and did not end well.
    #[error("{program} {how}")]
    Ended {
        /// The first word.
        program: String,
        /// How it ended.
        how: String,
    },
    /// The message could not be made.
    #[error("{0}")]
    Message(String),
}

/// What is probably wrong where an answer has this status.
fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => ", which leads elsewhere; write the address that it leads to",
        401 | 403 => "; is the token, or the secret in the address or the headers, right?",
        404 => "; is the address right?",
        400 | 415 | 422 => "; is the format, or the template, what is expected there?",
        413 => "; it is too long for what is there",
        429 => "; too much was sent there",
        _ => "",
    }
}

impl NotifierError {
    /// How long the receiver wants to be left alone.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }
}

/// A receiver of news.
#[async_trait(?Send)]
pub trait Notifier {
    /// Delivers news.
    ///
    /// # Errors
    /// When it can't be told that it was taken; it may have been.
    async fn send(&self, message: &Message) -> Result<(), NotifierError>;
}

/// What receivers were told of, and have to be told, over restarts.
pub trait NewsBooks {
    /// The book about the receiver of this name; an empty one where there is none, or where it can't be used any more.
    ///
    /// # Errors
    /// When it can't be read.
    fn news_book(&self, receiver: &str) -> Result<NewsBook, DiskError>;
    /// Writes it down.
    ///
    /// # Errors
    /// When it can't be written.
    fn keep_news_book(&self, receiver: &str, book: &NewsBook) -> Result<(), DiskError>;
}
