//! The words for a mail or chat server before TLS begins, and after it.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::values::{Host, Protocol};

/// A line of any of these protocols is shorter: RFC 5321 has 512 bytes, RFC 9051 leaves it open.
const LONGEST_LINE: usize = 8 * 1024;

/// So many lines are no greeting any more.
const MOST_LINES: usize = 100;

/// The most time that taking leave may need: what was looked for has been seen by then.
const LEAVE: Duration = Duration::from_secs(2);

/// The most bytes of XMPP from a server before TLS: its features are a handful.
const LONGEST_STREAM: usize = 64 * 1024;

/// Has the server ready for TLS under a name.
///
/// # Errors
/// In the server's words where it does not do that.
pub(super) async fn begin(
    stream: &mut TcpStream,
    protocol: Protocol,
    host: &Host,
) -> io::Result<()> {
    match protocol {
        Protocol::Tls | Protocol::Smtps | Protocol::Imaps | Protocol::Pop3s => Ok(()),
        Protocol::Smtp => {
            greeting(stream, protocol).await?;
            say(stream, "EHLO quaymaster.invalid").await?;
            smtp_reply(stream, "250").await?;
            say(stream, "STARTTLS").await?;
            smtp_reply(stream, "220").await
        }
        Protocol::Imap => {
            greeting(stream, protocol).await?;
            say(stream, "a STARTTLS").await?;
            // Anything may be told before the answer.
            for _ in 0..MOST_LINES {
                let told = line(stream).await?;
                if !told.starts_with("* ") {
                    return expect(&told, "a OK");
                }
            }
            Err(other("it sends more than expected"))
        }
        Protocol::Pop3 => {
            greeting(stream, protocol).await?;
            say(stream, "STLS").await?;
            expect(&line(stream).await?, "+OK")
        }
        Protocol::Xmpp => {
            let begin = format!(
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
                host.one_of()
            );
            // Nothing may stand between elements here, not even a line's end.
            stream.write_all(begin.as_bytes()).await?;
            let features = elements(stream, &["</stream:features>", "</stream:error>"]).await?;
            if !features.contains("<starttls") {
                return Err(unexpected(&features, "an offer of STARTTLS"));
            }
            stream
                .write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await?;
            let answer = elements(stream, &[">"]).await?;
            match answer.trim_start().starts_with("<proceed") {
                true => Ok(()),
                false => Err(unexpected(&answer, "proceed")),
            }
        }
    }
}

/// Reads up to the first of these ends, byte by byte: the bytes behind it may be TLS.
async fn elements(stream: &mut (impl AsyncRead + Unpin), ends: &[&str]) -> io::Result<String> {
    let mut told = Vec::new();
    loop {
        told.push(stream.read_u8().await.map_err(in_words)?);
        if ends.iter().any(|end| told.ends_with(end.as_bytes())) {
            return Ok(String::from_utf8_lossy(&told).into_owned());
        }
        if told.len() == LONGEST_STREAM {
            return Err(other("its answer does not end"));
        }
    }
}

/// Takes leave within TLS: a server logs clients that do not.
pub(super) async fn end(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), protocol: Protocol) {
    // One that is gone or slow by now has shown what was looked for.
    let _ = timeout(LEAVE, leave(stream, protocol)).await;
}

async fn leave(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    protocol: Protocol,
) -> io::Result<()> {
    let word = match protocol {
        // XMPP begins anew within TLS: nothing has been said there yet.
        Protocol::Tls | Protocol::Xmpp => return Ok(()),
        Protocol::Smtp | Protocol::Smtps | Protocol::Pop3 | Protocol::Pop3s => "QUIT",
        Protocol::Imap | Protocol::Imaps => "a LOGOUT",
    };
    if matches!(
        protocol,
        Protocol::Smtps | Protocol::Imaps | Protocol::Pop3s
    ) {
        greeting(stream, protocol).await?;
    }
    say(stream, word).await?;
    // It is heard to the end: who hangs up before that is a lost connection, too.
    let mut farewell = stream.take(LONGEST_LINE as u64);
    farewell.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Reads a server's words before it is asked for anything.
async fn greeting(stream: &mut (impl AsyncRead + Unpin), protocol: Protocol) -> io::Result<()> {
    match protocol {
        Protocol::Tls | Protocol::Xmpp => Ok(()),
        Protocol::Smtp | Protocol::Smtps => smtp_reply(stream, "220").await,
        Protocol::Imap | Protocol::Imaps => expect(&line(stream).await?, "* OK"),
        Protocol::Pop3 | Protocol::Pop3s => expect(&line(stream).await?, "+OK"),
    }
}

/// All lines of an SMTP reply.
///
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1>
async fn smtp_reply(stream: &mut (impl AsyncRead + Unpin), code: &str) -> io::Result<()> {
    for _ in 0..MOST_LINES {
        let told = line(stream).await?;
        expect(&told, code)?;
        if told.as_bytes().get(code.len()) != Some(&b'-') {
            return Ok(());
        }
    }
    Err(other("its greeting does not end"))
}

fn expect(told: &str, begins: &str) -> io::Result<()> {
    match told.starts_with(begins) {
        true => Ok(()),
        false => Err(unexpected(told, &format!("{begins:?}"))),
    }
}

fn unexpected(said: &str, expected: &str) -> io::Error {
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    other(format!("it says {said:?} where {expected} is expected"))
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), words: &str) -> io::Result<()> {
    stream.write_all(format!("{words}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// One line, byte by byte: what follows it may be TLS.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.map_err(in_words)? {
            b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            _ if line.len() == LONGEST_LINE => return Err(other("its line does not end")),
            byte => line.push(byte),
        }
    }
}

fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => other("it hangs up"),
        _ => error,
    }
}

fn other(problem: impl Into<String>) -> io::Error {
    io::Error::other(problem.into())
}
