//! From settings to ports and rules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Call, Failure, listening, outputs};
use crate::{
    adapters::{
        acme::{AcmeAuthorities, AcmeAuthority, AcmeSettings},
        clock::SystemClock,
        disk::{self, Folders, Lock},
        dns::DnsResolver,
        engine::{
            DockerEngine, Doubt, OwnContainer, OwnProcess, RecordedEngine, TlsFiles, own_container,
        },
        https_proxy::HttpsProxy,
        listener::ChallengeListener,
        probe::TcpProbe,
        templates::TemplateFolder,
        visitor::TcpVisitor,
    },
    daemon::{BREATH, Daemon, MISSED, Questions},
    desire::{self, Complaint, Origin},
    observe::Bearer,
    plan,
    ports::{
        AccountDesk, AuthorityError, Clock, DetailedEngine, DiskError, Engine, EngineError, Ports,
        Remark, Responder, TemplateFiles,
    },
    report::{Event, explain::Works, report},
    settings::Settings,
    values::{
        CA_PRESETS, CaPreset, CaSettings, ContainerName, Digest, ExternalAccount, Issuers, Secret,
        Timestamp,
    },
};

/// The local socket of the engine.
const LOCAL_SOCKET: &str = "unix:///var/run/docker.sock";

/// Where shared folders are mounted unless a setting says otherwise.
const CERTIFICATES: &str = "/certificates";
const WEBROOT: &str = "/challenge";

/// Reports what an adapter met.
pub(super) fn tell(remark: Remark) {
    report(&Event::Met(remark));
}

/// The engine of the settings; nothing is asked yet.
pub(super) fn engine(call: &Call) -> Result<Rc<DockerEngine>, EngineError> {
    let from_environment =
        |name: &str| call.environment.get(name).filter(|value| !value.is_empty());
    let address = call
        .settings
        .engine
        .as_ref()
        .or_else(|| from_environment("DOCKER_HOST"));
    let tls = from_environment("DOCKER_TLS_VERIFY").map(|_| {
        let home = || from_environment("HOME").map(|home| Path::new(home).join(".docker"));
        let folder = from_environment("DOCKER_CERT_PATH")
            .map(|path| Path::new(path).to_owned())
            .or_else(home);
        TlsFiles::in_folder(&folder.unwrap_or_default())
    });
    let address = address.map_or(LOCAL_SOCKET, String::as_str);
    // The variable is meant for tcp: a local socket has no use for it.
    let tls = tls.filter(|_| address.starts_with("tcp://") || address.starts_with("https://"));
    Ok(Rc::new(DockerEngine::new(address, tls.as_ref(), tell)?))
}

/// The container that we run in, and whether the setting `self` is right.
pub(super) async fn own(call: &Call, engine: &DockerEngine) -> Result<OwnContainer, EngineError> {
    own_container(engine, &OwnProcess::read(), call.settings.own.as_deref()).await
}

/// What is to be written in place of the setting `self`, as anything else that can't be followed is told.
pub(super) fn complaint(own: &OwnContainer) -> Option<Complaint> {
    let doubt = own.doubt.as_ref()?;
    let value = match doubt {
        Doubt::Setting { word, .. } => word.clone(),
        Doubt::Unknown | Doubt::Ambiguous(_) => String::new(),
    };
    let ours = own.container().map(|container| container.name.clone());
    let container = ours.or_else(|| ContainerName::parse("quaymaster").ok())?;
    let said = Origin::new(&container, "setting self", &value);
    Some(said.complains(doubt.to_string(), doubt.remedy()))
}

/// What `docker inspect` printed in place of an engine, and the container in it that the settings call ours. Without
/// that setting we are on the host that it was printed on: nothing else could be found out from here.
pub(super) async fn recorded(
    call: &Call,
    path: &Path,
) -> Result<(Rc<RecordedEngine>, Option<Bearer>), Failure> {
    let text = disk::text_or_input(path)?;
    let path = if path == Path::new("-") {
        Path::new("standard input")
    } else {
        path
    };
    let damaged = |problem| DiskError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let engine = RecordedEngine::read(&text, tell).map_err(damaged)?;
    let Some(word) = &call.settings.own else {
        return Ok((Rc::new(engine), None));
    };
    match engine.inspect(word).await? {
        Some(own) => Ok((Rc::new(engine), Some(own))),
        None => Err(Failure::Usage(format!(
            "{} has no container {word:?}, as `self` says",
            path.display()
        ))),
    }
}

/// Our folders, once it is known what is mounted into our container.
pub(super) fn folders(call: &Call, own: Option<&Bearer>) -> Rc<Folders> {
    let folders = Folders::new(certificates(call, own), call.settings.state.clone(), tell);
    let folders = folders.opened_with(call.settings.provided_password_file.clone());
    Rc::new(folders.keys_of(call.settings.keys))
}

fn certificates(call: &Call, own: Option<&Bearer>) -> PathBuf {
    let named = call.settings.certificates.clone();
    let mounted = || is_mounted(own, CERTIFICATES).then(|| CERTIFICATES.into());
    named
        .or_else(mounted)
        .unwrap_or_else(|| call.settings.state.join("certificates"))
}

fn is_mounted(own: Option<&Bearer>, path: &str) -> bool {
    own.is_some_and(|own| {
        own.mounts
            .iter()
            .any(|mount| mount.destination == Path::new(path))
    })
}

/// The loop, ready to turn.
pub(super) fn daemon(
    call: &Call,
    engine: Rc<dyn DetailedEngine>,
    folders: Rc<Folders>,
    own: Option<&Bearer>,
    mark_host: String,
) -> Result<Daemon, Failure> {
    let settings = &call.settings;
    let cas = CaSetup::of(call)?;
    let circumstances = cas.circumstances(call);
    let template_files = settings
        .templates
        .clone()
        .map(|folder| Rc::new(TemplateFolder::new(folder)) as Rc<dyn TemplateFiles>);
    Ok(Daemon {
        outputs: outputs::outputs(call, &engine, own)?,
        ports: ports(cas, settings, engine, folders)?,
        label_rules: label_rules(call, own),
        plan_rules: plan::PlanRules {
            mark_host,
            resync: settings.resync,
            warn_before: settings.warn_before,
            archive_after: settings.archive_after,
            delete_after: settings.delete_after,
            fallback: settings.fallback,
            key_type: settings.key_type,
            answers_itself: settings.listen_http.is_some(),
            circumstances,
            cas: settings.cas.clone(),
            self_check: plan::SelfCheckRule {
                is_on: settings.self_check,
                is_resolver_named: settings.resolver.is_some(),
            },
        },
        template_files,
        own: own.map(|own| own.id.clone()),
        doubt: None,
        questions: Questions::default(),
    })
}

/// Listens for challenges from now on, where the settings say so.
pub(super) async fn listen(call: &Call, daemon: &mut Daemon) -> Result<(), Failure> {
    let Some(at) = call.settings.listen_http else {
        return Ok(());
    };
    let ports = &mut daemon.ports;
    let listener = ChallengeListener::start(at, ports.probe.clone())
        .await
        .map_err(|error| listening::cannot_listen("listen-http", at, &error))?;
    let webroots = ports.issuing.responder.clone();
    ports.issuing.responder = Rc::new(vec![webroots, Rc::new(listener) as Rc<dyn Responder>]);
    Ok(())
}

/// A file with the roots that are trusted besides the usual ones when the CA with this directory is asked.
pub(super) fn ca_root<'s>(settings: &'s Settings, directory: &str) -> Option<&'s Path> {
    let own = settings.cas.at(directory);
    let root = own.and_then(|ca| ca.root.as_ref());
    root.or(settings.ca_root.as_ref()).map(PathBuf::as_path)
}

/// Our account at a CA, for commands; nothing is asked yet. Its terms may have been agreed to on the command line.
pub(super) fn desk(
    call: &Call,
    folders: Rc<Folders>,
    directory: &str,
    is_agreed: bool,
) -> Result<Rc<dyn AccountDesk>, Failure> {
    let CaSetup { usual, mut own } = CaSetup::of(call)?;
    let mut settings = own.remove(directory).unwrap_or(usual);
    settings.agree_tos |= is_agreed;
    let clock = Rc::new(SystemClock);
    let desk = AcmeAuthority::new(directory, settings, folders, clock, tell)?;
    Ok(Rc::new(desk))
}

/// What CAs are asked with besides labels.
struct CaSetup {
    usual: AcmeSettings,
    /// By directory, where something is set about a CA by itself.
    own: BTreeMap<String, AcmeSettings>,
}

impl CaSetup {
    fn of(call: &Call) -> Result<Self, Failure> {
        let settings = &call.settings;
        let agrees = |directory: &str| {
            let default = settings.ca.as_ref();
            settings.cas.agrees(directory, default, settings.agree_tos)
        };
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
        let of_preset = |preset: &CaPreset| {
            let one = AcmeSettings {
                orders_per_second: pace(preset.directory),
                agree_tos: agrees(preset.directory),
                ..usual.clone()
            };
            (preset.directory.to_owned(), one)
        };
        let mut own: BTreeMap<_, _> = CA_PRESETS.iter().map(of_preset).collect();
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
    fn circumstances(&self, call: &Call) -> Digest {
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

/// The variables by which programs are told of a proxy, the ones in capitals first.
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
            "the variable {name}: {error}, or take it away, and CAs are asked without a proxy"
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

fn ports(
    cas: CaSetup,
    settings: &Settings,
    engine: Rc<dyn Engine>,
    folders: Rc<Folders>,
) -> Result<Ports, Failure> {
    let clock = Rc::new(SystemClock);
    let no_tls = |error: rustls::Error| Failure::Bug {
        what: "the TLS client can't be set up",
        source: error.into(),
    };
    let probe = Rc::new(TcpProbe::new().map_err(no_tls)?);
    let resolver = Rc::new(DnsResolver::new(settings.resolver));
    let visitor = Rc::new(TcpVisitor::new().map_err(no_tls)?);
    let CaSetup { usual, own } = cas;
    let authorities = AcmeAuthorities::new(
        usual,
        own,
        settings.self_signed_life,
        folders.clone(),
        clock.clone(),
        tell,
    )?;
    Ok(folders.ports(
        Rc::new(authorities),
        engine,
        probe,
        clock,
        (resolver, visitor),
    ))
}

fn label_rules(call: &Call, own: Option<&Bearer>) -> desire::LabelRules {
    let settings = &call.settings;
    let webroot = settings
        .webroot
        .clone()
        .or_else(|| is_mounted(own, WEBROOT).then(|| WEBROOT.into()));
    desire::LabelRules {
        dialects: call.dialects.clone(),
        certificates: certificates(call, own),
        webroot,
        trusted_proxies: settings.trusted_proxies.clone(),
        grants: settings.grants.clone(),
        cas: settings.cas.clone(),
        issuers: settings.ca.clone(),
        challenge: settings.challenge,
        key_type: settings.key_type,
        profile: settings.profile.clone(),
        master: settings.master.clone(),
        default_certificate: settings.default_certificate.clone(),
        strict_parents: settings.strict_parents,
        names: settings.names.clone(),
        answers_itself: settings.listen_http.is_some(),
        email: settings.email.clone(),
    }
}

/// The engine, and the container that we run in.
pub(super) async fn reached(call: &Call) -> Result<(Rc<DockerEngine>, Option<Bearer>), Failure> {
    let engine = engine(call)?;
    let own = own(call, &engine).await?;
    if let Some(doubt) = &own.doubt {
        tracing::warn!("{doubt}; {}", doubt.remedy());
    }
    Ok((engine, own.container().cloned()))
}

/// What stands for the mark's name where none was made yet, for commands that make nothing.
const NO_MARK_YET: &str = "quaymaster-0000000000000000";

/// The daemon for a command that only looks, and its folders: nothing is made.
pub(super) fn reader(
    call: &Call,
    engine: Rc<dyn DetailedEngine>,
    own: Option<&Bearer>,
) -> Result<(Daemon, Rc<Folders>), Failure> {
    let folders = folders(call, own);
    let mark_host = folders
        .known_mark_host()
        .unwrap_or_else(|| NO_MARK_YET.to_owned());
    Ok((
        daemon(call, engine, folders.clone(), own, mark_host)?,
        folders,
    ))
}

/// The machine's time.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// How the daemon is that works on this state.
pub(super) fn works(call: &Call, folders: &Folders, now: Timestamp) -> Result<Works, DiskError> {
    let breathes = folders
        .last_breath()?
        .is_some_and(|last| now.since(last) <= BREATH * MISSED);
    Ok(match (Lock::is_held(&call.settings.state)?, breathes) {
        (false, _) => Works::No,
        (true, true) => Works::Well,
        (true, false) => Works::Stuck,
    })
}

/// Ends here when the terms of a CA of the settings were neither agreed to before nor now: every order would fail.
pub(super) async fn agreed(call: &Call, daemon: &Daemon) -> Result<(), Failure> {
    let issuers = call.settings.ca.iter();
    for directory in issuers.flat_map(Issuers::directories) {
        let authority = daemon.ports.issuing.authorities.at(directory)?;
        if let Some(terms) = authority.terms_to_agree().await {
            return Err(AuthorityError::Terms { terms }.into());
        }
    }
    Ok(())
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
