//! The stream of events: one JSON document a line, over whatever chunks the connection makes of them.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::{EVENTS, not_understood, schema::or_default};
use crate::{
    observe::{EngineEvent, EventKind},
    ports::{EngineError, Remark, Remarks},
    values::ContainerId,
};

/// Bytes of one event. Events carry all labels of a container, and engines limit neither: one that is longer is left
/// out, so that a container with labels of megabytes does not take everybody else's events away.
const LINE_LIMIT: usize = 1 << 20;

/// After so many bytes without a line break it is no engine that speaks. A list with such labels could not be read
/// either.
const NO_LINE: usize = super::asking::BODY_LIMIT;

/// The events of a body; ends with an error, or when the engine closes it.
pub(super) fn stream(
    body: Incoming,
    engine: String,
    remarks: Remarks,
) -> LocalBoxStream<'static, Result<EngineEvent, EngineError>> {
    let reader = Reader {
        body,
        lines: Lines::default(),
        engine,
        remarks,
    };
    stream::try_unfold(reader, |mut reader| async move {
        Ok(reader.next().await?.map(|event| (event, reader)))
    })
    .boxed_local()
}

struct Reader {
    body: Incoming,
    lines: Lines,
    engine: String,
    remarks: Remarks,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<EngineEvent>, EngineError> {
        let broken = |problem| not_understood(EVENTS, problem);
        loop {
            while let Some(line) = self.lines.take(self.remarks).map_err(broken)? {
                if let Some(event) = event(&line).map_err(broken)? {
                    return Ok(Some(event));
                }
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| EngineError::Unreachable {
                engine: self.engine.clone(),
                source: error.into(),
            })?;
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
    /// So many bytes of a line that is too long were thrown away.
    left_out: usize,
}

impl Lines {
    /// The next whole line that is not too long, without its break; `None` until more bytes come.
    fn take(&mut self, remarks: Remarks) -> Result<Option<BytesMut>, String> {
        loop {
            let found = self.bytes[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let length = found.map_or(self.bytes.len(), |at| self.searched + at);
            let is_too_long = self.left_out + length > LINE_LIMIT;
            match found {
                None if !is_too_long => {
                    self.searched = length;
                    return Ok(None);
                }
                None => return self.leave_out(length).map(|()| None),
                Some(_) if is_too_long => self.leave_out(length)?,
                Some(_) => {}
            }
            self.searched = 0;
            let line = self.bytes.split_to(if is_too_long { 0 } else { length });
            self.bytes.advance(1);
            if !is_too_long {
                return Ok(Some(line));
            }
            remarks(Remark::EngineEventTooLong {
                bytes: self.left_out,
            });
            self.left_out = 0;
        }
    }

    /// Throws the beginning of a line away.
    fn leave_out(&mut self, length: usize) -> Result<(), String> {
        self.bytes.advance(length);
        self.searched = 0;
        self.left_out += length;
        match self.left_out > NO_LINE {
            true => Err(format!("a line of more than {NO_LINE} bytes")),
            false => Ok(()),
        }
    }
}

/// An event in any of the ways that engines write it: up to API 1.51 with `status`, `id` and `from` in addition, from
/// 1.52 without; before 1.22 with nothing else.
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
    let document: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| format!("a line that is not JSON ({error})"))?;
    Ok(serde_json::from_value(document).ok().and_then(known))
}

fn known(line: Line) -> Option<EngineEvent> {
    let kind = first(&line.kind, "container");
    let action = EventKind::read(kind, first(&line.action, &line.status))?;
    let Actor { id, mut attributes } = line.actor;
    let (container, labels) = match action {
        // Its actor is the network, and so are its other attributes.
        EventKind::Network => (attributes.remove("container")?, BTreeMap::new()),
        EventKind::Changed | EventKind::Gone => (first(&id, &line.id).to_owned(), attributes),
    };
    Some(EngineEvent {
        action,
        container: ContainerId::parse(container).ok()?,
        labels,
    })
}

fn first<'a>(word: &'a str, otherwise: &'a str) -> &'a str {
    if word.is_empty() { otherwise } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(EventKind, String, Vec<String>)> {
        let event = event(line.as_bytes()).expect("it is JSON")?;
        Some((
            event.action,
            event.container.to_string(),
            event.labels.into_keys().collect(),
        ))
    }

    #[test]
    fn events_are_read_as_every_engine_writes_them() {
        let labels = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        for (case, line, expected) in [
            (
                "20.10, recorded",
                r#"{"status":"start","id":"2ec31d1c","from":"img:1","Type":"container","Action":"start","Actor":{"ID":"2ec31d1c","Attributes":{"image":"img:1","name":"shop","quaymaster.host":"a.example"}},"scope":"local","time":1795373168,"timeNano":1795373168731191206}"#,
                Some((
                    EventKind::Changed,
                    "2ec31d1c".to_owned(),
                    labels(&["image", "name", "quaymaster.host"]),
                )),
            ),
            (
                "20.10, recorded network event",
                r#"{"Type":"network","Action":"connect","Actor":{"ID":"067d6832","Attributes":{"container":"2ec31d1c","name":"bridge","type":"bridge"}},"scope":"local","time":1795373168,"timeNano":1795373168500000000}"#,
                Some((EventKind::Network, "2ec31d1c".to_owned(), labels(&[]))),
            ),
            (
                "API 1.52, without status",
                r#"{"Type":"container","Action":"destroy","Actor":{"ID":"2e","Attributes":{"name":"shop"}},"scope":"local","time":1,"timeNano":1}"#,
                Some((EventKind::Gone, "2e".to_owned(), labels(&["name"]))),
            ),
            (
                "before API 1.22",
                r#"{"status":"die","id":"2e","from":"img:1","time":1}"#,
                Some((EventKind::Changed, "2e".to_owned(), labels(&[]))),
            ),
            (
                "Podman",
                r#"{"status":"died","id":"2e","from":"img","Type":"container","Action":"died","Actor":{"ID":"2e","Attributes":{"containerExitCode":"0","name":"shop"}},"scope":"local","time":1,"timeNano":1}"#,
                Some((
                    EventKind::Changed,
                    "2e".to_owned(),
                    labels(&["containerExitCode", "name"]),
                )),
            ),
            (
                "Podman, removed",
                r#"{"Type":"container","Action":"remove","Actor":{"ID":"2e","Attributes":null}}"#,
                Some((EventKind::Gone, "2e".to_owned(), labels(&[]))),
            ),
            (
                "a pod",
                r#"{"Type":"pod","Action":"start","Actor":{"ID":"2e"}}"#,
                None,
            ),
            (
                "an exec",
                r#"{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"2e"}}"#,
                None,
            ),
            (
                "a network as such",
                r#"{"Type":"network","Action":"create","Actor":{"ID":"2e"}}"#,
                None,
            ),
            (
                "no container named",
                r#"{"Type":"network","Action":"connect","Actor":{"ID":"2e"}}"#,
                None,
            ),
            (
                "an id that is none",
                r#"{"Type":"container","Action":"start","Actor":{"ID":"../x"}}"#,
                None,
            ),
            (
                "another shape",
                r#"{"Type":["container"],"Action":{"start":1}}"#,
                None,
            ),
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
                while let Some(line) = lines.take(|_| ()).unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(
                found,
                ["first", "", "second line", "third"],
                "in chunks of {size}"
            );
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
        for size in [1000, LINE_LIMIT / 2 + 1, 3 * LINE_LIMIT] {
            let text = [
                b"first\n",
                &vec![b'x'; LINE_LIMIT + 1][..],
                b"\nsecond\n",
                &vec![b'y'; LINE_LIMIT],
                b"\n",
            ]
            .concat();
            let (mut lines, mut found, mut most) = (Lines::default(), Vec::new(), 0);
            for chunk in text.chunks(size) {
                lines.bytes.extend_from_slice(chunk);
                while let Some(line) = lines.take(|_| ()).unwrap() {
                    found.push((line.first().copied(), line.len()));
                }
                most = most.max(lines.bytes.len());
            }
            assert_eq!(
                found,
                [(Some(b'f'), 5), (Some(b's'), 6), (Some(b'y'), LINE_LIMIT)],
                "in chunks of {size}"
            );
            assert!(most <= LINE_LIMIT, "{most} bytes are kept");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let (mut lines, part) = (Lines::default(), vec![b'x'; LINE_LIMIT]);
        let fails = |lines: &mut Lines| {
            lines.bytes.extend_from_slice(&part);
            lines.take(|_| ()).is_err()
        };
        assert_eq!(
            (0..).take_while(|_| !fails(&mut lines)).count(),
            NO_LINE / LINE_LIMIT
        );
        lines.bytes.extend_from_slice(b"\n");
        assert!(lines.take(|_| ()).is_err(), "a break does not mend it");
    }
}
