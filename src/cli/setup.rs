//! From settings to ports and rules.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Call, Failure, ca_setup::CaSetup, listening, outputs};
use crate::{
    adapters::{
        acme::{AcmeAuthorities, AcmeAuthority},
        clock::SystemClock,
        disk::{self, Folders, HistoryFiles, Lock},
        dns::{DnsOutside, DnsResolver, RecordResponder},
        engine::{
            DockerEngine, Doubt, OtherEngine, OwnContainer, OwnProcess, RecordedEngine, TlsFiles,
            own_container,
        },
        https_proxy::HttpsProxy,
        listener::ChallengeListener,
        probe::TcpProbe,
        templates::TemplateFolder,
        visitor::TcpVisitor,
    },
    daemon::{BREATH, Daemon, MISSED, Notifying, Questions, Recording},
    desire::{self, Complaint, Origin},
    observe::Bearer,
    plan,
    ports::{
        AccountDesk, Authorities, AuthorityError, Clock, DetailedEngine, DiskError, Engine,
        EngineError, Histories, Issuing, Ports, Probe, Remark, Resolver, Responder, TemplateFiles,
        Visitor,
    },
    report::{Event, chain, explain::Works, report},
    settings::Settings,
    values::{ContainerName, EngineName, Issuers, Timestamp},
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

/// The engines of the tables `[engine.NAME]`; nothing is asked yet.
pub(super) fn other_engines(
    settings: &Settings,
) -> Result<BTreeMap<EngineName, Rc<OtherEngine>>, Failure> {
    let mut engines = BTreeMap::new();
    for (name, table) in &settings.engines {
        let engine = OtherEngine::new(name.clone(), table, tell);
        let unusable = |error| Failure::Usage(format!("[engine.{name}]: {}", chain(&error)));
        engines.insert(name.clone(), Rc::new(engine.map_err(unusable)?));
    }
    Ok(engines)
}

/// The container that we run in, and whether the setting `self` is right.
pub(super) async fn own(call: &Call, engine: &DockerEngine) -> Result<OwnContainer, EngineError> {
    own_container(engine, &OwnProcess::read(), call.settings.own.as_deref()).await
}

/// The complaint about the setting `self`, as about any label that can't be followed.
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

/// An engine made of the output of `docker inspect`, and the container in it that is ours by the settings. Without that
/// setting quaymaster runs on the host of that output: nothing else shows from here.
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

/// The history of names in state.
pub(super) fn histories(call: &Call) -> Rc<dyn Histories> {
    Rc::new(HistoryFiles::new(&call.settings.state, tell))
}

/// Keeps the history of names from now on.
pub(super) fn recording(call: &Call) -> Recording {
    Recording::begin(histories(call), Rc::new(SystemClock))
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
            answers_itself: settings.answers_itself(),
            circumstances,
            cas: settings.cas.clone(),
            dns: settings.dns_tables.names(settings.dns.as_deref()),
            self_check: self_check(settings),
        },
        template_files,
        own: own.map(|own| own.id.clone()),
        doubt: None,
        questions: Questions::default(),
        notifying: Notifying::default(),
        recording: Recording::default(),
    })
}

/// The rule for looks at names before a CA is asked.
pub(super) fn self_check(settings: &Settings) -> plan::SelfCheckRule {
    plan::SelfCheckRule {
        is_on: settings.self_check,
        is_resolver_named: settings.resolver.is_some(),
        is_by_thumbprint: settings.thumbprint,
        is_by_listener: settings.listen_http.is_some(),
    }
}

/// Listens for challenges from now on, where the settings say so.
pub(super) async fn listen(call: &Call, daemon: &mut Daemon) -> Result<(), Failure> {
    let ports = &mut daemon.ports;
    listen_for(call, &mut ports.issuing, &ports.probe).await
}

/// The same for a command that stands in for the daemon: at an address that this one has while it runs.
pub(super) async fn listen_in_place(
    call: &Call,
    issuing: &mut Issuing,
    probe: &Rc<dyn Probe>,
) -> Result<(), Failure> {
    let Some(at) = call.settings.listen_http else {
        return Ok(());
    };
    if works(call, &folders(call, None), now())? != Works::No {
        return Err(Failure::InTheWay(format!(
            "the daemon answers challenges itself at {at} (listen-http), and nobody else can while it runs; end it first"
        )));
    }
    listen_for(call, issuing, probe).await
}

async fn listen_for(
    call: &Call,
    issuing: &mut Issuing,
    probe: &Rc<dyn Probe>,
) -> Result<(), Failure> {
    let Some(at) = call.settings.listen_http else {
        return Ok(());
    };
    let listener = ChallengeListener::start(at, probe.clone())
        .await
        .map_err(|error| listening::cannot_listen("listen-http", at, &error))?;
    also_answer(issuing, Rc::new(listener));
    Ok(())
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

/// The surroundings in which CAs, names and servers are asked.
struct Outside {
    authorities: Rc<dyn Authorities>,
    /// What sets TXT records.
    records: Rc<RecordResponder>,
    probe: Rc<dyn Probe>,
    clock: Rc<dyn Clock>,
    looks: (Rc<dyn Resolver>, Rc<dyn Visitor>),
}

fn outside(cas: CaSetup, settings: &Settings, folders: &Rc<Folders>) -> Result<Outside, Failure> {
    let clock = Rc::new(SystemClock);
    let no_tls = |error: rustls::Error| Failure::Bug {
        what: "the TLS client can't be set up",
        source: error.into(),
    };
    let probe = Rc::new(TcpProbe::new().map_err(no_tls)?);
    let resolver = Rc::new(DnsResolver::named(settings.resolver.clone()));
    let visitor = Rc::new(TcpVisitor::new().map_err(no_tls)?);
    let CaSetup { usual, own } = cas;
    let records = records(settings, resolver.clone(), &usual.https_proxy);
    let authorities = AcmeAuthorities::new(
        usual,
        own,
        settings.self_signed_life,
        folders.clone(),
        clock.clone(),
        tell,
    )?;
    Ok(Outside {
        authorities: Rc::new(authorities),
        records,
        probe,
        clock,
        looks: (resolver, visitor),
    })
}

fn ports(
    cas: CaSetup,
    settings: &Settings,
    engine: Rc<dyn Engine>,
    folders: Rc<Folders>,
) -> Result<Ports, Failure> {
    let Outside {
        authorities,
        records,
        probe,
        clock,
        looks,
    } = outside(cas, settings, &folders)?;
    let mut ports = folders.ports(authorities, engine, probe, clock, looks);
    for (name, engine) in other_engines(settings)? {
        ports.other_engines.insert(name, engine);
    }
    also_answer(&mut ports.issuing, records);
    Ok(ports)
}

/// The ports for obtaining a certificate with no engine, and with challenges answered where the settings say. `chain`
/// is the root at which the chains of the CA with this directory are to end, where that is said.
pub(super) async fn issuing(
    call: &Call,
    (directory, chain): (&str, Option<&String>),
) -> Result<(Issuing, Rc<dyn Clock>), Failure> {
    let folders = folders(call, None);
    let mut cas = CaSetup::of(call)?;
    if let Some(chain) = chain {
        let usual = || cas.usual.clone();
        let mut one = cas.own.remove(directory).unwrap_or_else(usual);
        one.chain = Some(chain.clone());
        cas.own.insert(directory.to_owned(), one);
    }
    let Outside {
        authorities,
        records,
        probe,
        clock,
        looks,
    } = outside(cas, &call.settings, &folders)?;
    let mut issuing = folders.issuing(authorities, &probe, &clock, looks);
    also_answer(&mut issuing, records);
    listen_in_place(call, &mut issuing, &probe).await?;
    Ok((issuing, clock))
}

/// Has a further responder show what is not in its way.
fn also_answer(issuing: &mut Issuing, responder: Rc<dyn Responder>) {
    let others = issuing.responder.clone();
    issuing.responder = Rc::new(vec![others, responder]);
}

/// Ends here when a table `[dns.NAME]` can't be used, as with any other setting.
pub(super) fn check_records(call: &Call) -> Result<(), Failure> {
    let records = super::records::responder(call)?;
    match records.faults().next() {
        None => Ok(()),
        Some((name, problem)) => Err(Failure::Usage(format!("[dns.{name}]: {problem}"))),
    }
}

/// Responder that sets TXT records, by the tables `[dns.NAME]`. One that can't be used is reported where it is to be used.
pub(super) fn records(
    settings: &Settings,
    resolver: Rc<DnsResolver>,
    proxy: &HttpsProxy,
) -> Rc<RecordResponder> {
    let outside = DnsOutside {
        resolver,
        clock: Rc::new(SystemClock),
        proxy: proxy.clone(),
        is_in_container: OwnProcess::read().is_in_container(),
    };
    Rc::new(RecordResponder::new(settings.dns_tables.iter(), &outside))
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
        dns: settings.dns_tables.names(settings.dns.as_deref()),
        key_type: settings.key_type,
        profile: settings.profile.clone(),
        master: settings.master.clone(),
        default_certificate: settings.default_certificate.clone(),
        strict_parents: settings.strict_parents,
        names: settings.names.clone(),
        answers_itself: settings.answers_itself(),
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

/// The stand-in for the mark's name where none was made yet, for commands that make nothing.
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

/// The state of the daemon that works on this state folder.
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
