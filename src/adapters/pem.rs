//! PEM as people and programs write it, read where it can be read without a guess; and as we write it.
//!
//! <https://www.rfc-editor.org/rfc/rfc7468>

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::values::Secret;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// What some editors put before a text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// How many characters each line of what we write has.
const LINE: usize = 64;

/// What certificates are called: by the RFC, by old programs, and by OpenSSL where it adds what it trusts them for.
const CERTIFICATES: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", TRUSTED];
const TRUSTED: &str = "TRUSTED CERTIFICATE";

/// What keys without a password are called.
const KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// Why a text can't be read as PEM.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// Windows' text of two bytes a character.
    #[error("it is UTF-16 text; save it as UTF-8 or ASCII")]
    Utf16,
    /// No text.
    #[error("it is DER or PKCS #12, not PEM; turn it into PEM with openssl")]
    Binary,
    /// No block of what is looked for.
    #[error("there is no {wanted} in it, but {found}")]
    Lacks {
        /// What is looked for.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A block without its end.
    #[error(
        "its {label} that begins in line {line} has no end: the file is cut off, or a line is missing"
    )]
    Endless {
        /// What it is called.
        label: String,
        /// Where it begins.
        line: usize,
    },
    /// A block in which something else stands than Base64.
    #[error(
        "its {label} that begins in line {line} is no Base64: something is missing or too much"
    )]
    Base64 {
        /// What it is called.
        label: String,
        /// Where it begins.
        line: usize,
    },
    /// A key that only its password opens.
    #[error(
        "it is protected by a password; write it without one with `openssl pkey -in OLD -out privkey.pem`"
    )]
    Password,
}

/// What was read, as we write it; and why a server would not take it as it was, if it would not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<T> {
    pub text: T,
    pub irregular: Option<String>,
}

/// The certificates in a text, in their order, without anything else.
///
/// # Errors
/// When there is none, or when it can't be told what stands there.
pub(super) fn certificates(bytes: &[u8]) -> Result<Read<String>, PemError> {
    let read = text(bytes)?;
    let blocks = blocks(&read)?;
    let mut text = String::new();
    let mut irregular = None;
    for block in blocks
        .iter()
        .filter(|block| CERTIFICATES.contains(&block.label))
    {
        let mut der = block.der()?;
        if block.label == TRUSTED {
            // What OpenSSL adds comes after the certificate.
            let added = parse_x509_certificate(&der).map_or(0, |(rest, _)| rest.len());
            let length = der.len() - added;
            der.truncate(length);
        }
        write(&mut text, CERTIFICATES[0], &der);
        irregular = irregular.or_else(|| block.irregular.clone());
    }
    match text.is_empty() {
        true => Err(lacks("certificate", &blocks)),
        false => Ok(Read { text, irregular }),
    }
}

/// The first private key in a text: that is the one that servers take.
///
/// # Errors
/// When there is none, or when it has a password.
pub(super) fn key(bytes: &[u8]) -> Result<Read<Secret>, PemError> {
    let read = text(bytes)?;
    let blocks = blocks(&read)?;
    let is_key = |block: &&Block<'_>| block.label.ends_with("PRIVATE KEY");
    let Some(block) = blocks.iter().find(is_key) else {
        return Err(lacks("private key", &blocks));
    };
    if block.label == "ENCRYPTED PRIVATE KEY" || block.body.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PemError::Password);
    }
    if !KEYS.contains(&block.label) {
        return Err(lacks("private key", &blocks));
    }
    let mut text = Zeroizing::new(String::new());
    write(&mut text, block.label, &block.der()?);
    Ok(Read {
        text: Secret::new(text.as_str()),
        irregular: block.irregular.clone(),
    })
}

fn lacks(wanted: &'static str, blocks: &[Block<'_>]) -> PemError {
    let labels: Vec<_> = blocks.iter().map(|block| block.label).collect();
    let found = match labels.is_empty() {
        true => "no line that begins with -----BEGIN, either".to_owned(),
        false => labels.join(", "),
    };
    PemError::Lacks { wanted, found }
}

/// From a marker to the next.
struct Block<'a> {
    label: &'a str,
    /// In which line it begins.
    line: usize,
    body: &'a str,
    /// Why OpenSSL would not read it here.
    irregular: Option<String>,
}

impl Block<'_> {
    fn der(&self) -> Result<Zeroizing<Vec<u8>>, PemError> {
        let packed: Zeroizing<String> =
            Zeroizing::new(self.body.split_whitespace().collect::<Vec<_>>().concat());
        let der = STANDARD.decode(packed.as_bytes()).map(Zeroizing::new);
        der.ok()
            .filter(|der| !der.is_empty())
            .ok_or_else(|| PemError::Base64 {
                label: self.label.to_owned(),
                line: self.line,
            })
    }
}

/// All blocks of a text, whatever stands between them.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, PemError> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(BEGIN) {
        let begin = at + found;
        let line = text[..begin].matches('\n').count() + 1;
        let after = &text[begin + BEGIN.len()..];
        let endless = |label: &str| PemError::Endless {
            label: label.chars().take(LINE).collect(),
            line,
        };
        let (label, rest) = after
            .split_once(DASHES)
            .filter(|(label, _)| !label.contains('\n'))
            .ok_or_else(|| endless(after.lines().next().unwrap_or_default()))?;
        let end = format!("-----END {label}-----");
        let length = rest
            .find(DASHES)
            .filter(|marker| rest[*marker..].starts_with(&end))
            .ok_or_else(|| endless(label))?;
        let (body, rest) = (&rest[..length], &rest[length + end.len()..]);
        at = text.len() - rest.len();
        let irregular = irregular(&text[..begin], body, rest)
            .map(|problem| format!("its {label} that begins in line {line} {problem}"));
        blocks.push(Block {
            label,
            line,
            body,
            irregular,
        });
    }
    Ok(blocks)
}

/// Why OpenSSL would not read the block between these as it stands there.
fn irregular(before: &str, body: &str, rest: &str) -> Option<&'static str> {
    let is_blank = |line: &str| line.trim().is_empty();
    let mut lines = body.split('\n');
    let behind = lines.next().unwrap_or_default();
    let mut lines: Vec<_> = lines.collect();
    if !(before.is_empty() || before.ends_with('\n') || before == BYTE_ORDER_MARK) {
        return Some("does not begin in a line of its own");
    }
    if !is_blank(behind) || lines.is_empty() {
        return Some("has something behind its first marker");
    }
    if lines.pop().is_none_or(|line| !line.is_empty()) {
        return Some("does not end in a line of its own");
    }
    if !is_blank(rest.split('\n').next().unwrap_or_default()) {
        return Some("has something behind its last marker");
    }
    let blank = lines.iter().skip(1).any(|line| is_blank(line));
    blank.then_some("has a blank line in it")
}

/// Bytes as text. What stands outside of blocks may be in any encoding that has ASCII in it.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, PemError> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => Err(PemError::Utf16),
        // How DER begins.
        [0x30, length, ..] if *length >= 0x80 => Err(PemError::Binary),
        _ if bytes.contains(&0) => Err(PemError::Binary),
        _ => match String::from_utf8_lossy(bytes) {
            text if text.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty() => {
                Err(PemError::Empty)
            }
            text => Ok(text),
        },
    }
}

fn write(text: &mut String, label: &str, der: &[u8]) {
    let packed = Zeroizing::new(STANDARD.encode(der));
    text.push_str(&format!("{BEGIN}{label}-----\n"));
    let mut rest = packed.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
}
