//! The folders of servers, as they see them and as we see them.

use std::path::{self, PathBuf};

use super::{Complaint, Destination, Folder, Origin};
use crate::{
    observe::{Bearer, MountKind, Place, SharedPath, find, locate, mount_of, source},
    values::{ContainerName, EngineName, Layout},
};

/// Which place a path of ours is.
pub(super) fn place_of(path: &path::Path, own: Option<&Bearer>) -> Option<Place> {
    match own {
        Some(own) => locate(&own.mounts, path),
        None => Some(Place::Host(path.to_owned())),
    }
}

impl Folder {
    pub(super) fn within(&self, name: &str) -> Self {
        Self {
            ours: self.ours.join(name),
            theirs: self.theirs.join(name),
        }
    }
}

/// The reason why a consumer's folder can't be written.
pub(super) enum Gap {
    /// Nothing that could be shared is mounted there.
    NotMounted,
    /// We don't mount what it mounts there.
    NotOurs(Place),
    /// We mount it, but read-only.
    ReadOnly(PathBuf),
    /// Another server's files lie there.
    Taken(Holding),
    /// It is a file, or files in it are mounted each for itself.
    Files(Vec<PathBuf>),
    /// The engine does not see what is mounted there, or makes it anew at each start.
    Unseen,
    /// It is on another engine, which shares no folder with us.
    Elsewhere(EngineName),
    /// It is on another engine, which puts nothing into what the container may only read.
    ReadOnlyElsewhere(EngineName),
}

/// The server whose files lie in a folder.
#[derive(Clone)]
pub(super) struct Holding {
    pub place: Place,
    pub server: ContainerName,
    /// True if the container runs, or is about to.
    pub is_kept_going: bool,
}

/// Where a folder of the container is for us.
pub(super) fn ours(
    bearer: &Bearer,
    theirs: &path::Path,
    own: Option<&Bearer>,
) -> Result<SharedPath, Gap> {
    if let Some(engine) = bearer.engine() {
        return Err(Gap::Elsewhere(engine.clone()));
    }
    let place = locate(&bearer.mounts, theirs).ok_or(Gap::NotMounted)?;
    match (own, &place) {
        (Some(own), _) => find(&own.mounts, &place, true)
            .map(|path| SharedPath::seen(&own.mounts, path))
            .ok_or_else(|| match find(&own.mounts, &place, false) {
                Some(path) => Gap::ReadOnly(path),
                None => Gap::NotOurs(place),
            }),
        (None, place) => on_host(bearer, theirs, place).ok_or(Gap::NotMounted),
    }
}

/// Where copies of certificates go that a server reads in this folder: there, where that is mounted here, too; else, where
/// it may be, inside its container.
pub(super) fn destination(
    bearer: &Bearer,
    theirs: &path::Path,
    (layout, may_copy): (&Layout, bool),
    own: Option<&Bearer>,
) -> Result<Destination, Gap> {
    let files = single_files(bearer, theirs, layout);
    if !files.is_empty() {
        return Err(Gap::Files(files));
    }
    let theirs = theirs.to_owned();
    match ours(bearer, &theirs, own) {
        Ok(ours) => Ok(Destination::Folder(Folder { ours, theirs })),
        Err(gap) if may_copy => inside(bearer, theirs, gap),
        Err(gap) => Err(gap),
    }
}

/// A folder into which the engine can put files. It is the gap that remains where it can't.
fn inside(bearer: &Bearer, theirs: PathBuf, gap: Gap) -> Result<Destination, Gap> {
    // Of these no mount is told: each container has its own.
    const ENGINES_OWN: &[&str] = &["/dev", "/proc", "/sys"];
    if ENGINES_OWN.iter().any(|own| theirs.starts_with(own)) {
        return Err(Gap::Unseen);
    }
    match mount_of(&bearer.mounts, &theirs) {
        Some(mount) if mount.kind == MountKind::Private => Err(Gap::Unseen),
        // To share such a one takes the same line of Compose as ever.
        Some(mount) if !mount.writable => Err(match gap {
            Gap::Elsewhere(engine) => Gap::ReadOnlyElsewhere(engine),
            gap => gap,
        }),
        _ => Ok(Destination::Inside(theirs)),
    }
}

/// File endings that mark a certificate or key.
const ENDINGS: &[&str] = &["cer", "cert", "crt", "key", "pem"];

/// Files in place of a folder, or mounted over the files of one. What is mounted so goes on showing the file of before when
/// another is put in its place; and two that are written in place are, for a moment, a key and the certificate of another.
fn single_files(bearer: &Bearer, theirs: &path::Path, layout: &Layout) -> Vec<PathBuf> {
    let ending = theirs.extension().and_then(|ending| ending.to_str());
    let is_called_so = ending.is_some_and(|ending| ENDINGS.contains(&ending));
    let mount = mount_of(&bearer.mounts, theirs);
    // What is in a volume, or beneath what is mounted, can be a folder of any name.
    let may_be_file = mount.is_none_or(|mount| {
        matches!(mount.kind, MountKind::Bind { .. }) && mount.destination == theirs
    });
    if is_called_so && may_be_file {
        return vec![theirs.to_owned()];
    }
    let destinations = bearer.mounts.iter().map(|mount| &mount.destination);
    let is_of_layout = |path: &&PathBuf| {
        let beneath = path.strip_prefix(theirs);
        beneath.is_ok_and(|beneath| layout.may_hold(beneath))
    };
    destinations.filter(is_of_layout).cloned().collect()
}

/// On the host itself, what a container mounts is where the engine keeps it.
fn on_host(bearer: &Bearer, theirs: &path::Path, place: &Place) -> Option<SharedPath> {
    let (Place::Host(path)
    | Place::Volume {
        on_host: Some(path),
        ..
    }) = place
    else {
        return None;
    };
    Some(match source(&bearer.mounts, theirs) {
        Some(mount) => SharedPath::beneath(mount, path),
        None => SharedPath::top(path),
    })
}

/// Where a file of the container is for us, if it can be seen from here.
pub(super) fn seen_here(
    bearer: &Bearer,
    theirs: &path::Path,
    own: Option<&Bearer>,
) -> Option<SharedPath> {
    let place = locate(&bearer.mounts, theirs)?;
    match own {
        Some(own) => {
            let path = find(&own.mounts, &place, false)?;
            Some(SharedPath::seen(&own.mounts, path))
        }
        None => on_host(bearer, theirs, &place),
    }
}

impl Gap {
    pub fn complaint(
        self,
        bearer: &Bearer,
        folder: &path::Path,
        own: Option<&Bearer>,
        said: Origin,
    ) -> Complaint {
        let (folder, us) = (folder.display(), own.map_or("quaymaster", Bearer::service));
        let them = bearer.service();
        let (problem, remedy) = match self {
            Self::NotMounted => (
                format!("its folder {folder} is on no volume, so nothing can be written there"),
                format!(
                    "in Compose, add `volumes: [\"edge:{folder}:ro\"]` to service {them}, `volumes: [\"edge:/edge\"]` to \
                     service {us}, and `edge:` under the top-level volumes"
                ),
            ),
            Self::NotOurs(place) => (
                format!("its folder {folder} is not mounted here"),
                format!(
                    "in Compose, add `volumes: [\"{}\"]` to service {us}",
                    mount_line(&place, bearer)
                ),
            ),
            Self::ReadOnlyElsewhere(engine) => (
                format!(
                    "its folder {folder} is mounted read-only, and the engine {engine} puts no files there"
                ),
                format!(
                    "in Compose, remove `:ro` from the volume at {folder} of service {them}, or the volume"
                ),
            ),
            Self::Elsewhere(engine) => afar(&engine, &folder.to_string(), &said),
            Self::Taken(holding) => taken(&holding, bearer, &folder.to_string(), us),
            Self::Files(files) => one_by_one(&files, bearer, &said),
            Self::Unseen => (
                format!(
                    "its folder {folder} lies in memory, or in what no other container can share: the engine puts nothing \
                     there"
                ),
                format!(
                    "in Compose, mount a volume there in place of it, in service {them} and in service {us}: \
                     `volumes: [\"certs:{folder}:ro\"]`, `volumes: [\"certs:/certs\"]`, and `certs:` under the top-level \
                     volumes"
                ),
            ),
            Self::ReadOnly(path) => (
                format!(
                    "its folder {folder} is mounted here read-only, at {}",
                    path.display()
                ),
                format!(
                    "in Compose, remove `:ro` from the volume at {} of service {us}",
                    path.display()
                ),
            ),
        };
        said.complains(problem, remedy)
    }
}

/// The problem that a folder lies on another engine, and the remedy. What gets certificates alone can be given them by its
/// engine; what is configured can't.
fn afar(engine: &EngineName, folder: &str, said: &Origin) -> (String, String) {
    let problem =
        format!("it is on the engine {engine}, so that its folder {folder} can't be mounted here");
    let copy = said.beside("copy");
    let is_configured = *said.label == said.beside("kind");
    let remedy = match is_configured {
        true => "run a quaymaster beside it, on that machine; or let a proxy on the machine of this one serve what is there: what \
                 publishes a port needs no proxy of its own"
            .to_owned(),
        false => format!(
            "write {copy}=true to it, and give its project the right copy in the setting grants: its engine takes the files, \
             then"
        ),
    };
    (problem, remedy)
}

/// The problem that files stand where a folder is needed, and the remedy.
fn one_by_one(files: &[PathBuf], bearer: &Bearer, said: &Origin) -> (String, String) {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let above = files.first().and_then(|file| file.parent());
    let above = above.unwrap_or(path::Path::new("/")).display();
    let (names, them) = (names.join(" and "), bearer.service());
    let problem = format!(
        "{names} would be a file of its own: key and certificate can't be replaced together there, and a single \
         mounted file keeps showing the old one"
    );
    let remedy = format!(
        "mount the folder in place of the file: in Compose, `volumes: [\"certs:{above}:ro\"]` in service {them}; and write \
         {files}={above}, with the names of the files in {layout}, such as {layout}=fullchain=server.crt, \
         privkey=server.key",
        files = said.beside("files"),
        layout = said.beside("layout"),
    );
    (problem, remedy)
}

/// The problem that a folder has another server's files already, and the remedy.
fn taken(holding: &Holding, bearer: &Bearer, folder: &str, us: &str) -> (String, String) {
    let server = &holding.server;
    let because = match holding.is_kept_going == bearer.is_kept_going() {
        true => "is older",
        false => "runs",
    };
    let problem = format!(
        "container {server} uses the same folder {folder} and {because}; quaymaster configures one proxy per folder"
    );
    let own = match bearer.engine() {
        Some(_) => "give it a folder of its own: in Compose, mount another volume there".to_owned(),
        None => format!(
            "give it a folder of its own: in Compose, make it a service of its own with `volumes: [\"edge2:{folder}:ro\"]`, add \
             `volumes: [\"edge2:/edge2\"]` to service {us}, and `edge2:` under the top-level volumes"
        ),
    };
    let remedy = format!(
        "{own}; or stop {server}, and this one takes over. Until then it gets no signal, and serves what it read when it started"
    );
    (problem, remedy)
}

/// The line to write in Compose that mounts the place where the consumer has it.
fn mount_line(place: &Place, bearer: &Bearer) -> String {
    match place {
        // Compose puts the project before a volume's name; people write it without.
        Place::Volume { name, .. } => {
            let project = bearer.project().map(|project| format!("{project}_"));
            let short = project
                .and_then(|project| name.strip_prefix(&project))
                .unwrap_or(name);
            format!("{short}:/{short}")
        }
        Place::Host(path) => format!("{}:/edge", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{CertificateFolder, Consumer, Delivery, desire},
        desire::{Desired, LabelRules},
        fixtures::volume,
        observe::{Mount, Snapshot},
        values::Grants,
    };

    /// A broker that mounts nothing and may be given files by the engine.
    fn bare() -> Bearer {
        container("mqtt", 5)
            .label("kind", "mosquitto")
            .label("use", "mqtt.example")
            .label("copy", "true")
    }

    fn seen(containers: impl IntoIterator<Item = Bearer>, rights: Option<&str>) -> Desired {
        let containers = containers.into_iter().map(|it| it.project_is("p"));
        let snapshot = Snapshot {
            own: Some(own().project_is("p")),
            ..snapshot(containers)
        };
        let table = rights.map(|rights| format!("p = \"* proxy keys {rights}\""));
        let grants = table.map(|table| Grants::parse(&table).expect("a table"));
        desire(&snapshot, &LabelRules { grants, ..rules() })
    }

    fn consumer<'d>(desired: &'d Desired, name: &str) -> Option<&'d Consumer> {
        let name = ContainerName::parse(name).expect("a name");
        desired.consumers.get(&name).map(|consumer| &**consumer)
    }

    fn destination_of(consumer: &Consumer) -> &Destination {
        match &consumer.certificates {
            CertificateFolder::Delivered(Delivery { to, .. }) => to,
            CertificateFolder::Shared { .. } => panic!("it gets copies"),
        }
    }

    /// A single thing of the host's.
    fn bind(source: &str, destination: &str) -> Mount {
        Mount {
            kind: MountKind::Bind {
                source: source.into(),
            },
            destination: destination.into(),
            writable: false,
        }
    }

    #[test]
    fn without_a_shared_mount_files_go_inside_where_label_and_grant_allow_it() {
        let granted = seen([proxy(), bare()], Some("copy"));
        assert_eq!(complaints(&granted), [""; 0]);
        let mqtt = consumer(&granted, "mqtt").expect("it is given files");
        assert_eq!(
            destination_of(mqtt),
            &Destination::Inside("/mosquitto/certs".into())
        );
        assert!(mqtt.certificates.is_inside());
        // Without the label the grant alone does nothing.
        for word in ["false", "off"] {
            let unasked = seen([proxy(), bare().label("copy", word)], Some("copy"));
            assert!(consumer(&unasked, "mqtt").is_none(), "{word}");
        }
        // And the label nothing without the grant: that prints the line to write.
        for (rights, line) in [
            (None, "with the line `p = \"copy\"`"),
            (Some("exec"), "write there `p = \"* proxy keys exec copy\"`"),
        ] {
            let refused = seen([proxy(), bare()], rights);
            assert!(consumer(&refused, "mqtt").is_none());
            let told = complaints(&refused);
            assert_eq!(told.len(), 2, "{told:?}");
            let of_label = "container mqtt, label quaymaster.copy=\"true\"";
            let is_told = |told: &String| {
                told.starts_with(of_label) && told.contains("the right copy") && told.contains(line)
            };
            assert!(told.iter().any(is_told), "{told:?}");
            assert!(
                told.iter().any(|told| told.contains("is on no volume")),
                "{told:?}"
            );
        }
    }

    #[test]
    fn where_a_mount_is_shared_that_is_used() {
        let sharing = broker().label("copy", "true");
        let desired = seen([proxy(), sharing], Some("copy"));
        let mqtt = consumer(&desired, "mqtt").expect("it is given files");
        assert!(mqtt.may_copy && !mqtt.certificates.is_inside());
        assert_eq!(complaints(&desired), [""; 0]);
        let configured = seen([proxy().label("copy", "true")], Some("copy"));
        let proxy = consumer(&configured, "proxy").expect("it is configured");
        assert!(!proxy.may_copy && !proxy.certificates.is_inside());
        let told = complaints(&configured);
        assert!(
            told.len() == 1 && told[0].contains("leave the label out"),
            "{told:?}"
        );
    }

    #[test]
    fn a_volume_of_its_own_can_be_given_files_unless_it_may_not_write_there() {
        let on = |writable| bare().mount(volume("theirs", "/mosquitto", writable));
        let own = seen([proxy(), on(true)], Some("copy"));
        assert!(consumer(&own, "mqtt").is_some_and(|it| it.certificates.is_inside()));
        let read_only = seen([proxy(), on(false)], Some("copy"));
        assert!(consumer(&read_only, "mqtt").is_none());
        let told = complaints(&read_only);
        assert!(
            told.len() == 1 && told[0].contains("is not mounted here; in Compose, add `volumes: "),
            "{told:?}"
        );
        let tmpfs = Mount {
            kind: MountKind::Private,
            ..volume("", "/mosquitto/certs", true)
        };
        let of_engine = bare().label("files", "/dev/shm/certs");
        for container in [bare().mount(tmpfs), of_engine] {
            let in_memory = seen([proxy(), container], Some("copy"));
            assert!(consumer(&in_memory, "mqtt").is_none());
            let told = complaints(&in_memory);
            assert!(
                told.len() == 1 && told[0].contains("lies in memory"),
                "{told:?}"
            );
        }
    }

    #[test]
    fn single_files_are_refused_with_the_folder_to_mount() {
        let app = || {
            container("app", 5)
                .label("use", "app.example")
                .label("layout", "server")
        };
        let shared = |container: Bearer| container.mount(volume("state", "/etc/app", false));
        let in_files = |container: Bearer| container.label("files", "/etc/app");
        let mounted = |container: Bearer| {
            container
                .mount(bind("/srv/server.crt", "/etc/app/server.crt"))
                .mount(bind("/srv/server.key", "/etc/app/server.key"))
        };
        let named = app().label("files", "/etc/app/server.crt");
        let both = "/etc/app/server.crt and /etc/app/server.key would be a file of its own";
        let one = "/etc/app/server.crt would be a file of its own";
        for (container, told) in [
            (mounted(in_files(app())), both),
            (mounted(in_files(app())).label("copy", "true"), both),
            (mounted(shared(in_files(app()))), both),
            (named.clone(), one),
            (named.clone().label("copy", "true"), one),
            (
                named.mount(bind("/srv/server.crt", "/etc/app/server.crt")),
                one,
            ),
        ] {
            let desired = seen([proxy(), container], Some("copy"));
            assert!(consumer(&desired, "app").is_none());
            let said = complaints(&desired);
            let remedy = "`volumes: [\"certs:/etc/app:ro\"]` in service app; and write quaymaster.files=/etc/app";
            assert!(
                said.len() == 1 && said[0].contains(told) && said[0].contains(remedy),
                "{said:?}"
            );
        }
        // What else is mounted there is nobody's business, and a folder may be called anything.
        let beside = shared(in_files(app())).mount(bind("/srv/app.conf", "/etc/app/app.conf"));
        let odd = app()
            .label("files", "/certs/a.pem")
            .mount(volume("state", "/certs", false));
        for container in [beside, odd] {
            let desired = seen([proxy(), container], None);
            assert!(consumer(&desired, "app").is_some());
            assert_eq!(complaints(&desired), [""; 0]);
        }
    }
}
