//! PEM as people and programs write it, read where it can be read without a guess; and as we write it.
//!
//! <https://www.rfc-editor.org/rfc/rfc7468>

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::PrivateKeyDer;
use thiserror::Error;
use x509_parser::{
    asn1_rs::{Any, FromDer, Header, Tag},
    parse_x509_certificate,
};
use zeroize::Zeroizing;

use super::encrypted_key::{self, LockedKey, Password};
use crate::values::Secret;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// A mark that some editors put before a text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Number of characters in each line that quaymaster writes.
const LINE: usize = 64;

/// The labels of certificates: by the RFC, by old programs, and by OpenSSL where it adds what it trusts them for.
const CERTIFICATES: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", TRUSTED];
const TRUSTED: &str = "TRUSTED CERTIFICATE";

/// The labels of signing requests: by the RFC, and by old programs.
const REQUESTS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// The labels of keys without a password.
const KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// The label of a key with a password.
const LOCKED: &str = "ENCRYPTED PRIVATE KEY";

/// The reason why a text can't be read as PEM.
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
    /// A certificate, a key or a list of certificates without PEM around it.
    #[error("it is DER, not PEM; convert it with `openssl {0} -in OLD -out NEW`")]
    Der(&'static str),
    /// Key and certificates in one binary file.
    #[error(
        "it is PKCS #12, not PEM; convert it with `openssl pkcs12 -in OLD -nodes -out NEW.pem` (and with -legacy, \
         where openssl calls it unsupported)"
    )]
    Pkcs12,
    /// No block of what is looked for.
    #[error("there is no {wanted} in it, but {found}")]
    Lacks {
        /// The wanted kind of block.
        wanted: &'static str,
        /// The blocks that are there.
        found: String,
    },
    /// A block without its end.
    #[error(
        "its {label} that begins in line {line} has no end: the file is cut off, or a line is missing"
    )]
    Endless {
        /// The block's label.
        label: String,
        /// Where it begins.
        line: usize,
    },
    /// A block in which something else stands than Base64.
    #[error(
        "its {label} that begins in line {line} is not Base64: something is missing or too much"
    )]
    Base64 {
        /// The block's label.
        label: String,
        /// Where it begins.
        line: usize,
    },
    /// A key that only its password opens.
    #[error(
        "it is protected by a password; write that into a file `password` beside it, or into a file that the setting \
         provided-password-file names, or write the key without one with `openssl pkey -in OLD -out privkey.pem`"
    )]
    Password,
    /// A key that only its password opens, which was not given.
    #[error(
        "it is protected by a password; name a file with that by --password-file, or write the key without one with \
         `openssl pkey -in OLD -out NEW`"
    )]
    NotGiven,
    /// A key with a password that stands in a file which can't be read.
    #[error("it is protected by a password, and {place} can't be read: {problem}")]
    NoPassword {
        /// That file.
        place: String,
        /// The problem with it.
        problem: String,
    },
    /// A key as OpenSSL protected it long ago.
    #[error(
        "it is protected by a password in OpenSSL's old way (DEK-Info), which is weak; convert it with `openssl pkcs8 \
         -topk8 -in OLD -out NEW`, or without a password with `openssl pkey -in OLD -out NEW`"
    )]
    OldPassword,
    /// A key that its password does not open.
    #[error(transparent)]
    Locked(#[from] LockedKey),
}

/// The text, as quaymaster writes it; and the reason why a server would not take the original, if it would not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<T> {
    pub text: T,
    pub irregular: Option<String>,
}

/// The certificates in a text, in their order, without anything else.
///
/// # Errors
/// When there is none, or when the text is not recognised.
pub(super) fn certificates(bytes: &[u8]) -> Result<Read<String>, PemError> {
    let read = text(bytes)?;
    let blocks = blocks(&read)?;
    let mut text = String::new();
    let mut irregular = None;
    for block in blocks
        .iter()
        .filter(|block| CERTIFICATES.contains(&block.label))
    {
        write(&mut text, CERTIFICATES[0], &block.certificate()?);
        irregular = irregular.or_else(|| block.irregular.clone());
    }
    match text.is_empty() {
        true => Err(lacks("certificate", &blocks)),
        false => Ok(Read { text, irregular }),
    }
}

/// The first private key in a text: that is the one that servers take. Its kind is recognised by its content, and not
/// by its label.
///
/// # Errors
/// When there is none, or when its password is not this one.
pub(super) fn key(bytes: &[u8], password: Option<&Password>) -> Result<Read<Secret>, PemError> {
    let read = text(bytes)?;
    let blocks = blocks(&read)?;
    let block = blocks.iter().find(|block| block.is_key());
    block
        .ok_or_else(|| lacks("private key", &blocks))?
        .key(password)?
        .ok_or_else(|| lacks("private key", &blocks))
}

/// The first signing request in a text, in DER; what is no text is taken as it is.
///
/// # Errors
/// When there is none.
pub(super) fn request(bytes: &[u8]) -> Result<Vec<u8>, PemError> {
    const SEQUENCE: u8 = 0x30;
    let is_text = std::str::from_utf8(bytes).is_ok_and(|text| text.contains(BEGIN));
    if bytes.first() == Some(&SEQUENCE) && !is_text {
        return Ok(bytes.to_vec());
    }
    let read = text(bytes)?;
    let blocks = blocks(&read)?;
    let mut requests = blocks.iter().filter(|it| REQUESTS.contains(&it.label));
    let request = requests.next();
    let request = request.ok_or_else(|| lacks("signing request", &blocks))?;
    Ok(request.der()?.to_vec())
}

/// The contents of a text, in its order.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Its certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// Its private keys, as we write them.
    pub keys: Vec<Secret>,
}

impl PemError {
    /// True if the text is as it should be, as far as that is known: it is empty, or has a key that no password opens.
    pub(super) fn is_unopened(&self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::Password
                | Self::NotGiven
                | Self::NoPassword { .. }
                | Self::Locked(LockedKey::Password { .. })
        )
    }
}

/// All certificates and all keys in a text, whatever else stands there.
///
/// # Errors
/// When the text is not recognised, or when the password of a key is not this one.
pub(super) fn contents(bytes: &[u8], password: Option<&Password>) -> Result<Contents, PemError> {
    let read = text(bytes)?;
    let mut contents = Contents::default();
    for block in blocks(&read)? {
        if block.is_key() {
            let key = block.key(password)?.map(|key| key.text);
            contents.keys.extend(key);
        } else if CERTIFICATES.contains(&block.label) {
            contents.certificates.push(block.certificate()?.to_vec());
        }
    }
    Ok(contents)
}

/// An RSA key in DER (PKCS #1), as we write it.
pub(super) fn rsa_key(der: &[u8]) -> Secret {
    let mut text = Zeroizing::new(String::new());
    write(&mut text, KEYS[1], der);
    Secret::new(text.as_str())
}

/// Certificates as we write them.
pub(super) fn written<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for der in certificates {
        write(&mut text, CERTIFICATES[0], der);
    }
    text
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
    /// The reason why OpenSSL would not read it here.
    irregular: Option<String>,
}

impl Block<'_> {
    fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// The key that it is; none where it is of a kind that nobody here reads.
    fn key(&self, password: Option<&Password>) -> Result<Option<Read<Secret>>, PemError> {
        if self.body.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(PemError::OldPassword);
        }
        let is_locked = self.label == LOCKED;
        if !is_locked && !KEYS.contains(&self.label) {
            return Ok(None);
        }
        let mut der = self.der()?;
        if is_locked {
            der = encrypted_key::open(&der, password.ok_or(PemError::Password)?)?;
        }
        let label = match PrivateKeyDer::try_from(der.as_slice()) {
            Ok(PrivateKeyDer::Pkcs8(_)) => KEYS[0],
            Ok(PrivateKeyDer::Pkcs1(_)) => KEYS[1],
            Ok(PrivateKeyDer::Sec1(_)) => KEYS[2],
            // Whoever uses it says what is wrong with it.
            _ => self.label,
        };
        let mut text = Zeroizing::new(String::new());
        write(&mut text, label, &der);
        let line = self.line;
        let misnamed = match is_locked {
            true => format!("the key that begins in line {line} is protected by a password"),
            false => format!(
                "the {label} that begins in line {line} is called {}",
                self.label
            ),
        };
        let is_misnamed = label != self.label;
        Ok(Some(Read {
            text: Secret::new(text.as_str()),
            irregular: self.irregular.clone().or(is_misnamed.then_some(misnamed)),
        }))
    }

    /// The certificate that it is.
    fn certificate(&self) -> Result<Zeroizing<Vec<u8>>, PemError> {
        let mut der = self.der()?;
        if self.label == TRUSTED {
            // What OpenSSL adds comes after the certificate.
            let added = parse_x509_certificate(&der).map_or(0, |(rest, _)| rest.len());
            let length = der.len() - added;
            der.truncate(length);
        }
        Ok(der)
    }

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

/// The reason why OpenSSL would not read the block between these as it stands there.
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
        [0x30, length, ..] if *length >= 0x80 => Err(binary(bytes)),
        _ if bytes.contains(&0) => Err(PemError::Binary),
        _ => match String::from_utf8_lossy(bytes) {
            text if text.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty() => {
                Err(PemError::Empty)
            }
            text => Ok(text),
        },
    }
}

/// The error that names the kind of DER by its beginning.
fn binary(der: &[u8]) -> PemError {
    let first = Header::from_der(der).and_then(|(inner, _)| Any::from_der(inner));
    match first.map(|(_, first)| (first.tag(), first.data)) {
        Ok((Tag::Integer, [3])) => PemError::Pkcs12,
        Ok((Tag::Integer, [0 | 1])) => PemError::Der("pkey -inform DER"),
        Ok((Tag::Oid, _)) => PemError::Der("pkcs7 -inform DER -print_certs"),
        Ok((Tag::Sequence, _)) if parse_x509_certificate(der).is_ok() => {
            PemError::Der("x509 -inform DER")
        }
        _ => PemError::Binary,
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
