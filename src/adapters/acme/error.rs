//! The true reason of a failure: instant-acme's error joined with the answer that caused it.

use std::time::Duration;

use instant_acme::{Error, Problem as Document, Subproblem};

use super::record::{Exchange, ResponseHead, printable};
use crate::{
    adapters::http::HttpError,
    ports::{AuthorityError, Problem, Scope},
    values::Timestamp,
};

/// The range to which a Retry-After is clamped: a CA that says "now" means "soon", and one that says "next year" is
/// broken.
const RETRY_AFTER: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));

/// Number of characters of the CA's words that are shown: some public CAs write a few lines, with a link.
const WORDS: usize = 1000;
/// Number of characters of a problem's kind that are shown.
const KIND: usize = 80;
/// The most single names for which the CA's words are shown.
const SUBPROBLEMS: usize = 100;

/// A call that failed, with what decides whether it may be repeated at once.
#[derive(Debug)]
pub(super) struct CallError {
    /// The error to report.
    pub(super) error: AuthorityError,
    /// The status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// True if the connection broke off; the request may have been carried out.
    pub(super) cut: bool,
    /// True if no answer came to a request that may have been heard.
    pub(super) unanswered: bool,
    /// True if the same request may well succeed a moment later.
    pub(super) passes: bool,
}

impl CallError {
    /// A call that was not made, and why: the CA asked to be left alone, say.
    pub(super) fn unasked(error: AuthorityError) -> Self {
        Self {
            error,
            status: None,
            cut: false,
            unanswered: false,
            passes: true,
        }
    }

    /// An error that has nothing to do with the connection, and is the same a moment later.
    pub(super) fn of(error: AuthorityError) -> Self {
        Self {
            error,
            status: None,
            cut: false,
            unanswered: false,
            passes: false,
        }
    }

    /// True if the CA's answer is a refusal: the CA is not busy, broken, or out of reach.
    pub(super) fn is_final(&self) -> bool {
        let busy = matches!(self.error, AuthorityError::Busy { .. });
        !busy
            && self
                .status
                .is_some_and(|status| (400..500).contains(&status))
    }

    /// Time that the CA asks to wait.
    pub(super) fn asked_to_wait(&self, now: Timestamp) -> Option<Duration> {
        match self.error {
            AuthorityError::Busy { not_before, .. } => Some(not_before?.since(now)),
            _ => None,
        }
    }

    /// The same of a call that everything else waits for, so that a limit of it is one of all.
    pub(super) fn for_all(mut self) -> Self {
        if let AuthorityError::Busy { scope, .. } = &mut self.error {
            *scope = Scope::Ca;
        }
        self
    }

    /// True if the CA refused with this kind of problem.
    pub(super) fn is_refusal(&self, expected: &Problem) -> bool {
        matches!(&self.error, AuthorityError::Refused { problem, .. } if problem == expected)
    }
}

impl From<CallError> for AuthorityError {
    fn from(failure: CallError) -> Self {
        failure.error
    }
}

/// Tells what an error of a call means.
pub(super) fn failure(
    error: Error,
    record: &Exchange,
    directory: &str,
    now: Timestamp,
) -> CallError {
    let http = match &error {
        Error::Other(source) => source.downcast_ref(),
        _ => None,
    };
    let cut = matches!(http, Some(HttpError::Cut(_)));
    let unanswered = cut || matches!(http, Some(HttpError::Silent(_) | HttpError::TooLong(_)));
    let status = record.answer.as_ref().map(|answer| answer.status);
    let error = match &record.answer {
        Some(answer) => answered(error, answer, directory, now),
        None => silence(error, directory),
    };
    let passes = passes(&error, record.answer.as_ref());
    CallError {
        error,
        status,
        cut,
        unanswered,
        passes,
    }
}

/// True if it is a bad moment of the CA, of a front before it, or of the way there, and not the CA's own answer.
fn passes(error: &AuthorityError, answer: Option<&ResponseHead>) -> bool {
    match error {
        AuthorityError::Unreachable { .. } | AuthorityError::Busy { .. } => true,
        AuthorityError::Refused { problem, .. } => {
            let is_broken = answer.is_some_and(|answer| answer.status >= 500);
            is_broken || matches!(problem, Problem::ServerInternal | Problem::BadNonce)
        }
        // A page of a front, where the CA's own answers are JSON.
        AuthorityError::NotAcme { .. } => answer.is_some_and(|answer| !answer.json),
        _ => false,
    }
}

fn silence(error: Error, directory: &str) -> AuthorityError {
    match error {
        Error::Other(source) => AuthorityError::Unreachable {
            directory: directory.to_owned(),
            source,
        },
        error => ours(error),
    }
}

fn ours(error: Error) -> AuthorityError {
    AuthorityError::Ours {
        what: "a request to the CA can't be made".to_owned(),
        source: Some(error.into()),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7>
fn answered(
    error: Error,
    answer: &ResponseHead,
    directory: &str,
    now: Timestamp,
) -> AuthorityError {
    let problem = match &error {
        Error::Api(problem) if problem.r#type.is_some() || problem.detail.is_some() => {
            Some(problem)
        }
        _ => None,
    };
    let limited = problem.is_some_and(|problem| kind(problem) == Problem::RateLimited);
    // A front before the CA answers for it with a page of its own: 500, 502, 504.
    let broken = problem.is_none() && answer.status >= 500;
    if matches!(answer.status, 429 | 503) || limited || broken {
        return AuthorityError::Busy {
            directory: directory.to_owned(),
            status: answer.status,
            detail: problem.map_or_else(|| came(answer), detail),
            not_before: retry_after(answer, now),
            scope: match answer.status {
                429 | 503 if !limited => Scope::Ca,
                _ if limited && problem.is_some_and(is_of_account) => Scope::Account,
                _ => Scope::Request,
            },
        };
    }
    if let Some(problem) = problem {
        return AuthorityError::Refused {
            problem: kind(problem),
            detail: detail(problem),
        };
    }
    let problem = match &error {
        Error::Json(error) if answer.json => {
            let problem = printable(&error.to_string(), WORDS);
            format!("{problem} in {}", status_and(answer))
        }
        // One that the CA named, in this answer or before.
        Error::Http(error) => format!("it names a URL that can't be asked: {error}"),
        Error::InvalidUri(error) => format!("it names a URL that can't be asked: {error}"),
        Error::Str(what) => format!("{what} in {}", status_and(answer)),
        Error::Json(_) | Error::Api(_) => status_and(answer),
        _ => return ours(error),
    };
    AuthorityError::NotAcme {
        directory: directory.to_owned(),
        problem,
    }
}

/// True if a limit is about the account. The protocol has no field for it: these are the words of the most used CA. A
/// limit that is not recognised holds back a single certificate.
fn is_of_account(limited: &Document) -> bool {
    let detail = limited.detail.as_deref().unwrap_or_default();
    detail.contains("from this account")
}

fn status_and(answer: &ResponseHead) -> String {
    format!(
        "an answer with status {} and {}",
        answer.status,
        came(answer)
    )
}

fn came(answer: &ResponseHead) -> String {
    match answer.excerpt.as_str() {
        "" => "an empty body".to_owned(),
        excerpt => format!("{excerpt:?}"),
    }
}

/// The type of a problem document.
pub(super) fn kind(document: &Document) -> Problem {
    of_name(document.r#type.as_deref())
}

/// The type with this name, whatever registry it is of: that of CAs before the RFC was another.
fn of_name(name: Option<&str>) -> Problem {
    let part = name.and_then(|name| name.rsplit(':').next());
    match printable(part.unwrap_or_default(), KIND) {
        none if none.is_empty() => Problem::Untyped,
        part => Problem::of_word(&part),
    }
}

/// The CA's words, with those about single names.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-6.7.1>
pub(super) fn detail(problem: &Document) -> String {
    let mut told = match &problem.detail {
        Some(own) => printable(own, WORDS),
        None => "it gives no reason".to_owned(),
    };
    for about in problem.subproblems.iter().take(SUBPROBLEMS) {
        let name = about.identifier.as_ref();
        let name = name.map(|name| printable(&name.authorized(false).to_string(), WORDS));
        told += "; ";
        told += &name.map(|name| format!("{name}: ")).unwrap_or_default();
        told += &words(about);
    }
    told
}

/// The CA's words about one name.
pub(super) fn words(about: &Subproblem) -> String {
    told(&of_name(about.r#type.as_deref()), about.detail.as_deref())
}

/// A problem in one line: its kind and the CA's words.
pub(super) fn told(kind: &Problem, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{} ({kind})", printable(detail, WORDS)),
        None => kind.to_string(),
    }
}

/// When the CA wants to be asked again.
fn retry_after(answer: &ResponseHead, now: Timestamp) -> Option<Timestamp> {
    let wait = pause(answer, now)?;
    Some(now + wait.clamp(RETRY_AFTER.0, RETRY_AFTER.1))
}

/// Time that the CA asks to wait.
pub(super) fn pause(answer: &ResponseHead, now: Timestamp) -> Option<Duration> {
    answer.retry_after.map(|asked| asked.since(now))
}

#[cfg(test)]
mod tests {
    use super::{super::record::RetryAfter, *};
    use crate::values::Retry;

    const DIRECTORY: &str = "https://ca.example/dir";
    const NOW: Timestamp = Timestamp::from_seconds(1_795_371_420);

    fn answer(status: u16, body: &str) -> ResponseHead {
        let json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        ResponseHead {
            status,
            date: None,
            retry_after: None,
            json,
            names: None,
            excerpt: body.to_owned(),
        }
    }

    /// The error that instant-acme makes of an answer that is no success.
    fn library(body: &str) -> Error {
        serde_json::from_str::<Document>(body).map_or_else(Error::Json, Error::Api)
    }

    fn told_of(status: u16, body: &str) -> String {
        let record = Exchange {
            signed: true,
            answer: Some(answer(status, body)),
            was_stopped: false,
        };
        failure(library(body), &record, DIRECTORY, NOW)
            .error
            .to_string()
    }

    #[test]
    fn a_problem_document_is_a_refusal_in_the_words_of_the_ca() {
        let body = r#"{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no", "subproblems": [
            {"type": "urn:ietf:params:acme:error:malformed", "detail": "bad", "identifier": {"type": "dns", "value": "a.example"}}
        ]}"#;
        assert_eq!(
            told_of(400, body),
            "the CA refuses (rejectedIdentifier): no; a.example: bad (malformed)"
        );
        assert_eq!(
            told_of(500, r#"{"type": "x:serverInternal"}"#),
            "the CA refuses (serverInternal): it gives no reason"
        );
        assert_eq!(
            told_of(400, r#"{"detail": "no"}"#),
            "the CA refuses (unknown): no"
        );
    }

    #[test]
    fn the_words_of_the_ca_are_short_and_do_nothing_to_a_terminal() {
        let about = r#"{"type": "x:\u001b[2Jdns", "detail": "no\r\n\u0007 way", "identifier": {"type": "dns", "value": "\u001b[1m"}}"#;
        let (many, long) = (vec![about; 5000].join(","), "long ".repeat(100_000));
        let body =
            format!(r#"{{"type": "x:{long}", "detail": "{long}", "subproblems": [{many}]}}"#);
        let told = told_of(400, &body);
        assert!(told.contains("; [1m: no way ([2Jdns)"), "{told}");
        assert!(
            told.len() < 10_000 && !told.contains(char::is_control),
            "{}",
            told.len()
        );
    }

    #[test]
    fn what_is_no_acme_is_shown() {
        let prefix =
            "what answers at https://ca.example/dir does not speak ACME: an answer with status";
        let suffix = "; is `ca` the URL of a directory?";
        assert_eq!(
            told_of(400, "<html>no"),
            format!("{prefix} 400 and \"<html>no\"{suffix}")
        );
        assert_eq!(
            told_of(404, ""),
            format!("{prefix} 404 and an empty body{suffix}")
        );
        assert_eq!(
            told_of(404, "{}"),
            format!("{prefix} 404 and \"{{}}\"{suffix}")
        );
        assert_eq!(
            told_of(200, "<html>"),
            format!("{prefix} 200 and \"<html>\"{suffix}")
        );
        assert!(told_of(404, "[]").contains("404"));
    }

    #[test]
    fn a_busy_ca_is_waited_for_whatever_its_body_is() {
        let busy = "the CA at https://ca.example/dir asks quaymaster to wait";
        assert_eq!(told_of(503, "<html>"), format!("{busy} (503): \"<html>\""));
        assert_eq!(
            told_of(429, r#"{"type": "x:rateLimited", "detail": "slow"}"#),
            format!("{busy} (429): slow")
        );
        assert_eq!(
            told_of(400, r#"{"type": "x:rateLimited", "detail": "slow"}"#),
            format!("{busy} (400): slow")
        );
        assert_eq!(
            told_of(503, r#"{"type": "x:serverInternal", "detail": "later"}"#),
            format!("{busy} (503): later")
        );
        assert_eq!(told_of(502, ""), format!("{busy} (502): an empty body"));
    }

    #[test]
    fn a_limit_is_of_what_was_asked_for_and_a_ca_that_is_too_busy_is_left_alone() {
        let limited = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "slow"}"#;
        let internal = r#"{"type": "urn:ietf:params:acme:error:serverInternal"}"#;
        let of_account = r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders (300) from this account in the last 3h0m0s"}"#;
        for (status, body, wait, is_of_all) in [
            (503, "<html>", true, true),
            (503, internal, true, true),
            (429, "slow down", true, true),
            (429, limited, true, false),
            (429, of_account, true, true),
            (502, "", true, false),
            (503, "<html>", false, true),
            (429, limited, false, false),
        ] {
            let mut answer = answer(status, body);
            answer.retry_after = wait.then_some(RetryAfter::For(Duration::from_secs(60)));
            let record = Exchange {
                signed: true,
                answer: Some(answer),
                was_stopped: false,
            };
            let failed = || failure(library(body), &record, DIRECTORY, NOW);
            let until = wait.then_some(NOW + Duration::from_secs(60));
            let expected = is_of_all.then_some((DIRECTORY, until));
            assert_eq!(failed().error.busy(), expected, "{status} {body}");
            let expected = Some((DIRECTORY, until));
            assert_eq!(failed().for_all().error.busy(), expected, "{status} {body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_clamped() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(1)),
            ("99999999", Some(7 * 24 * 3600)),
            ("18446744073709551615", Some(7 * 24 * 3600)),
            ("99999999999999999999999999", Some(7 * 24 * 3600)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(7 * 24 * 3600)),
            ("Sun, 22 Nov 2026 18:18:00 GMT", Some(60)),
            ("Sun, 22 Nov 2020 18:18:00 GMT", Some(1)),
            ("soon", None),
            ("-5", None),
        ] {
            let mut answer = answer(503, "");
            answer.retry_after = RetryAfter::read(text);
            let record = Exchange {
                signed: true,
                answer: Some(answer),
                was_stopped: false,
            };
            let expected = seconds.map_or(Retry::Backoff, |s| {
                Retry::NotBefore(NOW + Duration::from_secs(s))
            });
            assert_eq!(
                failure(library(""), &record, DIRECTORY, NOW).error.retry(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn no_answer_is_unreachable() {
        for (error, cut) in [
            (HttpError::Silent(Duration::from_secs(30)), false),
            (HttpError::Cut("".into()), true),
        ] {
            let failure = failure(
                Error::Other(error.into()),
                &Exchange::default(),
                DIRECTORY,
                NOW,
            );
            assert!(matches!(failure.error, AuthorityError::Unreachable { .. }));
            assert_eq!((failure.cut, failure.status), (cut, None));
        }
    }
}
