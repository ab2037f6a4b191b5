//! The helper that runs certbot, where there is one: it obtains certificates in our place, by the lines of a list that it
//! shares with us.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    CertificateFolder, Complaint, Consumer, Folder, LabelRules,
    consumers::{folder, shared_webroot},
    folders::place_of,
    forgotten_at,
    kinds::Kind,
    rights,
    spec::{ProxySpec, Spec},
};
use crate::{
    observe::{Bearer, Snapshot, find},
    values::{ContainerName, FileName, Right},
};

/// The usual paths and words of a kind of helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperKind {
    /// The folder in the container with the list.
    pub config: &'static str,
    /// The list of lines that it runs.
    pub list: &'static str,
    /// The folder in the container in which its program keeps certificates, where no line says another.
    pub certificates: &'static str,
}

/// The way in which a helper obtains certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// The folder with the list.
    pub folder: Folder,
    /// The list.
    pub list: FileName,
    /// The folder in which it puts responses to challenges.
    pub webroot: Folder,
    /// Where it has the folder of certificates; none where that is the usual place.
    pub certificates: Option<PathBuf>,
    /// The address that the CA is given.
    pub email: Option<String>,
}

/// The helper of all that may be one: that which runs, of several the oldest. One that is made anew counts meanwhile, and so
/// does one whose labels can't be followed: what it obtains is not ours to order, in either case.
pub(super) fn chosen<'s>(
    snapshot: &'s Snapshot,
    specs: &BTreeMap<&'s ContainerName, Spec>,
    rules: &LabelRules,
) -> Option<&'s ContainerName> {
    let own = snapshot.own.as_ref();
    let said = specs.iter().filter_map(|(name, spec)| {
        spec.kind?.helper?;
        let bearer = &**snapshot.bearers.get(*name)?;
        let said = spec.proxy.origin(bearer, "kind");
        let refusal = rights::refusal(bearer, Right::Keys, said, own, rules);
        refusal.is_none().then_some((*name, bearer))
    });
    let rank = |(name, bearer): &(&'s ContainerName, &Bearer)| {
        let is_there = bearer.removed().is_none();
        (
            Reverse((is_there, bearer.is_kept_going())),
            bearer.created,
            *name,
        )
    };
    said.min_by_key(rank).map(|(name, _)| name)
}

/// That a helper was removed and still counts, since it may be made anew.
pub(super) fn away(
    snapshot: &Snapshot,
    specs: &BTreeMap<&ContainerName, Spec>,
    chosen: Option<&ContainerName>,
) -> Option<Complaint> {
    let bearer = snapshot.bearers.get(chosen?)?;
    let until = forgotten_at(bearer.removed()?);
    let problem = format!(
        "the helper was removed; certificates that are missing or due wait for another of its name until {until}"
    );
    let remedy = "start it again, or wait: after that, quaymaster obtains them itself".to_owned();
    let said = specs.get(chosen?)?.proxy.origin(bearer, "kind");
    Some(said.complains(problem, remedy))
}

/// The reason why a container is not the helper that its labels say; none where it is.
pub(super) fn refused(
    bearer: &Bearer,
    spec: &Spec,
    (chosen, specs): (Option<&ContainerName>, &BTreeMap<&ContainerName, Spec>),
) -> Option<Complaint> {
    if let Some(other) = chosen.filter(|chosen| **chosen != bearer.name) {
        let of_other = specs
            .get(other)
            .and_then(|spec| spec.proxy.email.as_deref());
        let own = spec.proxy.email.as_deref();
        let addresses = match (own, of_other) {
            (Some(own), Some(other)) if own != other => {
                format!(", with another address ({other} instead of {own})")
            }
            _ => String::new(),
        };
        let problem = format!(
            "the helper is container {other} already{addresses}; two would order the same certificates"
        );
        let remedy = "take this label off one of them".to_owned();
        return Some(spec.proxy.origin(bearer, "kind").complains(problem, remedy));
    }
    spec.uses_any().then(|| {
        let problem = "a helper obtains certificates for others and uses none itself".to_owned();
        let remedy = "take this label off it, and write it on whoever uses the certificate";
        spec.proxy.origin(bearer, "use").complains(problem, remedy)
    })
}

/// The folders that a container with certbot shares with us. It must see our folder of certificates, since what it
/// obtains is taken from there, and the one from which proxies answer challenges.
pub(super) fn helper(
    bearer: &Bearer,
    (kind, spec): (&Kind, &ProxySpec),
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Result<Option<(Helper, CertificateFolder)>, Complaint> {
    let Some(of_kind) = kind.helper else {
        return Ok(None);
    };
    let said = || spec.origin(bearer, "kind");
    let theirs = spec.config.clone();
    let theirs = theirs.unwrap_or_else(|| PathBuf::from(of_kind.config));
    let folder_of_list = folder(bearer, theirs, own, spec.origin(bearer, "config"))?;
    let certificates = place_of(&rules.certificates, own)
        .and_then(|place| find(&bearer.mounts, &place, true))
        .ok_or_else(|| {
            let problem = "it does not share quaymaster's folder of certificates, so quaymaster would not see what it \
                           obtains";
            let remedy = format!(
                "mount one volume at {} in {service} and at {} in {}, without `:ro`",
                rules.certificates.display(),
                of_kind.certificates,
                bearer.service(),
                service = own.map_or("quaymaster", Bearer::service),
            );
            said().complains(problem, remedy)
        })?;
    let webroot = match &spec.webroot {
        Some(theirs) => folder(bearer, theirs.clone(), own, spec.origin(bearer, "webroot"))?,
        None => shared_webroot(bearer, own, rules, true).ok_or_else(|| {
            let problem = "it shares no folder for responses to challenges with quaymaster";
            let remedy = format!(
                "mount one volume at /challenge in {}, and anywhere in {} and in each proxy, where {} must be allowed to \
                 write",
                own.map_or("quaymaster", Bearer::service),
                bearer.service(),
                bearer.service(),
            );
            said().complains(problem, remedy)
        })?,
    };
    let is_usual = certificates == Path::new(of_kind.certificates);
    let helper = Helper {
        folder: folder_of_list,
        list: FileName::parse(of_kind.list).expect("the kinds table has plain file names"),
        webroot,
        certificates: (!is_usual).then(|| certificates.clone()),
        email: spec.email.clone().or_else(|| rules.email.clone()),
    };
    let theirs = certificates.join("live");
    Ok(Some((helper, CertificateFolder::Shared { theirs })))
}

/// That what the helper shows a CA is not seen by it, for each proxy that reads challenges elsewhere.
pub(super) fn unseen(consumers: &BTreeMap<ContainerName, Consumer>) -> Vec<Complaint> {
    let mut helpers = consumers.values();
    let Some((name, webroot)) =
        helpers.find_map(|it| Some((&it.name, &it.helper.as_ref()?.webroot)))
    else {
        return Vec::new();
    };
    let proxies = consumers.values().filter_map(|consumer| {
        let proxy = consumer.proxy.as_ref()?;
        (proxy.webroot.ours != webroot.ours).then_some((consumer, proxy))
    });
    let complaint = |(consumer, proxy): (&Consumer, &super::Proxy)| {
        let problem = format!(
            "it answers challenges from {}, where the helper {name} does not put any: those go to {} in {name}",
            proxy.webroot.theirs.display(),
            webroot.theirs.display(),
        );
        let remedy = format!("mount what {name} has there in {}, too", consumer.name);
        consumer.said.clone().complains(problem, remedy)
    };
    proxies.map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{tests::*, *};
    use crate::{
        fixtures::volume,
        observe::{Bearer, BearerState, Snapshot},
        values::Timestamp,
    };

    fn helper(name: &str, number: u8) -> Bearer {
        container(name, number)
            .label("kind", "certbot")
            .mount(volume("lines", "/etc/certbot-helper", false))
            .mount(volume("certificates", "/etc/letsencrypt", true))
            .mount(volume("challenge", "/var/www/challenge", true))
    }

    fn front() -> Bearer {
        proxy().mount(volume("challenge", "/var/www/challenge", false))
    }

    fn shop() -> Bearer {
        container("shop", 4).label("host", "shop.example")
    }

    fn seen(containers: impl IntoIterator<Item = Bearer>, rules: LabelRules) -> Desired {
        let (seen, rules) = world(containers, rules);
        desire(&seen, &rules)
    }

    fn world(
        containers: impl IntoIterator<Item = Bearer>,
        rules: LabelRules,
    ) -> (Snapshot, LabelRules) {
        let own = own()
            .mount(volume("lines", "/lines", true))
            .mount(volume("certificates", "/certificates", true))
            .mount(volume("challenge", "/challenge", true));
        let seen = Snapshot {
            own: Some(own),
            ..snapshot(containers)
        };
        let rules = LabelRules {
            certificates: "/certificates".into(),
            webroot: Some("/challenge".into()),
            email: Some("us@example.org".to_owned()),
            ..rules
        };
        (seen, rules)
    }

    fn found(desired: &Desired) -> Option<(&str, &Helper)> {
        let mut all = desired.consumers.values();
        all.find_map(|it| Some((it.name.as_str(), it.helper.as_ref()?)))
    }

    /// Who obtains the shop's certificate; nobody but us where none does.
    fn by(desired: &Desired) -> Option<String> {
        let mut wanted = desired.certificates.values();
        let wanted = wanted.next().expect("one is wanted");
        wanted.helper.as_ref().map(ToString::to_string)
    }

    #[test]
    fn a_helper_has_its_list_its_certificates_and_its_challenges_where_we_see_them() {
        let desired = seen([helper("certbot", 6), front(), shop()], rules());
        assert_eq!(complaints(&desired), [""; 0]);
        let (name, helper) = found(&desired).expect("there is one");
        assert_eq!((name, helper.list.as_str()), ("certbot", "updates.list"));
        assert_eq!(helper.folder.ours, SharedPath::top("/lines"));
        assert_eq!(helper.webroot.theirs, PathBuf::from("/var/www/challenge"));
        assert_eq!(helper.certificates, None);
        assert_eq!(helper.email.as_deref(), Some("us@example.org"));
        assert_eq!(by(&desired).as_deref(), Some("certbot"));
        assert_eq!(by(&seen([front(), shop()], rules())), None);
    }

    #[test]
    fn the_label_of_the_articles_makes_a_helper_with_that_address() {
        let dialects = |own: &[&str]| {
            let order: Vec<_> = own.iter().map(|name| (*name).to_owned()).collect();
            let dialects = Dialects::new("quaymaster", Some(&order), &BTreeMap::new(), None);
            LabelRules {
                dialects: dialects.expect("they are known"),
                ..rules()
            }
        };
        let labelled = |name: &str, number, address: &str| {
            let mut helper = helper(name, number);
            helper.labels.clear();
            let label = "letsencrypt_email".to_owned();
            helper.labels.insert(label, address.to_owned());
            helper
        };
        for dialect in ["nginx-virtual-host", "routing"] {
            let one = labelled("certbot-helper", 6, "admin@example.org");
            let read = dialects(&["native", dialect]);
            let desired = seen([one.clone(), front(), shop()], read.clone());
            assert_eq!(complaints(&desired), [""; 0], "{dialect}");
            let (_, helper) = found(&desired).expect("there is one");
            assert_eq!(helper.email.as_deref(), Some("admin@example.org"));
            assert_eq!(by(&desired).as_deref(), Some("certbot-helper"));
            // Nobody reads it where the setting does not say so, nor on an image.
            let unread = seen([one.clone(), front(), shop()], dialects(&["native"]));
            assert_eq!(by(&unread), None);
            let mut of_image = one;
            of_image.of_image = ["letsencrypt_email".to_owned()].into();
            let desired = seen([of_image, front(), shop()], read);
            assert_eq!(by(&desired), None);
        }
        // Our own label says something else.
        let both = labelled("certbot-helper", 6, "admin@example.org");
        let both = both.label("email", "other@example.org");
        let read = dialects(&["native", "nginx-virtual-host"]);
        let desired = seen([both, front(), shop()], read);
        let told = complaints(&desired);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("says something else"), "{told:?}");
    }

    #[test]
    fn of_two_helpers_one_counts_and_of_the_other_its_address_is_told_too() {
        let older = helper("one", 6).label("email", "one@example.org");
        let younger = helper("two", 7).label("email", "two@example.org");
        let desired = seen([older.clone(), younger.clone(), front(), shop()], rules());
        assert_eq!(by(&desired).as_deref(), Some("one"));
        assert_eq!(
            complaints(&desired),
            [
                "container two, label quaymaster.kind=\"certbot\": the helper is container one already, with another \
                 address (one@example.org instead of two@example.org); two would order the same certificates; take this \
                 label off one of them"
            ]
        );
        // One that is made anew counts meanwhile; another that is there goes before it.
        let removed = Bearer {
            state: BearerState::Removed {
                at: Timestamp::from_seconds(3000),
            },
            mounts: Vec::new(),
            ..older
        };
        let gone = seen([removed.clone(), front(), shop()], rules());
        assert_eq!(by(&gone).as_deref(), Some("one"));
        assert_eq!(found(&gone).map(|(name, _)| name), None);
        assert_eq!(
            complaints(&gone),
            [
                "container one, label quaymaster.kind=\"certbot\": the helper was removed; certificates that are \
                 missing or due wait for another of its name until 1970-01-01T01:00:00Z; start it again, or wait: \
                 after that, quaymaster obtains them itself"
            ]
        );
        let gone = seen([removed, younger, front(), shop()], rules());
        assert_eq!(by(&gone).as_deref(), Some("two"));
    }

    #[test]
    fn a_helper_that_lacks_something_is_told_and_nothing_is_ordered_in_its_place() {
        let without = |volume: &str| {
            let mut helper = helper("certbot", 6);
            let is_other = |mount: &crate::observe::Mount| !matches!(&mount.kind, crate::observe::MountKind::Volume { name, .. } if name == volume);
            helper.mounts.retain(is_other);
            helper
        };
        for (helper, told) in [
            (without("lines"), "/etc/certbot-helper"),
            (
                without("certificates"),
                "it does not share quaymaster's folder of certificates, so quaymaster would not see what it obtains; \
                 mount one volume at /certificates in quaymaster and at /etc/letsencrypt in certbot, without `:ro`",
            ),
            (
                without("challenge"),
                "it shares no folder for responses to challenges with quaymaster; mount one volume at /challenge",
            ),
            (
                helper("certbot", 6).label("email", "nobody"),
                "it is not an e-mail address",
            ),
            (
                helper("certbot", 6).label("use", "mail.example"),
                "a helper obtains certificates for others and uses none itself",
            ),
        ] {
            let desired = seen([helper, front(), shop()], rules());
            let all = complaints(&desired);
            assert!(all.iter().any(|it| it.contains(told)), "{told}: {all:?}");
            assert_eq!(found(&desired).map(|(name, _)| name), None, "{told}");
            let shop = CertificateName::parse("shop.example").expect("a name");
            assert!(desired.certificates[&shop].helper.is_some(), "{told}");
        }
    }

    #[test]
    fn a_proxy_that_reads_challenges_elsewhere_is_told() {
        let desired = seen([helper("certbot", 6), proxy(), shop()], rules());
        let told = complaints(&desired);
        assert!(
            told[0].contains(
                "it answers challenges from /etc/nginx/conf.d/challenge, where the helper certbot does not put any"
            ),
            "{told:?}"
        );
    }

    #[test]
    fn a_helper_that_comes_and_goes_is_seen_by_each_name_also_where_only_what_changed_is_read() {
        let apps = (10..30).map(|number| {
            let name = format!("app{number}");
            container(&name, number).label("host", &format!("{name}.example"))
        });
        let apps: Vec<_> = apps.chain([front()]).collect();
        let state = |state| Bearer {
            state,
            ..helper("certbot", 6)
        };
        let at = Timestamp::from_seconds(3000);
        let mut reading = Reading::default();
        for (helper, is_there) in [
            (None, false),
            (Some(state(BearerState::Running)), true),
            (Some(state(BearerState::Other("exited".to_owned()))), true),
            (Some(state(BearerState::Removed { at })), true),
            (Some(container("certbot", 6)), false),
            (Some(state(BearerState::Running)), true),
            (None, false),
        ] {
            let (seen, rules) = world(apps.iter().cloned().chain(helper), rules());
            let read = reading.desire(&seen, &rules);
            assert_eq!(*read, desire(&seen, &rules));
            let mut wanted = read.certificates.values();
            assert!(wanted.all(|wanted| wanted.helper.is_some() == is_there));
        }
    }

    #[test]
    fn a_container_of_another_project_is_no_helper() {
        let stranger = helper("certbot", 6).project_is("other");
        let mut own = own().project_is("ours");
        own.mounts.push(volume("lines", "/lines", true));
        let seen = Snapshot {
            own: Some(own),
            ..snapshot([
                stranger,
                proxy().project_is("ours"),
                shop().project_is("ours"),
            ])
        };
        let desired = desire(&seen, &rules());
        assert_eq!(by(&desired), None);
        let told = complaints(&desired);
        assert!(told[0].contains("would get keys"), "{told:?}");
    }

    #[test]
    fn what_certbot_can_not_have_and_what_a_label_names_the_ca_of_is_not_the_helper_s() {
        for (label, value, is_helpers) in [
            ("profile", "shortlived", true),
            ("ca", "staging", false),
            ("ca", "self-signed", false),
        ] {
            let shop = container("shop", 4).label("host", "shop.org");
            let shop = shop.label(label, value);
            let desired = seen([helper("certbot", 6), front(), shop], rules());
            assert_eq!(by(&desired).is_some(), is_helpers, "{label}={value}");
        }
        let address = container("shop", 4).label("host", "1.1.1.1");
        let desired = seen([helper("certbot", 6), front(), address], rules());
        assert_eq!(by(&desired), None);
    }
}
