//! Responses to challenges in webroots, and the look at the proxies that serve these. Others may write to a webroot, too,
//! so everything goes step by step by handles, and through no link.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use async_trait::async_trait;

use super::{consumers::FOLDER_MODE, files::PUBLIC, shared::SharedFolder};
use crate::{
    observe::{SharedPath, Webroots},
    ports::{
        CHALLENGE_PATH, Challenge, Clock, DiskError, NotServed, Probe, ProbeError, Responder,
        Response, ResponseFault, ShownResponse,
    },
};

/// The longest time for a proxy to show a response that lies in its folder: a reload by somebody else may be under way,
/// and shared folders on some systems are not seen at once.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// The pause between looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Folders from which proxies answer challenges.
pub struct WebrootResponder {
    probe: Rc<dyn Probe>,
    clock: Rc<dyn Clock>,
}

impl WebrootResponder {
    /// Looks at proxies with this probe; nothing is published yet.
    pub fn new(probe: Rc<dyn Probe>, clock: Rc<dyn Clock>) -> Self {
        Self { probe, clock }
    }

    /// Asks a proxy for a response until it serves that.
    async fn wait_for(&self, proxy: SocketAddr, challenge: &Challenge) -> Result<(), NotServed> {
        let until = self.clock.elapsed() + SERVED_WITHIN;
        while let Some(saw) = self.strange(proxy, challenge).await {
            if self.clock.elapsed() >= until {
                let name = challenge.name.clone();
                return Err(NotServed { name, saw });
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The answer that a proxy serves in place of a response; none where it serves the response, or is not ours to
    /// reach: the CA takes another way then.
    async fn strange(&self, proxy: SocketAddr, challenge: &Challenge) -> Option<String> {
        let Response::Http { token, body } = &challenge.response else {
            return None;
        };
        let path = format!("{CHALLENGE_PATH}{token}");
        let host = challenge.name.in_url();
        match self.probe.page(proxy, &host, &path).await {
            Ok(page) if page.status == 200 && page.body.trim_end() == *body => None,
            Err(ProbeError::Unreachable { .. }) => None,
            Ok(page) => Some(format!(
                "{proxy} answers with status {} and something else",
                page.status
            )),
            Err(error) => Some(error.to_string()),
        }
    }
}

#[async_trait(?Send)]
impl Responder for WebrootResponder {
    async fn publish(&self, at: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault> {
        let Response::Http { token, body } = &challenge.response else {
            return Ok(());
        };
        for webroot in &at.folders {
            let token = plain(webroot, token)?;
            let folder = SharedFolder::made(&responses(webroot), FOLDER_MODE)?;
            folder.replace(token, body.as_bytes(), PUBLIC)?;
        }
        Ok(())
    }

    async fn look(&self, at: &Webroots, challenge: &Challenge) -> Result<(), NotServed> {
        for proxy in &at.proxies {
            self.wait_for(*proxy, challenge).await?;
        }
        Ok(())
    }

    async fn withdraw(&self, at: &Webroots, shown: &ShownResponse) -> Vec<ResponseFault> {
        let ShownResponse::Http { token } = shown else {
            return Vec::new();
        };
        let each = at.folders.iter();
        each.filter_map(|webroot| withdraw(webroot, token).err())
            .map(ResponseFault::from)
            .collect()
    }
}

fn withdraw(webroot: &SharedPath, token: &str) -> Result<(), DiskError> {
    let token = plain(webroot, token)?;
    let Some(folder) = SharedFolder::open(&responses(webroot))? else {
        return Ok(());
    };
    folder.remove_unfinished(token)?;
    folder.remove(token)
}

/// Where responses lie in a webroot.
pub(super) fn responses(webroot: &SharedPath) -> SharedPath {
    let folders = CHALLENGE_PATH.split('/').filter(|name| !name.is_empty());
    folders.fold(webroot.clone(), |folder, name| folder.join(name))
}

/// True if this can be a token of a CA's, which is base64url.
pub(super) fn is_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(is_plain)
}

/// The name of a response's file: nothing that is no token becomes one, whatever a CA sends.
fn plain<'t>(webroot: &SharedPath, token: &'t str) -> Result<&'t str, DiskError> {
    match is_token(token) {
        true => Ok(token),
        false => Err(DiskError::Damaged {
            path: webroot.as_path().to_owned(),
            problem: format!("the CA's token {token:?} is not base64url"),
        }),
    }
}
