//! The data for requests to CAs, from the settings and the environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Call, Failure};
use crate::{
    adapters::{acme::AcmeSettings, disk, https_proxy::HttpsProxy},
    ports::DiskError,
    settings::Settings,
    values::{CA_PRESETS, CaPreset, CaSettings, Digest, ExternalAccount, Issuers, Secret},
};

/// A file with the roots that are trusted in addition to the usual ones when the CA with this directory is asked.
pub(super) fn ca_root<'s>(settings: &'s Settings, directory: &str) -> Option<&'s Path> {
    let own = settings.cas.at(directory);
    let root = own.and_then(|ca| ca.root.as_ref());
    root.or(settings.ca_root.as_ref()).map(PathBuf::as_path)
}

/// The data for requests to CAs, in addition to labels.
pub(super) struct CaSetup {
    pub(super) usual: AcmeSettings,
    /// By directory, where something is set about a CA by itself.
    pub(super) own: BTreeMap<String, AcmeSettings>,
}

impl CaSetup {
    pub(super) fn of(call: &Call) -> Result<Self, Failure> {
        let settings = &call.settings;
        let (default, by_default) = (settings.ca.as_ref(), settings.agree_tos);
        let agrees = |directory: &str| settings.cas.agrees(directory, default, by_default);
        let mut defaults = settings.ca.iter().flat_map(Issuers::directories);
        let usual = AcmeSettings {
            ca_root_pem: settings.ca_root.as_deref().map(disk::text).transpose()?,
            // Those about which nothing is set by itself: those of the setting ca that are URLs.
            agree_tos: defaults.any(agrees),
            email: settings.email.clone(),
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: https_proxy(call)?,
        };
        let pace = |directory: &str| settings.cas.limits(directory).orders_per_second;
        let mut own = BTreeMap::new();
        for CaPreset { directory, .. } in CA_PRESETS {
            let one = AcmeSettings {
                orders_per_second: pace(directory),
                agree_tos: agrees(directory),
                ..usual.clone()
            };
            own.insert((*directory).to_owned(), one);
        }
        for (directory, ca) in settings.cas.own() {
            let root = ca_root(settings, directory);
            let one = AcmeSettings {
                ca_root_pem: root.map(disk::text).transpose()?,
                agree_tos: agrees(directory),
                email: ca.email.clone().or_else(|| usual.email.clone()),
                orders_per_second: pace(directory),
                external_account: external_account(ca)?,
                chain: ca.chain.clone(),
                https_proxy: usual.https_proxy.clone(),
            };
            own.insert(directory.to_owned(), one);
        }
        Ok(Self { usual, own })
    }

    /// One value of it all: whatever of it changes may change what CAs answer.
    pub(super) fn circumstances(&self, call: &Call) -> Digest {
        let mut parts = vec![env!("CARGO_PKG_VERSION")];
        parts.extend(proxy_variable(call, HTTPS_PROXY).map(|(_, url)| url));
        let own = self.own.iter().map(|(url, ca)| (url.as_str(), ca));
        for (directory, ca) in [("", &self.usual)].into_iter().chain(own) {
            parts.extend([
                directory,
                if ca.agree_tos { "agreed" } else { "" },
                ca.email.as_deref().unwrap_or_default(),
                ca.ca_root_pem.as_deref().unwrap_or_default(),
            ]);
            // A CA that refused one may take another.
            if let Some(external) = &ca.external_account {
                parts.extend([external.key_id.as_str(), external.key.expose()]);
            }
        }
        Digest::of_parts(parts)
    }
}

/// The variables that name a proxy to programs, the ones in capitals first.
///
/// <https://everything.curl.dev/usingcurl/proxies/env.html>
const HTTPS_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy that the environment names for https.
pub(super) fn https_proxy(call: &Call) -> Result<HttpsProxy, Failure> {
    let Some((name, url)) = proxy_variable(call, HTTPS_PROXY) else {
        return Ok(HttpsProxy::default());
    };
    let except = proxy_variable(call, NO_PROXY).map_or("", |(_, except)| except);
    HttpsProxy::of(url, except).map_err(|error| {
        Failure::Usage(format!(
            "the variable {name}: {error}, or remove it, and CAs are asked without a proxy"
        ))
    })
}

fn proxy_variable<'c>(call: &'c Call, names: [&'static str; 2]) -> Option<(&'static str, &'c str)> {
    let set = |name| Some((name, call.environment.get(name)?.as_str()));
    names
        .into_iter()
        .filter_map(set)
        .find(|(_, value)| !value.is_empty())
}

/// The account at a CA's web site to which ours is to belong.
fn external_account(ca: &CaSettings) -> Result<Option<ExternalAccount>, DiskError> {
    let Some(key_id) = ca.eab_key_id.clone() else {
        return Ok(None);
    };
    let key = match (&ca.eab_key, &ca.eab_key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => {
            let key = Secret::new(disk::text(path)?);
            let damaged = |problem| DiskError::Damaged {
                path: path.clone(),
                problem,
            };
            ExternalAccount::key_bytes(&key).map_err(damaged)?;
            key
        }
        (None, None) => return Ok(None),
    };
    let algorithm = ca.eab_algorithm.unwrap_or_default();
    Ok(Some(ExternalAccount {
        key_id,
        key,
        algorithm,
    }))
}

#[cfg(test)]
mod tests {
    use clap::ArgMatches;

    use super::*;
    use crate::{cli::progress::ProgressLines, desire::Dialects, settings::SettingSources};

    #[test]
    fn what_the_table_of_a_ca_says_is_what_that_one_is_asked_with() {
        const CORP: &str = "https://ca.corp.example/dir";
        let file = format!(
            "email = \"us@b.example\"\nagree-tos = true\n[ca.letsencrypt]\nchain = \"ISRG Root X2\"\n\
             [ca.corp]\ndirectory = {CORP:?}\nemail = \"corp@b.example\""
        );
        let written = SettingSources {
            file: Some(("q.toml".into(), file)),
            ..SettingSources::default()
        };
        let (settings, _) = Settings::read(&written).unwrap();
        let environment = BTreeMap::new();
        let call = Call {
            settings,
            dialects: Dialects::native("quaymaster"),
            progress: ProgressLines::new(&environment),
            environment,
            options: ArgMatches::default(),
        };
        let setup = CaSetup::of(&call).unwrap();
        let [first, second] = [CA_PRESETS[0], CA_PRESETS[1]].map(|preset| preset.directory);
        for (directory, chain, email, agrees) in [
            (first, Some("ISRG Root X2"), "us@b.example", true),
            (second, None, "us@b.example", true),
            (CORP, None, "corp@b.example", false),
        ] {
            let one = &setup.own[directory];
            let told = (one.chain.as_deref(), one.email.as_deref(), one.agree_tos);
            assert_eq!(told, (chain, Some(email), agrees), "{directory}");
        }
        assert_eq!(setup.usual.chain, None);
    }
}
