//! The stream of events: one JSON document a line, over whatever chunks the connection makes of them.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::{EVENTS, not_understood, schema::or_default};
use crate::{
    observe::{Action, EngineEvent},
    ports::EngineError,
    values::ContainerId,
};

/// Bytes of one event. Events carry a container's labels, which engines limit to some 100 kB; more is no event.
const LINE_LIMIT: usize = 1 << 20;

/// The events of a body; ends with an error, or when the engine closes it.
pub(super) fn stream(body: Incoming, engine: String) -> LocalBoxStream<'static, Result<EngineEvent, EngineError>> {
    let reader = Reader { body, lines: Lines::default(), engine };
    stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|event| (event, reader))) })
        .boxed_local()
}

struct Reader {
    body: Incoming,
    lines: Lines,
    engine: String,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<EngineEvent>, EngineError> {
        let broken = |problem| not_understood(EVENTS, problem);
        loop {
            while let Some(line) = self.lines.take().map_err(broken)? {
                if let Some(event) = event(&line).map_err(broken)? {
                    return Ok(Some(event));
                }
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame
                .map_err(|error| EngineError::Unreachable { engine: self.engine.clone(), source: error.into() })?;
            if let Ok(bytes) = frame.into_data() {
                self.lines.bytes.extend_from_slice(&bytes);
            }
        }
    }
}

/// Bytes that came, cut into lines.
#[derive(Default)]
struct Lines {
    bytes: BytesMut,
    /// So many bytes are known to have no line break.
    searched: usize,
}

impl Lines {
    /// The next whole line, without its break; `None` until more bytes come.
    fn take(&mut self) -> Result<Option<BytesMut>, String> {
        let found = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = found.map_or(self.bytes.len(), |at| self.searched + at);
        if length > LINE_LIMIT {
            return Err(format!("a line of more than {LINE_LIMIT} bytes"));
        }
        if found.is_none() {
            self.searched = length;
            return Ok(None);
        }
        self.searched = 0;
        let line = self.bytes.split_to(length);
        self.bytes.advance(1);
        Ok(Some(line))
    }
}

/// An event in any of the ways that engines write it: up to API 1.51 with `status`, `id` and `from` besides, from 1.52
/// without; before 1.22 with nothing else.
///
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemEvents>
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Line {
    #[serde(rename = "Type", deserialize_with = "or_default")]
    kind: String,
    #[serde(rename = "Action", deserialize_with = "or_default")]
    action: String,
    #[serde(rename = "Actor", deserialize_with = "or_default")]
    actor: Actor,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID", deserialize_with = "or_default")]
    id: String,
    #[serde(rename = "Attributes", deserialize_with = "or_default")]
    attributes: BTreeMap<String, String>,
}

/// Reads one line; `None` for what is no event that we know.
///
/// # Errors
/// When it is not JSON: then we have lost our place in the stream.
fn event(line: &[u8]) -> Result<Option<EngineEvent>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let document: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| format!("a line that is not JSON ({error})"))?;
    Ok(serde_json::from_value(document).ok().and_then(known))
}

fn known(line: Line) -> Option<EngineEvent> {
    let kind = first(&line.kind, "container");
    let action = Action::read(kind, first(&line.action, &line.status))?;
    let Actor { id, mut attributes } = line.actor;
    let (container, labels) = match action {
        // Its actor is the network, and so are its other attributes.
        Action::Network => (attributes.remove("container")?, BTreeMap::new()),
        Action::Changed | Action::Gone => (first(&id, &line.id).to_owned(), attributes),
    };
    Some(EngineEvent { action, container: ContainerId::parse(container).ok()?, labels })
}

fn first<'a>(word: &'a str, otherwise: &'a str) -> &'a str {
    if word.is_empty() { otherwise } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(Action, String, Vec<String>)> {
        let event = event(line.as_bytes()).expect("it is JSON")?;
        Some((event.action, event.container.to_string(), event.labels.into_keys().collect()))
    }

    #[test]
    fn events_are_read_as_every_engine_writes_them() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (case, line, expected) in [
            (
                "20.10, recorded",
                r#"{"status":"start","id":"2ec31d1c","from":"img:1","Type":"container","Action":"start","Actor":{"ID":"2ec31d1c","Attributes":{"image":"img:1","name":"shop","quaymaster.host":"a.example"}},"scope":"local","time":1795373168,"timeNano":1795373168731191206}"#,
                Some((Action::Changed, "2ec31d1c".to_owned(), labels(&["image", "name", "quaymaster.host"]))),
            ),
            (
                "20.10, recorded network event",
                r#"{"Type":"network","Action":"connect","Actor":{"ID":"067d6832","Attributes":{"container":"2ec31d1c","name":"bridge","type":"bridge"}},"scope":"local","time":1795373168,"timeNano":1795373168500000000}"#,
                Some((Action::Network, "2ec31d1c".to_owned(), labels(&[]))),
            ),
            (
                "API 1.52, without status",
                r#"{"Type":"container","Action":"destroy","Actor":{"ID":"2e","Attributes":{"name":"shop"}},"scope":"local","time":1,"timeNano":1}"#,
                Some((Action::Gone, "2e".to_owned(), labels(&["name"]))),
            ),
            (
                "before API 1.22",
                r#"{"status":"die","id":"2e","from":"img:1","time":1}"#,
                Some((Action::Changed, "2e".to_owned(), labels(&[]))),
            ),
            (
                "Podman",
                r#"{"status":"died","id":"2e","from":"img","Type":"container","Action":"died","Actor":{"ID":"2e","Attributes":{"containerExitCode":"0","name":"shop"}},"scope":"local","time":1,"timeNano":1}"#,
                Some((Action::Changed, "2e".to_owned(), labels(&["containerExitCode", "name"]))),
            ),
            (
                "Podman, removed",
                r#"{"Type":"container","Action":"remove","Actor":{"ID":"2e","Attributes":null}}"#,
                Some((Action::Gone, "2e".to_owned(), labels(&[]))),
            ),
            ("a pod", r#"{"Type":"pod","Action":"start","Actor":{"ID":"2e"}}"#, None),
            ("an exec", r#"{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"2e"}}"#, None),
            ("a network as such", r#"{"Type":"network","Action":"create","Actor":{"ID":"2e"}}"#, None),
            ("no container named", r#"{"Type":"network","Action":"connect","Actor":{"ID":"2e"}}"#, None),
            ("an id that is none", r#"{"Type":"container","Action":"start","Actor":{"ID":"../x"}}"#, None),
            ("another shape", r#"{"Type":["container"],"Action":{"start":1}}"#, None),
            ("no object", "[1, 2]", None),
            ("a blank line", " \r", None),
        ] {
            assert_eq!(read(line), expected, "{case}");
        }
    }

    #[test]
    fn a_line_that_is_not_json_is_an_error() {
        for line in ["<html>", r#"{"Type":"container","Action":"#, r#"{"a":1} {"#] {
            assert!(event(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn lines_are_found_over_any_chunk_borders() {
        let text = b"first\n\nsecond line\nthird\nrest";
        for size in 1..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                lines.bytes.extend_from_slice(chunk);
                while let Some(line) = lines.take().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["first", "", "second line", "third"], "in chunks of {size}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut lines = Lines::default();
        lines.bytes.extend_from_slice(&vec![b'x'; LINE_LIMIT]);
        assert_eq!(lines.take(), Ok(None));
        lines.bytes.extend_from_slice(b"x");
        assert!(lines.take().is_err());
        lines.bytes.extend_from_slice(b"\n");
        assert!(lines.take().is_err(), "a break does not mend it");
    }
}
