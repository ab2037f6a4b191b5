//! Who may ask for what: the table of grants where there is one, else the rules without it.

use super::{
    Complaint, LabelRules, Origin,
    claims::{Claim, Purpose},
};
use crate::{
    observe::Bearer,
    values::{Grants, Host, Right},
};

/// The reason why a bearer may not have what one of its labels asks for; none when it may. `said` is the label, `own`
/// the container that we run in.
///
/// Without a table, a bearer may be a proxy and get keys if it is of our own Compose project, or if we are of none and it
/// is on our engine; nothing is run, restarted or copied.
pub(super) fn refusal(
    bearer: &Bearer,
    right: Right,
    said: Origin,
    own: Option<&Bearer>,
    rules: &LabelRules,
) -> Option<Complaint> {
    let project = bearer.owner();
    if let Some(grants) = &rules.grants {
        let allowed =
            project.is_some_and(|project| grants.allows(project, bearer.service(), right));
        let problem = format!("the setting grants does not give it the right {right}");
        return (!allowed)
            .then(|| said.complains(problem, line(bearer, &right.to_string(), rules)));
    }
    let ours = own.and_then(Bearer::owner);
    let is_near = bearer.elsewhere.is_none() && (ours.is_none() || ours == project);
    match right {
        Right::Proxy | Right::Keys if is_near => None,
        Right::Proxy | Right::Keys => {
            let problem = match bearer.engine() {
                Some(engine) => {
                    format!("it is on the engine {engine}, and keys would leave this machine")
                }
                None => format!(
                    "it is not of the Compose project {}, as quaymaster is, and would get keys",
                    ours.unwrap_or_default()
                ),
            };
            Some(said.complains(problem, first_line(bearer, &right.to_string(), rules)))
        }
        Right::Exec | Right::Restart | Right::Copy => {
            let problem = format!("the right {right} needs a grant");
            Some(said.complains(problem, first_line(bearer, &right.to_string(), rules)))
        }
    }
}

/// The reason why a claim to a host is not heard; none when it is.
pub(super) fn host_refusal(
    claim: &Claim<'_>,
    host: &Host,
    rules: &LabelRules,
) -> Option<Complaint> {
    let grants = rules
        .grants
        .as_ref()
        .filter(|_| claim.purpose != Purpose::Name)?;
    let bearer = claim.bearer;
    if bearer
        .owner()
        .is_some_and(|project| grants.allows_host(project, bearer.service(), host))
    {
        return None;
    }
    let problem = format!("the setting grants does not give it {host}");
    Some(claim.complaint(
        claim.key(),
        host.as_str(),
        problem,
        &line(bearer, host.as_str(), rules),
    ))
}

/// The line of the table that would allow it.
fn line(bearer: &Bearer, word: &str, rules: &LabelRules) -> String {
    match (bearer.owner(), &rules.grants) {
        (Some(project), Some(grants)) => format!("write there `{}`", grants.line_with(project, word)),
        (Some(project), None) => format!("`{} = {word:?}`", Grants::key(project)),
        (None, _) => "start it with Compose, or with the label com.docker.compose.project: the table is about projects"
            .to_owned(),
    }
}

/// The line to write where there is no table yet.
pub(super) fn first_line(bearer: &Bearer, word: &str, rules: &LabelRules) -> String {
    let line = line(bearer, word, rules);
    match bearer.owner() {
        Some(_) => {
            format!(
                "write a table [grants] with the line {line}, and all else that is allowed: it counts alone then"
            )
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{Desired, Reload, desire},
        observe::Snapshot,
        values::{Grants, Signal},
    };

    fn granted(table: &str) -> LabelRules {
        LabelRules {
            grants: Some(Grants::parse(table).expect("a table")),
            ..rules()
        }
    }

    fn shop(project: &str) -> Bearer {
        container("shop", 4)
            .label("host", "shop.example, a.example")
            .project_is(project)
    }

    #[test]
    fn with_a_table_only_what_stands_there_is_heard() {
        let seen = |table: &str| {
            let desired = desire(
                &snapshot([proxy().project_is("edge"), shop("shop")]),
                &granted(table),
            );
            (
                desired.consumers.len(),
                hosts(&desired).len(),
                complaints(&desired),
            )
        };
        assert_eq!(
            seen("edge = \"proxy\"\nshop = \"*.example\""),
            (1, 2, vec![])
        );
        let (proxies, served, said) = seen("edge = \"proxy\"\nshop = \"a.example\"");
        assert_eq!((proxies, served), (1, 1));
        assert_eq!(
            said,
            [
                "container shop, label quaymaster.host=\"shop.example\": the setting grants does not give it shop.example; \
              write there `shop = \"a.example shop.example\"`"
            ]
        );
        let (proxies, _, said) = seen("edge = \"keys\"\nshop = \"*.example\"");
        assert_eq!(proxies, 0);
        assert_eq!(
            said[0],
            "container proxy, label quaymaster.kind=\"nginx\": the setting grants does not give it the right proxy; write \
             there `edge = \"keys proxy\"`"
        );
        let nobodys = desire(&snapshot([proxy()]), &granted("edge = \"proxy\""));
        assert!(
            complaints(&nobodys)[0].contains("the table is about projects"),
            "{:?}",
            complaints(&nobodys)
        );
    }

    #[test]
    fn without_a_table_proxies_are_of_our_own_project_and_hosts_anybodys() {
        let seen = |ours: Option<&str>, theirs: &str| -> Desired {
            let own = ours.map_or_else(own, |ours| own().project_is(ours));
            let snapshot = Snapshot {
                own: Some(own),
                ..snapshot([proxy().project_is(theirs), shop("shop")])
            };
            desire(&snapshot, &rules())
        };
        for (ours, theirs) in [(None, "edge"), (Some("edge"), "edge")] {
            assert_eq!(complaints(&seen(ours, theirs)), [""; 0]);
        }
        let refused = seen(Some("edge"), "other");
        assert!(refused.consumers.is_empty());
        let told = "it is not of the Compose project edge, as quaymaster is, and would get keys; write a table [grants] with \
                    the line `other = \"proxy\"`, and all else that is allowed: it counts alone then";
        assert!(
            complaints(&refused)[0].ends_with(told),
            "{:?}",
            complaints(&refused)
        );
        let on_host = Snapshot {
            own: None,
            ..snapshot([proxy().project_is("edge"), shop("shop")])
        };
        assert_eq!(complaints(&desire(&on_host, &rules())), [""; 0]);
    }

    #[test]
    fn without_the_right_a_proxy_is_configured_as_without_the_label() {
        let asking = |reload: &str| {
            proxy()
                .project_is("edge")
                .label("check", "exec")
                .label("reload", reload)
        };
        let seen = |reload: &str, table: &str| {
            let desired = desire(&snapshot([asking(reload)]), &granted(table));
            let consumer = desired.consumers.values().next().expect("it is configured");
            (
                consumer.check.clone(),
                consumer.reload.clone(),
                complaints(&desired),
            )
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (check, reload, said) = seen("exec nginx -s reload", "edge = \"proxy\"");
        assert_eq!((check, reload), (None, Reload::Signal(Signal::HUP)));
        assert_eq!(
            said,
            ["check=\"exec\"", "reload=\"exec nginx -s reload\""].map(|label| format!(
                "container proxy, label quaymaster.{label}: the setting grants does not give it the right exec; write there \
                 `edge = \"proxy exec\"`; until then it is configured as without this label"
            ))
        );
        let (check, reload, said) = seen("exec nginx -s reload", "edge = \"proxy exec\"");
        assert_eq!(
            (check, reload),
            (
                Some(words("nginx -t")),
                Reload::Exec(words("nginx -s reload"))
            )
        );
        assert_eq!(said, [""; 0]);
        let (_, reload, said) = seen("restart", "edge = \"proxy exec\"");
        assert_eq!((reload, said.len()), (Reload::Signal(Signal::HUP), 1));
        assert_eq!(
            seen("restart", "edge = \"proxy exec restart\"").1,
            Reload::Restart
        );
        assert_eq!(
            seen("USR1", "edge = \"proxy\"").2.len(),
            1,
            "a signal needs no right"
        );
    }

    #[test]
    fn what_reaches_into_a_container_needs_a_grant() {
        let helper = container("helper", 5).project_is("edge");
        let own = own().project_is("edge");
        for right in [Right::Exec, Right::Restart, Right::Copy] {
            let said = Origin::new(&helper.name, "quaymaster.check", "exec true");
            let refused =
                refusal(&helper, right, said.clone(), Some(&own), &rules()).expect("it is refused");
            assert_eq!(refused.origin, said);
            assert!(
                refused
                    .to_string()
                    .contains(&format!("the right {right} needs a grant; write a table")),
                "{refused}"
            );
            assert_eq!(
                refusal(
                    &helper,
                    right,
                    said,
                    Some(&own),
                    &granted(&format!("edge = \"{right}\""))
                ),
                None
            );
        }
    }
}
