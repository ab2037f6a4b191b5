//! Responses to challenges in a webroot. Others may write there, too, so everything goes step by step by handles, and
//! through no link.

use super::{Folders, consumers::FOLDER_MODE, files::PUBLIC, shared::SharedFolder};
use crate::{
    observe::SharedPath,
    ports::{Challenge, DiskError, Responder, Response},
};

/// Where responses lie in a webroot, folder by folder.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
const RESPONSES: [&str; 2] = [".well-known", "acme-challenge"];

impl Responder for Folders {
    fn publish(&self, webroot: &SharedPath, challenge: &Challenge) -> Result<(), DiskError> {
        let Response::Http { token, body } = &challenge.response;
        let token = plain(webroot, token)?;
        let folder = SharedFolder::made(&responses(webroot), FOLDER_MODE)?;
        folder.replace(token, body.as_bytes(), PUBLIC)
    }

    fn withdraw(&self, webroot: &SharedPath, token: &str) -> Result<(), DiskError> {
        let token = plain(webroot, token)?;
        let Some(folder) = SharedFolder::open(&responses(webroot))? else {
            return Ok(());
        };
        folder.remove_unfinished(token)?;
        folder.remove(token)
    }
}

/// Where responses lie in a webroot.
pub(super) fn responses(webroot: &SharedPath) -> SharedPath {
    RESPONSES
        .iter()
        .fold(webroot.clone(), |folder, name| folder.join(name))
}

/// The name of a response's file. A token is base64url, and nothing else that a CA may send becomes one.
fn plain<'t>(webroot: &SharedPath, token: &'t str) -> Result<&'t str, DiskError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !token.is_empty() && token.bytes().all(is_plain) {
        true => Ok(token),
        false => Err(DiskError::Damaged {
            path: webroot.as_path().to_owned(),
            problem: format!("the CA's token {token:?} is no base64url"),
        }),
    }
}
