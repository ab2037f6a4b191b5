//! A file with the key of an account, as people and other ACME clients have it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    files::{self, Durability, PRIVATE, as_text, told},
    version::LARGEST,
};
use crate::{
    adapters::{jwk, pem, x509},
    ports::DiskError,
    values::Secret,
};

/// The key of an account that lies in a file of somebody's.
#[derive(Debug)]
pub struct AccountKey {
    /// The key in PEM.
    pub key: Secret,
    /// Where the file says that the account is; nothing where it does not.
    pub url: Option<String>,
    /// True if others than the file's owner may read it.
    pub is_exposed: bool,
}

/// manuale's `account.json`. What else somebody has written there stays.
#[derive(Deserialize, Serialize)]
struct OfManuale {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// Reads the key of an account: PEM, certbot's `private_key.json`, or manuale's `account.json`.
///
/// # Errors
/// When it is neither, or a key that can't be used.
pub fn account_key(path: &Path) -> Result<AccountKey, DiskError> {
    let damaged = |problem: String| DiskError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let bytes = files::read_small(path, LARGEST)?;
    let bytes = bytes.ok_or_else(|| {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        told("read", path)(missing)
    })?;
    let text = Secret::new(as_text(bytes, || path.to_owned())?);
    let (written, url) = match text.expose().trim_start().starts_with('{') {
        false => (text, None),
        true => match jwk::rsa_key(&text) {
            Some(key) => (key, None),
            None => {
                let read = of_manuale(&text).map_err(damaged)?;
                (Secret::new(read.key), read.uri)
            }
        },
    };
    let key = pem::key(written.expose().as_bytes(), None);
    let key = key.map_err(|error| damaged(error.to_string()))?.text;
    x509::check_private_key(&key).map_err(|error| damaged(error.to_string()))?;
    Ok(AccountKey {
        key,
        url,
        is_exposed: files::is_readable_by_others(path),
    })
}

/// Reads manuale's file. An error says where the file is wrong, and quotes nothing: the words may be those of the key.
fn of_manuale(text: &Secret) -> Result<OfManuale, String> {
    serde_json::from_str(text.expose()).map_err(|error| {
        format!(
            "it is JSON, and neither certbot's private_key.json with an RSA key nor an account.json of manuale: line \
             {} is not part of such a file",
            error.line()
        )
    })
}

/// Writes into manuale's `account.json` where the account is; all else in it stays, and nobody but its owner may read it.
///
/// # Errors
/// When it can't be read or written; it is as it was then.
pub fn move_account(path: &Path, url: &str) -> Result<(), DiskError> {
    let damaged = |problem| DiskError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let path = &std::path::absolute(path).map_err(told("find", path))?;
    let text = Secret::new(files::read(path)?.unwrap_or_default());
    let mut account = of_manuale(&text).map_err(damaged)?;
    account.uri = Some(url.to_owned());
    let text = serde_json::to_string(&account).map(Zeroizing::new);
    let text = text.map_err(|error| damaged(error.to_string()))?;
    files::replace(path, text.as_bytes(), PRIVATE, Durability::Synced)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_key_is_read_from_pem_and_from_manuale_s_file_and_who_else_may_read_it_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let json = serde_json::json!({"key": key, "uri": "https://ca.example/acct/1"});
        for (name, text, mode) in [
            ("key.pem", key.clone(), 0o600),
            ("account.json", json.to_string(), 0o640),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("it is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is set");
            let read = account_key(&path).expect("a key");
            assert_eq!(read.is_exposed, mode != 0o600, "{name}");
            x509::check_private_key(&read.key).expect("it is usable");
        }
    }

    #[test]
    fn what_is_no_account_is_told_without_a_word_of_what_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("account.json");
        for (text, words) in [
            ("{\"key\": 1}", "nor an account.json of manuale"),
            (
                "{\"key\": \"secret words\"}",
                "no line that begins with -----BEGIN",
            ),
            ("", "it is empty"),
            ("{", "nor an account.json of manuale"),
        ] {
            fs::write(&path, text).expect("it is written");
            let told = account_key(&path).expect_err("no account").to_string();
            assert!(told.contains(words) && !told.contains("secret"), "{told}");
        }
        // What is wrong with a file that is to be changed is told, and it stays.
        fs::write(&path, "{\"key\": 1}").expect("it is written");
        move_account(&path, "https://ca.example/acct/2").expect_err("no account");
        assert_eq!(
            fs::read_to_string(&path).expect("it is read"),
            "{\"key\": 1}"
        );
        let none = account_key(&folder.path().join("none")).expect_err("nothing there");
        assert!(none.to_string().contains("none"), "{none}");
    }
}
