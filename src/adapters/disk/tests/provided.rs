//! Tests of files that people drop into `provided/`: taken where they can be read without a guess, and written anew for
//! servers; or refused with a sentence of their own.

use rcgen::{BasicConstraints, CertifiedIssuer, DnType, IsCa};

use super::{damage::lay_out, *};

const HOST: &str = "own.example";
const SMALL: &str = include_str!("../../../../tests/recorded/certificates/rsa-1024.pem");

/// A chain of two and the key of its leaf: `leaf`, `issuer`, `key`.
struct Pieces {
    leaf: String,
    issuer: String,
    key: String,
}

fn pieces() -> Pieces {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Own CA");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new([HOST.to_owned()]).expect("a name");
    Pieces {
        leaf: leaf.signed_by(&key, &issuer).expect("it is signed").pem(),
        issuer: issuer.pem(),
        key: key.serialize_pem(),
    }
}

/// The bytes of `fullchain.pem` and `privkey.pem`.
type Files = (Vec<u8>, Vec<u8>);

fn files_of(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Files {
    (chain.as_ref().to_vec(), key.as_ref().to_vec())
}

/// The text of an error, with its reason.
pub(super) fn whole(error: &DiskError) -> String {
    let reason = std::error::Error::source(error).map(|reason| format!(": {reason}"));
    format!("{error}{}", reason.unwrap_or_default())
}

/// The findings of a look at these files.
fn looked_at((chain, key): &Files) -> (Option<HeldCertificate>, String) {
    let place = place();
    let folder = place.certificates.join("provided").join(HOST);
    lay_out(&folder, HOST);
    fs::write(folder.join("fullchain.pem"), chain).expect("it is written");
    fs::write(folder.join("privkey.pem"), key).expect("it is written");
    let mut found = place.folders.certificates(NOW).expect("a look");
    let told = found.faults.iter().map(whole);
    let told = told.collect::<Vec<_>>().join("; ");
    let held = found.provided.remove(&name(HOST));
    (held.map(|held| (*held).clone()), told)
}

#[test]
fn what_can_be_read_without_a_guess_is_taken_and_is_the_same_certificate_however_it_was_written() {
    let Pieces { leaf, issuer, key } = &pieces();
    let chain = format!("{leaf}{issuer}");
    let plain = looked_at(&files_of(&chain, key)).0.expect("it is taken");
    let x509 = chain.replace(" CERTIFICATE-", " X509 CERTIFICATE-");
    for (what, files, is_read_there) in [
        (
            "a byte order mark",
            files_of(format!("\u{feff}{chain}"), key),
            true,
        ),
        (
            "CRLF",
            files_of(chain.replace('\n', "\r\n"), key.replace('\n', "\r\n")),
            true,
        ),
        (
            "text before blocks",
            files_of(format!("subject=CN = own\n{chain}"), key),
            true,
        ),
        (
            "text in Latin-1",
            files_of([b"# Gesch\xe4ft\n", chain.as_bytes()].concat(), key),
            true,
        ),
        (
            "blank lines",
            files_of(format!("\n{leaf}\n\n{issuer}\n"), format!("\n{key}")),
            true,
        ),
        (
            "no newline at the end",
            files_of(chain.trim_end(), key.trim_end()),
            true,
        ),
        (
            "the key in one file with it",
            files_of(format!("{key}{chain}"), format!("{chain}{key}")),
            true,
        ),
        ("an old label", files_of(x509, key), true),
        (
            "END and BEGIN on one line",
            files_of(format!("{}{issuer}", leaf.trim_end()), key),
            false,
        ),
        (
            "indented",
            files_of(chain.replace('\n', "\n  "), key),
            false,
        ),
        (
            "a blank line within",
            files_of(&chain, key.replacen("\n-----END", "\n\n-----END", 1)),
            false,
        ),
        ("CR alone", files_of(chain.replace('\n', "\r"), key), false),
    ] {
        let (held, told) = looked_at(&files);
        let held = held.unwrap_or_else(|| panic!("{what}: {told}"));
        assert_eq!((held.digest, told.as_str()), (plain.digest, ""), "{what}");
        assert_eq!(held.can_be_read_there(), is_read_there, "{what}: {held:?}");
    }
}

#[test]
fn each_file_that_can_not_be_used_has_a_sentence_of_its_own() {
    let Pieces { leaf, issuer, key } = &pieces();
    let chain = format!("{leaf}{issuer}");
    let utf_16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(chain.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let der = [0x30, 0x82, 0x01, 0x0a, 0x02, 0xff];
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (what, files, told) in [
        (
            "another's key",
            files_of(&chain, pieces().key),
            "its key belongs to another certificate",
        ),
        (
            "the chain alone",
            files_of(issuer, key),
            "only certificates of its issuers are in it; put the one for its key before them",
        ),
        (
            "leaf last",
            files_of(format!("{issuer}{leaf}"), key),
            "the certificate for its key comes as number 2; put it first, then its issuer, and so on",
        ),
        (
            "DER",
            files_of(der, key),
            "fullchain.pem can't be understood: it is DER or PKCS #12, not PEM",
        ),
        (
            "DER as key",
            files_of(&chain, der),
            "privkey.pem can't be understood: it is DER or PKCS #12, not PEM",
        ),
        (
            "UTF-16",
            files_of(utf_16, key),
            "fullchain.pem can't be understood: it is UTF-16 text; save it as UTF-8 or ASCII",
        ),
        (
            "empty",
            files_of("", key),
            "fullchain.pem can't be understood: it is empty",
        ),
        (
            "a mark alone",
            files_of("\u{feff}\n", key),
            "fullchain.pem can't be understood: it is empty",
        ),
        (
            "an empty key",
            files_of(&chain, "\n"),
            "privkey.pem can't be understood: it is empty",
        ),
        (
            "files changed over",
            files_of(key, &chain),
            "fullchain.pem can't be understood: there is no certificate in it, but PRIVATE KEY",
        ),
        (
            "a key that is none",
            files_of(&chain, leaf),
            "privkey.pem can't be understood: there is no private key in it, but CERTIFICATE",
        ),
        (
            "no PEM",
            files_of("hello", key),
            "there is no certificate in it, but no line that begins with -----BEGIN, either",
        ),
        (
            "a password",
            files_of(&chain, encrypted),
            "privkey.pem can't be understood: it is protected by a password",
        ),
        (
            "an old password",
            files_of(
                &chain,
                key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1),
            ),
            "it is protected by a password",
        ),
        (
            "cut off",
            files_of(&leaf[..leaf.len() / 2], key),
            "its CERTIFICATE that begins in line 1 has no end",
        ),
        (
            "END lost",
            files_of(chain.replacen("-----END CERTIFICATE-----\n", "", 1), key),
            "its CERTIFICATE that begins in line 1 has no end",
        ),
        (
            "a letter lost",
            files_of(chain.replacen("\nMII", "\nMI", 1), key),
            "fullchain.pem can't be understood: its CERTIFICATE that begins in line 1 is not Base64",
        ),
        (
            "RSA 1024",
            files_of(SMALL, SMALL),
            "its RSA key of 1024 bits is too short; nobody takes less than 2048",
        ),
    ] {
        let (held, said) = looked_at(&files);
        assert_eq!(held, None, "{what}");
        assert!(said.contains(told), "{what}: {said}");
    }
    let place = place();
    let folder = place.certificates.join("provided").join(HOST);
    fs::create_dir_all(folder.join("fullchain.pem")).expect("a folder");
    let found = place.folders.certificates(NOW).expect("a look");
    assert!(
        found.faults[0].to_string().contains(
            "fullchain.pem can't be understood: it is a folder; put the file itself here"
        ),
        "{found:?}"
    );
}
