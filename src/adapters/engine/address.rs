//! Where the engine is: addresses as `DOCKER_HOST` has them, and the files of a TLS connection.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::uri::Authority;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;

use super::by_ssh::SshTarget;
use crate::ports::EngineError;

/// The port of an engine without TLS when the address has none.
const PLAIN_PORT: u16 = 2375;
/// The port of an engine with TLS when the address has none.
const TLS_PORT: u16 = 2376;

/// The files of a TLS connection to the engine. Only `ca` is trusted, no root of the system.
///
/// <https://docs.docker.com/engine/security/protect-access/#use-tls-https-to-protect-the-docker-daemon-socket>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the CA that the engine's certificate must come from, in PEM.
    pub ca: PathBuf,
    /// Our certificate, with its chain, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files as Docker names them in `DOCKER_CERT_PATH`: `ca.pem`, `cert.pem`, `key.pem`.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }
}

/// Where to connect, and how.
#[derive(Debug)]
pub(super) enum Target {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A TCP address without TLS.
    Tcp(Authority, u16),
    /// A machine that the user's own `ssh` leads to.
    Ssh(SshTarget),
    /// A TCP address with TLS.
    Tls(Authority, u16, ServerName<'static>, Arc<ClientConfig>),
}

impl Target {
    /// Reads an address; see `DockerEngine::new`.
    pub(super) fn read(address: &str, tls: Option<&TlsFiles>) -> Result<Self, EngineError> {
        let wrong = || EngineError::Address(address.to_owned());
        let (scheme, rest) = match address.starts_with('/') {
            true => ("unix", address),
            false => address.split_once("://").ok_or_else(wrong)?,
        };
        if scheme == "unix" {
            return rest
                .starts_with('/')
                .then(|| Self::Unix(rest.into()))
                .ok_or_else(wrong);
        }
        if scheme == "ssh" {
            return SshTarget::read(rest).map(Self::Ssh).ok_or_else(wrong);
        }
        let authority = authority(rest).ok_or_else(wrong)?;
        let port = |default| authority.port_u16().unwrap_or(default);
        match (scheme, tls) {
            ("http", _) | ("tcp", None) => Ok(Self::Tcp(authority.clone(), port(PLAIN_PORT))),
            ("https" | "tcp", files) => {
                let name =
                    ServerName::try_from(bare_host(&authority).to_owned()).map_err(|_| wrong())?;
                let config = files.ok_or(TlsError::NoFiles).and_then(client_config);
                let unusable = |error: TlsError| EngineError::Unreachable {
                    engine: address.into(),
                    source: error.into(),
                };
                Ok(Self::Tls(
                    authority.clone(),
                    port(TLS_PORT),
                    name,
                    Arc::new(config.map_err(unusable)?),
                ))
            }
            _ => Err(wrong()),
        }
    }

    /// The host name in requests; engines want one, whatever it is.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Unix(_) | Self::Ssh(_) => "localhost",
            Self::Tcp(authority, _) | Self::Tls(authority, ..) => authority.as_str(),
        }
    }
}

/// The host of an address, an IPv6 one without its brackets.
pub(super) fn bare_host(authority: &Authority) -> &str {
    authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

/// `host` or `host:port`, and nothing else.
fn authority(rest: &str) -> Option<Authority> {
    let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let usable =
        !authority.host().is_empty() && (port.is_empty() || authority.port_u16().is_some());
    usable.then_some(authority)
}

/// The reason why there can be no TLS.
#[derive(Debug, Error)]
enum TlsError {
    #[error("TLS needs ca.pem, cert.pem and key.pem; name their folder")]
    NoFiles,
    #[error("can't read {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{} has no {what} in PEM", file.display())]
    NothingIn { file: PathBuf, what: &'static str },
    #[error("{} can't be used", .0.display())]
    Unusable(PathBuf, #[source] rustls::Error),
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.ca)? {
        roots
            .add(root)
            .map_err(|error| TlsError::Unusable(files.ca.clone(), error))?;
    }
    let chain = certificates(&files.certificate)?;
    let key =
        PrivateKeyDer::from_pem_slice(&file(&files.key)?).map_err(|_| TlsError::NothingIn {
            file: files.key.clone(),
            what: "private key",
        })?;
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_root_certificates(roots)
                .with_client_auth_cert(chain, key)
        })
        .map_err(|error| TlsError::Unusable(files.key.clone(), error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(path)?).collect();
    found
        .ok()
        .filter(|all| !all.is_empty())
        .ok_or_else(|| TlsError::NothingIn {
            file: path.to_owned(),
            what: "certificate",
        })
}

fn file(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &Target) -> String {
        match target {
            Target::Unix(path) => format!("unix {}", path.display()),
            Target::Tcp(authority, port) => format!("tcp {} {port}", bare_host(authority)),
            Target::Ssh(target) => format!("ssh {}", target.host()),
            Target::Tls(authority, port, ..) => format!("tls {} {port}", bare_host(authority)),
        }
    }

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        for (address, expected) in [
            ("unix:///var/run/docker.sock", "unix /var/run/docker.sock"),
            ("/run/podman/podman.sock", "unix /run/podman/podman.sock"),
            ("tcp://proxy:1234", "tcp proxy 1234"),
            ("tcp://proxy", "tcp proxy 2375"),
            ("tcp://[::1]:80/", "tcp ::1 80"),
            ("http://127.0.0.1:2375", "tcp 127.0.0.1 2375"),
            ("ssh://root@green:22", "ssh green"),
        ] {
            assert_eq!(
                Target::read(address, None)
                    .map(|target| shown(&target))
                    .ok()
                    .as_deref(),
                Some(expected)
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "docker.sock",
            "unix://docker.sock",
            "unix://",
            "npipe:////./pipe/docker_engine",
            "ssh://-host",
            "tcp://",
            "tcp://host:port",
            "tcp://host:",
            "tcp://host:99999",
            "tcp://host:1/prefix",
            "tcp://user@host:1",
        ] {
            let error = Target::read(address, None).expect_err(address);
            assert!(
                matches!(&error, EngineError::Address(told) if told == address),
                "{address}: {error:?}"
            );
        }
    }

    #[test]
    fn tls_is_never_given_up_silently() {
        let error = Target::read("https://host", None).expect_err("nothing to trust");
        assert!(
            std::error::Error::source(&error)
                .is_some_and(|cause| cause.to_string().contains("ca.pem"))
        );

        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles::in_folder(folder.path());
        let error = Target::read("tcp://host", Some(&files)).expect_err("no files");
        assert!(
            std::error::Error::source(&error)
                .is_some_and(|cause| cause.to_string().contains("ca.pem"))
        );
    }
}
