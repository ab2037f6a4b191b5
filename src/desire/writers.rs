//! Who else may write to a folder in which quaymaster's files decide what others are served, or what a CA is shown.

use std::path::{Path, PathBuf};

use super::{
    LabelRules, Origin,
    folders::{place_of, seen_here},
    rights,
};
use crate::{
    observe::{Bearer, Place, find},
    values::{ContainerName, Right},
};

/// A container that may write to such a folder, and has not the right to get keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Which.
    pub container: ContainerName,
    /// Where it is mounted there.
    pub theirs: PathBuf,
    /// The remedy.
    pub remedy: String,
}

/// The containers of all that may write to a folder of ours and do not have the right `keys`. Those of quaymaster's own
/// image are its own, such as one that stands by.
pub fn writers(
    folder: &Path,
    all: &[Bearer],
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Vec<Writer> {
    let Some(place) = place_of(folder, own) else {
        return Vec::new();
    };
    let others = all.iter().filter(|bearer| !is_ours(bearer, own));
    let written = others.filter_map(|bearer| {
        let theirs = written(bearer, folder, &place, own)?;
        let said = Origin::new(&bearer.name, "", "");
        let refusal = rights::refusal(bearer, Right::Keys, said, own, rules)?;
        let remedy = format!(
            "mount it read-only: in Compose, `:ro` behind {} in the volumes of service {}; or, if it is to have keys, {}",
            theirs.display(),
            bearer.service(),
            refusal.remedy
        );
        Some(Writer {
            container: bearer.name.clone(),
            theirs,
            remedy,
        })
    });
    written.collect()
}

fn is_ours(bearer: &Bearer, own: Option<&Bearer>) -> bool {
    own.is_some_and(|own| {
        bearer.id == own.id || bearer.image.is_some() && bearer.image == own.image
    })
}

/// A container that mounts such a folder itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Which.
    pub container: ContainerName,
    /// Where it is mounted there.
    pub theirs: PathBuf,
    /// The user that it runs as, as its image or Compose file says.
    pub user: String,
}

/// The containers of all that mount a folder of ours, whole or a part of it.
pub fn readers(folder: &Path, all: &[Bearer], own: Option<&Bearer>) -> Vec<Reader> {
    let Some(place) = place_of(folder, own) else {
        return Vec::new();
    };
    let others = all.iter().filter(|bearer| !is_ours(bearer, own));
    let reading = others.filter_map(|bearer| {
        Some(Reader {
            container: bearer.name.clone(),
            theirs: find(&bearer.mounts, &place, false)?,
            user: bearer.user.clone(),
        })
    });
    reading.collect()
}

/// Where a container may write to the folder, to one above it, or to one in it.
fn written(bearer: &Bearer, folder: &Path, place: &Place, own: Option<&Bearer>) -> Option<PathBuf> {
    let within = || {
        let mut writable = bearer.mounts.iter().filter(|mount| mount.writable);
        let found = writable.find(|mount| {
            let ours = seen_here(bearer, &mount.destination, own);
            ours.is_some_and(|ours| ours.as_path().starts_with(folder))
        });
        found.map(|mount| mount.destination.clone())
    };
    find(&bearer.mounts, place, true).or_else(within)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        fixtures::volume,
        observe::{Mount, MountKind},
        values::{Digest, Grants},
    };

    const FOLDER: &str = "/state/certificates";

    /// A container of another project with this mount.
    fn with(mount: Mount) -> Bearer {
        container("blog", 7).project_is("blog").mount(mount)
    }

    fn within(inner: &str, writable: bool) -> Mount {
        let mut mount = volume("state", "/inner", writable);
        if let MountKind::Volume { subpath, .. } = &mut mount.kind {
            *subpath = inner.into();
        }
        mount
    }

    fn found(all: &[Bearer], rules: &LabelRules) -> Vec<String> {
        let own = own().project_is("edge");
        let found = writers(Path::new(FOLDER), all, Some(&own), rules).into_iter();
        found
            .map(|writer| format!("{} {}", writer.container, writer.theirs.display()))
            .collect()
    }

    #[test]
    fn whoever_mounts_certificates_is_found_with_the_user_that_it_runs_as() {
        let own = own().project_is("edge");
        let found = |mount: Mount| {
            let mut reader = with(mount);
            reader.user = "33".to_owned();
            let found = readers(Path::new(FOLDER), &[reader, own.clone()], Some(&own));
            let found = found.into_iter();
            found
                .map(|it| format!("{} {} {}", it.container, it.theirs.display(), it.user))
                .collect::<Vec<_>>()
        };
        for writable in [true, false] {
            assert_eq!(
                found(volume("state", "/s", writable)),
                ["blog /s/certificates 33"]
            );
            assert_eq!(found(within("certificates", writable)), ["blog /inner 33"]);
            assert_eq!(found(volume("other", "/s", writable)), [""; 0]);
            assert_eq!(found(within("accounts", writable)), [""; 0]);
        }
    }

    #[test]
    fn whoever_may_write_among_certificates_without_the_right_to_keys_is_found() {
        for (mount, expected) in [
            (volume("state", "/s", true), Some("blog /s/certificates")),
            (volume("state", "/s", false), None),
            (volume("other", "/s", true), None),
            (within("certificates", true), Some("blog /inner")),
            (within("certificates/live", true), Some("blog /inner")),
            (within("certificates/live", false), None),
            (within("accounts", true), None),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(
                found(&[with(mount.clone())], &rules()),
                expected,
                "{mount:?}"
            );
        }
        let bind = Mount {
            kind: MountKind::Bind {
                source: "/var/lib/docker/volumes/state/_data".into(),
            },
            ..volume("", "/host", true)
        };
        assert_eq!(found(&[with(bind)], &rules()), ["blog /host/certificates"]);
    }

    #[test]
    fn whoever_has_keys_anyway_and_quaymaster_itself_may_write() {
        let all = |bearer: Bearer| found(&[bearer], &rules());
        let mount = || volume("state", "/s", true);
        let of_ours = container("helper", 8).project_is("edge").mount(mount());
        assert_eq!(all(of_ours), [""; 0]);
        assert_eq!(all(own()), [""; 0]);
        let granted = |table: &str| LabelRules {
            grants: Some(Grants::parse(table).expect("a table")),
            ..rules()
        };
        let blog = [with(mount())];
        assert_eq!(found(&blog, &granted("blog = \"keys\"")), [""; 0]);
        assert_eq!(found(&blog, &granted("blog = \"proxy\"")).len(), 1);
        let image = Some(Digest::of("quaymaster"));
        let own = Bearer {
            image,
            ..own().project_is("edge")
        };
        let second = Bearer {
            image,
            ..with(mount())
        };
        assert_eq!(
            writers(Path::new(FOLDER), &[second], Some(&own), &rules()),
            []
        );
    }

    #[test]
    fn what_to_write_in_compose_or_to_grant_is_told() {
        let own = own().project_is("edge");
        let all = [with(volume("state", "/s", true))];
        let found = writers(Path::new(FOLDER), &all, Some(&own), &rules());
        assert_eq!(
            found[0].remedy,
            "mount it read-only: in Compose, `:ro` behind /s/certificates in the volumes of service blog; or, if it is to \
             have keys, write a table [grants] with the line `blog = \"keys\"`, and all else that is allowed: it counts \
             alone then"
        );
    }

    #[test]
    fn on_the_host_folders_are_compared_by_their_paths() {
        let bind = Mount {
            kind: MountKind::Bind {
                source: "/srv/quaymaster".into(),
            },
            ..volume("", "/q", true)
        };
        let grants = Some(Grants::parse("edge = \"proxy\"").expect("a table"));
        let rules = LabelRules { grants, ..rules() };
        let found =
            |folder: &str| writers(Path::new(folder), &[with(bind.clone())], None, &rules).len();
        assert_eq!(found("/srv/quaymaster/certificates"), 1);
        assert_eq!(found("/srv"), 1);
        assert_eq!(found("/srv/other"), 0);
    }
}
