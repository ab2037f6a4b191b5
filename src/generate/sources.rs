use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Notify;
use url::Url;

use super::Rendering;
use crate::report::chain;

/// The beginning of a template that stands on the command line itself.
const INLINE: char = '#';

/// Pauses while a URL can't be fetched, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateSource {
    /// A file; what it includes lies in its folder.
    File(PathBuf),
    /// The text itself.
    Inline(String),
    /// A URL; it is fetched when the program starts, and on SIGHUP.
    Url(Url),
}

impl TemplateSource {
    /// Reads what a command line has: `#` and a text, an http or https URL, or the path of a file.
    ///
    /// # Errors
    /// What is wrong with a URL, in words.
    pub fn read(word: &OsStr) -> Result<Self, String> {
        let text = word.to_str().unwrap_or_default();
        if let Some(text) = text.strip_prefix(INLINE) {
            return Ok(Self::Inline(text.trim().to_owned()));
        }
        let is_url = ["http://", "https://"].iter().any(|scheme| {
            let begins = text.get(..scheme.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(scheme))
        });
        match is_url {
            true => Url::parse(text)
                .map(Self::Url)
                .map_err(|error| format!("{text:?} is not a URL: {error}")),
            false => Ok(Self::File(word.into())),
        }
    }

    /// The folder that its includes are in.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(path) => path.parent(),
            Self::Inline(_) | Self::Url(_) => None,
        }
    }

    fn url(&self) -> Option<&Url> {
        match self {
            Self::Url(url) => Some(url),
            Self::File(_) | Self::Inline(_) => None,
        }
    }
}

impl fmt::Display for TemplateSource {
    /// As messages call it: of a URL neither name, password nor query, which may hold what only its server is to know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Inline(_) => f.write_str("#inline"),
            Self::Url(url) => {
                let port = url.port().map(|port| format!(":{port}"));
                let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
                write!(
                    f,
                    "{scheme}://{host}{}{}",
                    port.unwrap_or_default(),
                    url.path()
                )
            }
        }
    }
}

/// The state of a template at a URL.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The last text there.
    pub text: Option<String>,
    /// The reason why there is nothing newer, in words.
    pub fault: Option<String>,
}

/// The result of fetching the template of this number: its text, or in words the reason why there is none.
pub(super) type FetchedText = (usize, Result<String, String>);

impl Rendering {
    /// The templates that are at URLs, by the numbers of their pairs.
    fn urls_to_fetch(&self) -> Vec<(usize, Url)> {
        let each = self.pairs.iter().enumerate();
        each.filter_map(|(number, pair)| Some((number, pair.template.url()?.clone())))
            .collect()
    }

    async fn fetch(&self, number: usize, url: &Url) -> FetchedText {
        let fetched = self.urls.text(url.as_str()).await;
        (number, fetched.map_err(|error| chain(&error)))
    }

    /// Fetches each template that is at a URL, once.
    pub(super) async fn fetch_all(&self) -> Vec<FetchedText> {
        let urls = self.urls_to_fetch();
        let each = urls.iter().map(|(number, url)| self.fetch(*number, url));
        futures_util::future::join_all(each).await
    }

    /// Fetches each template that is at a URL until it is there, and again whenever `again` says so.
    pub(super) fn fetching(
        self: &Rc<Self>,
        again: &Rc<Notify>,
    ) -> impl Stream<Item = FetchedText> + use<> {
        let urls = self.urls_to_fetch().into_iter();
        stream::select_all(urls.map(|(number, url)| {
            let (given, again) = (Rc::clone(self), Rc::clone(again));
            let fetch = move |turn: FetchTurn| {
                let (given, again, url) = (Rc::clone(&given), Rc::clone(&again), url.clone());
                async move {
                    turn.wait(&given, &again).await;
                    let fetched = given.fetch(number, &url).await;
                    let next = turn.after(fetched.1.is_ok());
                    Some((fetched, next))
                }
            };
            stream::unfold(FetchTurn::Now, fetch).boxed_local()
        }))
    }
}

/// When a URL is fetched next.
#[derive(Clone, Copy)]
enum FetchTurn {
    Now,
    /// When this time is over, or somebody asks.
    After(Duration),
    /// When somebody asks.
    Asked,
}

impl FetchTurn {
    async fn wait(self, given: &Rendering, again: &Notify) {
        match self {
            Self::Now => {}
            Self::After(pause) => tokio::select! {
                () = given.clock.sleep(pause) => {}
                () = again.notified() => {}
            },
            Self::Asked => again.notified().await,
        }
    }

    fn after(self, is_there: bool) -> Self {
        match self {
            _ if is_there => Self::Asked,
            Self::After(pause) => Self::After((pause * 2).min(LONGEST_PAUSE)),
            Self::Now | Self::Asked => Self::After(FIRST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_a_text_a_url_or_a_file() {
        for (word, expected) in [
            ("#{{ x }} ", TemplateSource::Inline("{{ x }}".to_owned())),
            ("# x\n", TemplateSource::Inline("x".to_owned())),
            ("#", TemplateSource::Inline(String::new())),
            ("/t/http://x", TemplateSource::File("/t/http://x".into())),
            ("./#x", TemplateSource::File("./#x".into())),
        ] {
            assert_eq!(TemplateSource::read(OsStr::new(word)), Ok(expected));
        }
        for (word, shown) in [
            ("http://pygen/nginx.tmpl", "http://pygen/nginx.tmpl"),
            (
                "HTTPS://me:secret@host.example:81/t?token=secret#x",
                "https://host.example:81/t",
            ),
        ] {
            let read = TemplateSource::read(OsStr::new(word)).expect("it is a URL");
            assert!(matches!(read, TemplateSource::Url(_)), "{read:?}");
            assert_eq!(read.to_string(), shown);
        }
        let told = TemplateSource::read(OsStr::new("http://")).expect_err("it is none");
        assert!(told.contains("is not a URL"), "{told}");
    }

    #[test]
    fn what_can_not_be_fetched_is_fetched_again_after_pauses_that_grow() {
        let mut turn = FetchTurn::Now;
        let pauses = (0..8).map(|_| {
            turn = turn.after(false);
            match turn {
                FetchTurn::After(pause) => pause.as_secs(),
                _ => 0,
            }
        });
        assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(matches!(turn.after(true), FetchTurn::Asked));
    }
}
