//! The check that servers that do not run as root can read the keys that they are given.

use super::folders::to_run;
use crate::{
    adapters::disk::{self, FolderLook, Folders, KeyLook},
    daemon::Survey,
    desire::{CertificateFolder, Consumer, Delivery, LabelRules, Reader, readers},
    observe::{Bearer, SharedPath},
    report::{Findings, chain},
    values::Owner,
};

const ABOUT: &str = "folders";

pub(super) fn look(survey: &Survey, told: &mut Findings) {
    for consumer in survey.desired.consumers.values() {
        let bearer = survey.snapshot.bearers.get(&consumer.name);
        let reader = bearer.and_then(|bearer| Owner::of_container(&bearer.user));
        let (Some(reader), CertificateFolder::Delivered(delivery)) =
            (reader.filter(|it| it.user != 0), &consumer.certificates)
        else {
            continue;
        };
        // Inside a container nobody sees whose the folder is.
        let Some(ours) = delivery.to.ours() else {
            continue;
        };
        match disk::look(ours) {
            // That it can't be looked at, or is not there yet, is told of the folder.
            Err(_) | Ok(None) => {}
            Ok(Some(found)) => {
                let own = survey.snapshot.own.as_ref();
                let place = (&**consumer, delivery, ours);
                if let Some((says, remedy)) = problem(place, reader, &found, own) {
                    told.problem(ABOUT, says, remedy);
                }
            }
        }
    }
}

/// Checks that containers that mount the folder of certificates can read keys there, unless they get copies of their
/// own.
pub(super) fn mounts(
    all: &[Bearer],
    (folders, rules): (&Folders, &LabelRules),
    survey: &Survey,
    told: &mut Findings,
) {
    let keys = match folders.keys() {
        Ok(keys) => keys,
        Err(error) => {
            let remedy = "let quaymaster list that folder, which is its own";
            return told.problem(ABOUT, chain(&error), remedy);
        }
    };
    for reader in readers(&rules.certificates, all, survey.snapshot.own.as_ref()) {
        let consumer = survey.desired.consumers.get(&reader.container);
        let gets_copies =
            consumer.is_some_and(|it| matches!(it.certificates, CertificateFolder::Delivered(_)));
        if let Some((says, remedy)) = unread(&reader, &keys).filter(|_| !gets_copies) {
            match consumer {
                Some(_) => told.problem(ABOUT, says, remedy),
                // It may be there for the certificates alone.
                None => told.advice(ABOUT, says, remedy),
            }
        }
    }
}

/// The keys that a container can't read where it mounts the folder of certificates, and what to do; nothing where it can
/// read all of them, or where that depends on numbers that nobody here knows.
fn unread(reader: &Reader, keys: &[KeyLook]) -> Option<(String, String)> {
    let user = Owner::of_container(&reader.user).filter(|it| it.user != 0)?;
    let mut shut = keys
        .iter()
        .filter(|key| !may(user, key.owner, key.mode, READ));
    let first = shut.next()?;
    let others = match shut.count() {
        0 => String::new(),
        more => format!(", nor {more} more"),
    };
    let says = format!(
        "{}: it mounts the folder of certificates at {} and runs as user {}, who can't read the key of {}{others}: that \
         belongs to user {} and has mode {:04o}",
        reader.container,
        reader.theirs.display(),
        user.user,
        first.name,
        first.owner.user,
        first.mode
    );
    let remedy = format!(
        "if it is to read keys there, write the setting owner={}; or give it copies of its own by the labels use and files",
        user.user
    );
    Some((says, remedy))
}

/// The reason why a server that runs as `reader` can't read the keys in its folder, and the remedy; none where it can,
/// or where that depends on a group whose number nobody here knows.
fn problem(
    (consumer, delivery, ours): (&Consumer, &Delivery, &SharedPath),
    reader: Owner,
    folder: &FolderLook,
    own: Option<&Bearer>,
) -> Option<(String, String)> {
    let (name, user) = (&consumer.name, reader.user);
    let theirs = delivery.to.theirs().display();
    let label = consumer.said.beside("owner");
    if !may(reader, folder.owner, folder.mode, ENTER) {
        let says = format!(
            "{name}: it runs as user {user}, who can't enter its folder of certificates, {theirs}: that belongs to user {} \
             and has mode {:04o}",
            folder.owner.user, folder.mode
        );
        return Some((says, to_run("chmod o+x", ours.as_path(), own)));
    }
    let of_folder = Some(folder.owner).filter(|it| delivery.is_owner_of_folder && it.user != 0);
    let owner = of_folder.or(consumer.owner)?;
    if may(reader, owner, delivery.key_mode, READ) {
        return None;
    }
    let whose = match of_folder {
        Some(_) => ", as that folder does",
        None => "",
    };
    let says = format!(
        "{name}: it runs as user {user}, who can't read its keys in {theirs}: they belong to user {}{whose}, and have mode \
         {:04o}",
        owner.user, delivery.key_mode
    );
    Some((says, format!("write the label {label}={user} on it")))
}

/// Bits of a mode, as they stand for others than owner and group.
const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

/// True if a user other than root has the right of `bit` to a file of `owner` with this mode.
fn may(reader: Owner, owner: Owner, mode: u32, bit: u32) -> bool {
    let is_of_group = match (reader.group, owner.group) {
        (Some(reader), Some(owner)) => reader == owner,
        // It may be.
        _ => mode & (bit << 3) != 0,
    };
    let class = match (reader.user == owner.user, is_of_group) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    mode & (bit << class) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desire::{
        desire,
        tests::{broker, rules, snapshot},
    };

    fn found(user: &str, label: Option<(&str, &str)>, owner: (u32, u32), mode: u32) -> String {
        let mut bearer = broker();
        bearer.user = user.to_owned();
        if let Some((key, value)) = label {
            bearer = bearer.label(key, value);
        }
        let desired = desire(&snapshot([bearer]), &rules());
        let consumer = desired.consumers.values().next().expect("a broker");
        let CertificateFolder::Delivered(delivery) = &consumer.certificates else {
            panic!("it gets copies: {consumer:?}");
        };
        let folder = FolderLook {
            mode,
            owner: Owner {
                user: owner.0,
                group: Some(owner.1),
            },
            writable: Ok(()),
        };
        let reader = Owner::of_container(user).expect("a number");
        let ours = delivery.to.ours().expect("it shares a folder");
        let told = problem((consumer, delivery, ours), reader, &folder, None);
        told.map_or_else(String::new, |(says, remedy)| format!("{says}; {remedy}"))
    }

    #[test]
    fn keys_that_their_server_can_not_read_are_told_with_the_label_that_helps() {
        assert_eq!(
            found("101", None, (1000, 1000), 0o755),
            "mqtt: it runs as user 101, who can't read its keys in /mosquitto/certs: they belong to user 1000, as that \
             folder does, and have mode 0600; write the label quaymaster.owner=101 on it"
        );
        let owner = Some(("owner", "33"));
        assert!(found("101", owner, (0, 0), 0o755).contains("they belong to user 33, and have"));
        for (user, label, owner) in [
            // Its own, of whoever owns the folder, or of whom its label says.
            ("101", None, (0, 0)),
            ("101", None, (101, 5)),
            ("33", owner, (0, 0)),
            ("33:33", owner, (1000, 1000)),
        ] {
            assert_eq!(found(user, label, owner, 0o755), "", "{user} {label:?}");
        }
    }

    #[test]
    fn keys_that_a_container_mounts_and_can_not_read_are_told_with_the_setting_that_helps() {
        let key = |name: &str, user, mode| KeyLook {
            name: crate::values::CertificateName::parse(name).expect("a name"),
            owner: Owner {
                user,
                group: Some(user),
            },
            mode,
        };
        let unread = |user: &str, keys: &[KeyLook]| {
            let reader = Reader {
                container: crate::values::ContainerName::parse("mail").expect("a name"),
                theirs: "/certs".into(),
                user: user.to_owned(),
            };
            unread(&reader, keys).map(|(says, remedy)| format!("{says}; {remedy}"))
        };
        let roots = [key("a.example", 0, 0o600), key("b.example", 0, 0o600)];
        assert_eq!(
            unread("101", &roots).as_deref(),
            Some(
                "mail: it mounts the folder of certificates at /certs and runs as user 101, who can't read the key of \
                 a.example, nor 1 more: that belongs to user 0 and has mode 0600; if it is to read keys there, write the \
                 setting owner=101; or give it copies of its own by the labels use and files"
            )
        );
        let its_own = [key("a.example", 101, 0o600)];
        let of_group = [key("a.example", 0, 0o640)];
        for (user, keys) in [
            ("101", &its_own[..]),
            ("101:0", &of_group),
            // It may be of that group.
            ("101", &of_group),
            // Root reads everything, and of a name nobody knows the number.
            ("0", &its_own),
            ("", &roots),
            ("mail", &roots),
            ("101", &[]),
        ] {
            assert_eq!(unread(user, keys), None, "{user} {keys:?}");
        }
        assert!(unread("101:7", &of_group).is_some());
    }

    #[test]
    fn a_folder_that_its_server_can_not_enter_is_told() {
        assert_eq!(
            found("101", None, (0, 0), 0o700),
            "mqtt: it runs as user 101, who can't enter its folder of certificates, /mosquitto/certs: that belongs to user 0 \
             and has mode 0700; `chmod o+x /state`"
        );
        assert_eq!(found("101", None, (0, 0), 0o711), "");
        // It may be of that group.
        assert_eq!(found("101", None, (0, 50), 0o710), "");
        assert_ne!(found("101:51", None, (0, 50), 0o710), "");
    }
}
