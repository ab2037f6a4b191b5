//! Words that are run in a container, and what they say.

use std::time::Duration;

use bollard::exec::CreateExecOptions;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};

use super::{DockerEngine, not_understood, transport::TransportError};
use crate::{
    ports::{EngineError, Ran},
    values::ContainerId,
};

/// For everything from the first call to the exit code: nginx reads ten thousand TLS sites in 22 s.
const EXEC_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of what they say that are kept; the rest is read and forgotten, so that nobody hangs on a full pipe.
const OUTPUT_LIMIT: usize = 64 << 10;
/// Between looks for the exit code, which may come a moment after the last of the output.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) const CREATE: &str = "POST /containers/{id}/exec";
const START: &str = "POST /exec/{id}/start";
const INSPECT: &str = "GET /exec/{id}/json";

impl DockerEngine {
    /// Runs words in a container, as the engine does without a shell.
    pub(super) async fn run(
        &self,
        container: &ContainerId,
        words: &[String],
    ) -> Result<Ran, EngineError> {
        let ran = async {
            let id = self.create(container, words).await?;
            let output = self.start(&id).await?;
            Ok(Ran {
                code: self.exit_code(&id).await?,
                output,
            })
        };
        self.within(START, EXEC_LIMIT, ran).await
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Exec/operation/ContainerExec>
    async fn create(
        &self,
        container: &ContainerId,
        words: &[String],
    ) -> Result<String, EngineError> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(words.to_vec()),
            ..CreateExecOptions::default()
        };
        let made = self.bollard.create_exec(container.as_str(), options);
        let id = self.by_bollard(CREATE, made).await?.id;
        match !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            true => Ok(id),
            false => Err(not_understood(CREATE, format!("{id:?} is not an id"))),
        }
    }

    /// Runs the command, and reads its output to the end. The command gets no input, so the answer is a plain body that
    /// ends with the connection, and no protocol has to be changed.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Exec/operation/ExecStart>
    async fn start(&self, id: &str) -> Result<String, EngineError> {
        let request = Request::post(format!("/exec/{id}/start"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(
                br#"{"Detach":false,"Tty":false}"#,
            )))
            .map_err(|error| self.unreachable(error))?;
        let mut body = self.send(START, request).await?.into_body();
        let mut output = Output::default();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| self.failed(START, TransportError::Exchange(error)))?;
            if let Some(bytes) = frame.data_ref() {
                output
                    .take(bytes)
                    .map_err(|problem| not_understood(START, problem))?;
            }
        }
        output
            .text()
            .map_err(|problem| not_understood(START, problem))
    }

    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Exec/operation/ExecInspect>
    async fn exit_code(&self, id: &str) -> Result<i64, EngineError> {
        loop {
            let seen = self.bollard.inspect_exec(id);
            let seen = self.by_bollard(INSPECT, seen).await?;
            match seen.exit_code {
                Some(code) if seen.running != Some(true) => return Ok(code),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// The output of a process without a terminal: pieces of both its streams, each behind a header of which stream it is and
/// how long.
///
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerAttach>
#[derive(Default)]
struct Output {
    /// The bytes of a header so far.
    header: Vec<u8>,
    /// Bytes of the current piece that are still to come.
    left: usize,
    text: Vec<u8>,
}

impl Output {
    const HEADER: usize = 8;

    /// Takes what has come, wherever it is cut.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let wanted = if self.left == 0 {
                Self::HEADER - self.header.len()
            } else {
                self.left
            };
            let (part, rest) = bytes.split_at(bytes.len().min(wanted));
            bytes = rest;
            if self.left > 0 {
                self.left -= part.len();
                let room = OUTPUT_LIMIT - self.text.len();
                self.text.extend(&part[..part.len().min(room)]);
                continue;
            }
            self.header.extend(part);
            if self.header.len() == Self::HEADER {
                self.left = length(&self.header)?;
                self.header.clear();
            }
        }
        Ok(())
    }

    fn text(self) -> Result<String, String> {
        match self.left == 0 && self.header.is_empty() {
            true => Ok(String::from_utf8_lossy(&self.text).into_owned()),
            false => Err("it breaks off".to_owned()),
        }
    }
}

/// Length of the piece behind a header.
fn length(header: &[u8]) -> Result<usize, String> {
    match header {
        [0..=2, 0, 0, 0, length @ ..] if length.len() == 4 => Ok(length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))),
        _ => Err(format!("{header:?} does not begin a piece of output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len())
            .expect("it is short")
            .to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    fn read(parts: &[&[u8]]) -> Result<String, String> {
        let mut output = Output::default();
        parts.iter().try_for_each(|part| output.take(part))?;
        output.text()
    }

    #[test]
    fn both_streams_are_read_in_their_order_wherever_they_are_cut() {
        let bytes = [
            piece(1, b"one "),
            piece(2, "zwölf ".as_bytes()),
            piece(1, b""),
            piece(2, b"three"),
        ]
        .concat();
        for size in 1..=bytes.len() {
            let parts: Vec<_> = bytes.chunks(size).collect();
            assert_eq!(read(&parts).as_deref(), Ok("one zwölf three"), "{size}");
        }
        assert_eq!(read(&[]).as_deref(), Ok(""));
        assert_eq!(read(&[&piece(1, b"a\xffb")]).as_deref(), Ok("a\u{fffd}b"));
    }

    #[test]
    fn no_more_is_kept_than_anybody_reads() {
        let bytes = [piece(1, &vec![b'a'; 200_000]), piece(2, b"end")].concat();
        assert_eq!(read(&[&bytes]).map(|text| text.len()), Ok(OUTPUT_LIMIT));
    }

    #[test]
    fn what_is_no_output_is_told() {
        assert!(
            read(&[b"<html>12"])
                .unwrap_err()
                .contains("does not begin a piece")
        );
        for cut in 1..piece(1, b"text").len() {
            assert_eq!(
                read(&[&piece(1, b"text")[..cut]]),
                Err("it breaks off".to_owned()),
                "{cut}"
            );
        }
    }
}
