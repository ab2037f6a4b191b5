//! A server that is configured, or given certificates, and all that is known of it.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, rc::Rc};

use super::{DefaultFile, Helper, Kind, Origin, OwnFile, Pin, ProxyKind, Site, Substitutes};
use crate::{
    observe::{SharedPath, Way},
    values::{
        Block, CertificateName, ContainerId, ContainerName, Digest, FileName, Host, KeyedTable,
        Layout, Owner, ProbePort, Right, Signal, Timestamp,
    },
};

/// A server that we configure, or give certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its container.
    pub name: ContainerName,
    /// The engine's word for it.
    pub id: ContainerId,
    /// The label that makes it one.
    pub said: Origin,
    /// The kind of server.
    pub kind: &'static Kind,
    /// True while the container runs.
    pub running: bool,
    /// When it last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub ended_at: Option<Timestamp>,
    /// A digest of image, command and labels.
    pub made_of: Digest,
    /// The configuration of the proxy; none where the consumer takes certificates alone.
    pub proxy: Option<Proxy>,
    /// The configuration that it is given to start with; none where no label says in which folder.
    pub default_config: Option<DefaultConfig>,
    /// The way a helper obtains certificates; none where the consumer obtains none.
    pub helper: Option<Helper>,
    /// Where it reads certificates.
    pub certificates: CertificateFolder,
    /// True if certificates may be put inside the container, through the engine.
    pub may_copy: bool,
    /// The ports at which it is looked at, in addition to the sites of a proxy.
    pub probes: Probes,
    /// Who is to own the keys that it is given; none where it begins as root.
    pub owner: Option<Owner>,
    /// The way to make it read its files again.
    pub reload: Reload,
    /// The way that a signal takes to it.
    pub way: Way,
    /// The words of its own tool that look at new files before it reloads; none where nothing is run.
    pub check: Option<Vec<String>>,
    /// The certificates shown where none covers a name.
    pub substitutes: Substitutes,
    /// The sites that it serves.
    pub sites: KeyedTable<Host, Rc<Site>>,
    /// Hosts that it does not serve and that are on certificates of those that it serves: it answers their challenges.
    pub answers: BTreeSet<Host>,
    /// Names that its labels ask certificates for.
    pub uses: KeyedTable<Host, Use>,
}

/// The configuration that a server is given to start with, as long as its user has written none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultConfig {
    /// The kind of file.
    pub kind: &'static DefaultFile,
    /// The file's name.
    pub file: FileName,
    /// The files of the user's that it names where they are there.
    pub names: [FileName; 2],
    /// Where it goes.
    pub folder: Folder,
}

/// The part of a consumer that is configured as a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The kind of proxy.
    pub kind: &'static ProxyKind,
    /// Where its rendered files go.
    pub config: Folder,
    /// Where it reads responses to challenges.
    pub webroot: Folder,
    /// Where it can be reached from here; `None` when it can't.
    pub reach: Option<Reach>,
    /// True if its networks give it an IPv6 address; none while that is not known.
    pub has_ipv6: Option<bool>,
    /// Port on which it takes plain HTTP, inside.
    pub http_port: u16,
    /// Port on which it takes TLS, inside.
    pub https_port: u16,
    /// Port at which browsers find its plain HTTP.
    pub public_http_port: u16,
    /// Port at which browsers find its TLS.
    pub public_https_port: u16,
    /// Proxies before it that are believed when they say on whose behalf they ask.
    pub trusted_proxies: Vec<Block>,
    /// The way to keep its requests from containers that have others' addresses after a start.
    pub guard: Guard,
    /// True if the engine's DNS shows it where the containers of its networks are.
    pub has_dns: bool,
}

/// A name that a server needs a certificate for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The certificate that is wanted for it; the server's files are called after this one.
    pub certificate: CertificateName,
    /// The held certificate that it gets whatever is wrong with it.
    pub pin: Option<Pin>,
    /// The label that asks for it.
    pub said: Origin,
}

/// Where a server shows its certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Its ports, as we reach them.
    pub at: Vec<ProbeAt>,
    /// True if a label names the ports: each must show the certificate then. Otherwise they are the usual ports of its
    /// kind, and only those count on which a server listens.
    pub are_said: bool,
}

/// A port of a server, as we reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAt {
    /// Where.
    pub at: SocketAddr,
    /// Which it is in the container, and what is said there.
    pub port: ProbePort,
    /// True if the server shows the certificate that it read when it started, whatever reloads it since.
    pub is_read_at_start: bool,
}

impl Consumer {
    /// Where a proxy can be reached from here; none where it can't, or it is none.
    pub fn reach(&self) -> Option<Reach> {
        self.proxy.as_ref()?.reach
    }

    /// True if quaymaster can see from here what the consumer does with its files.
    pub fn can_be_seen(&self) -> bool {
        self.reach().is_some() || !self.probes.at.is_empty()
    }

    /// The folder where its rendered files go.
    pub fn config(&self) -> Option<&Folder> {
        let of_proxy = self.proxy.as_ref().map(|proxy| &proxy.config);
        of_proxy.or_else(|| Some(&self.default_config.as_ref()?.folder))
    }

    /// The files that a proxy has once, whatever its sites are.
    pub fn own_files(&self) -> &'static [OwnFile] {
        self.proxy
            .as_ref()
            .map_or(&[], |proxy| proxy.kind.own_files)
    }
}

/// The way to keep a proxy's requests from containers that have others' addresses after a start: engines give addresses
/// anew then, and files name those from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// By a file in its /dev/shm, which is gone after each start: as long as it is missing, no request goes by address.
    Gate,
    /// By the engine's DNS alone, where a path has one container: no such file can be made.
    Names,
    /// Not at all: neither can be had.
    Nothing,
}

/// Where a proxy can be reached from here: on a network that both are on, or where its ports are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// For plain HTTP.
    pub http: SocketAddr,
    /// For TLS.
    pub https: SocketAddr,
}

/// The way to make a consumer read its files again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// By a signal to its first process.
    Signal(Signal),
    /// By words that are run in it.
    Exec(Vec<String>),
    /// By a restart of its container.
    Restart,
    /// Not at all, as its label says: it reads its files when it starts.
    None,
    /// Not at all: its first process would not follow a signal, or end of it.
    Swallowed {
        /// The reason.
        reason: String,
    },
}

impl Reload {
    /// The right that a container needs for this in addition to being a proxy.
    pub(super) fn right(&self) -> Option<Right> {
        match self {
            Self::Exec(_) => Some(Right::Exec),
            Self::Restart => Some(Right::Restart),
            Self::Signal(_) | Self::None | Self::Swallowed { .. } => None,
        }
    }
}

/// One folder, as each side sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder {
    /// Its path for us.
    pub ours: SharedPath,
    /// Its path for the consumer.
    pub theirs: PathBuf,
}

/// Where a consumer reads certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateFolder {
    /// It mounts our `certificates` folder and reads `live/` there, as `NAME/fullchain.pem` and so on.
    Shared {
        /// Its path of `live/`.
        theirs: PathBuf,
    },
    /// It gets copies of just its own.
    Delivered(Delivery),
}

/// The layout of the copies of certificates in a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Where.
    pub to: Destination,
    /// In which files.
    pub layout: Layout,
    /// The mode of those that hold a key.
    pub key_mode: u32,
    /// True if the copies belong to the owner of the folder, where that is not root and no label says more.
    pub is_owner_of_folder: bool,
}

/// Where copies of certificates are put for a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Into a folder that is mounted here, too.
    Folder(Folder),
    /// Into this folder inside its container, through the engine.
    Inside(PathBuf),
}

impl Destination {
    /// The folder as the consumer sees it.
    pub fn theirs(&self) -> &PathBuf {
        match self {
            Self::Folder(folder) => &folder.theirs,
            Self::Inside(theirs) => theirs,
        }
    }

    /// The folder as we see it; none where we don't.
    pub fn ours(&self) -> Option<&SharedPath> {
        match self {
            Self::Folder(folder) => Some(&folder.ours),
            Self::Inside(_) => None,
        }
    }
}

impl CertificateFolder {
    /// True if the folder is inside the container, and written through the engine.
    pub fn is_inside(&self) -> bool {
        matches!(
            self,
            Self::Delivered(Delivery {
                to: Destination::Inside(_),
                ..
            })
        )
    }

    /// The folder as the consumer sees it.
    pub fn theirs(&self) -> &PathBuf {
        match self {
            Self::Shared { theirs } => theirs,
            Self::Delivered(delivery) => delivery.to.theirs(),
        }
    }

    /// The files of one of our certificates as the consumer sees them.
    pub fn files(&self, name: &CertificateName) -> Vec<PathBuf> {
        match self {
            Self::Shared { theirs } => {
                let folder = theirs.join(name.as_str());
                vec![folder.join("fullchain.pem"), folder.join("privkey.pem")]
            }
            Self::Delivered(delivery) => {
                let paths = delivery.layout.paths(name);
                paths.map(|path| delivery.to.theirs().join(path)).collect()
            }
        }
    }

    /// Of these the one with the certificate and as much of its chain as there is, and the one with the key.
    pub fn pair(&self, name: &CertificateName) -> Option<[PathBuf; 2]> {
        match self {
            Self::Shared { .. } => self.files(name).try_into().ok(),
            Self::Delivered(delivery) => {
                let theirs = delivery.to.theirs();
                let pair = delivery.layout.pair(name)?;
                Some(pair.map(|path| theirs.join(path)))
            }
        }
    }
}
