//! The effects of a signal on a container in addition to reaching its first process: by the engine, it may end its
//! restart policy.

use super::{Complaint, Consumer, Reload, spec::ProxySpec};
use crate::{
    observe::{Bearer, RestartPolicy, Way},
    values::Signal,
};

/// The way that a signal takes to this container. Of one that could not be looked at, what is to be expected: whoever
/// sees the processes of the engine's machine signals them directly.
pub fn signal_way(bearer: &Bearer, own: Option<&Bearer>) -> Way {
    let sees_processes = own.is_none_or(|own| own.has_host_pids);
    bearer
        .way
        .unwrap_or(match sees_processes && !bearer.has_host_pids {
            true => Way::Direct,
            false => Way::Engine,
        })
}

/// The loss of a container that is signalled, and the remedy. An engine that passes on a signal notes that somebody
/// stopped the container, which is what `unless-stopped` asks for; and a signal that may be meant to end it, as each
/// may where it has no stop signal, is the end of every policy.
pub fn lost_policy(
    bearer: &Bearer,
    own: Option<&Bearer>,
    signal: Signal,
) -> Option<(String, String)> {
    let policy = bearer.restart_policy;
    let is_final = bearer.is_stopped_by(signal);
    let is_lost = policy == RestartPolicy::UnlessStopped || is_final;
    if policy == RestartPolicy::No || signal_way(bearer, own) == Way::Direct || !is_lost {
        return None;
    }
    let because = match &bearer.stop_signal {
        _ if !is_final => String::new(),
        None => " and the missing stop signal".to_owned(),
        Some(word) => format!(" and the stop signal {word}"),
    };
    let problem = format!(
        "after the signal {signal} Docker does not start this container again when it ends, because of its restart \
         policy {policy}{because}"
    );
    let always = (policy == RestartPolicy::UnlessStopped).then(|| "`restart: always`".to_owned());
    // What Docker sends to one without a stop signal, so that it is stopped as before.
    let other = match signal {
        Signal::TERM => Signal::QUIT,
        _ => Signal::TERM,
    };
    let stop_signal = is_final.then(|| format!("`stop_signal: SIG{other}`"));
    let lines: Vec<_> = always.into_iter().chain(stop_signal).collect();
    let service = bearer.service();
    let remedy = format!(
        "in Compose, write {} in service {service}",
        lines.join(" and ")
    );
    Some((problem, remedy))
}

/// The complaint about a consumer that a signal does not reach well.
pub(super) fn complaint(
    consumer: &Consumer,
    bearer: &Bearer,
    spec: &ProxySpec,
    own: Option<&Bearer>,
) -> Option<Complaint> {
    let Reload::Signal(signal) = consumer.reload else {
        return None;
    };
    let (problem, remedy) = lost_policy(bearer, own, signal)?;
    // A label that is not followed is not to blame.
    let reload = Some(spec.origin(bearer, "reload"));
    let reload = reload.filter(|origin| origin.text.parse() == Ok(signal));
    let said = reload.unwrap_or_else(|| consumer.said.clone());
    Some(said.complains(problem, remedy))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{complaints, container, desired, own, proxy, rules, snapshot},
        *,
    };
    use crate::{
        desire::{LabelRules, desire},
        observe::BearerState,
        values::Grants,
    };

    /// A proxy by this policy, with this stop signal.
    fn restarted(policy: &str, stop_signal: &str) -> Bearer {
        Bearer {
            restart_policy: RestartPolicy::of_word(policy),
            stop_signal: Some(stop_signal)
                .filter(|word| !word.is_empty())
                .map(Into::into),
            ..proxy()
        }
    }

    #[test]
    fn a_signal_by_the_engine_that_ends_a_restart_policy_is_told_with_the_lines_of_compose() {
        let signal_and_policy = |policy: &str, stop_signal: &str| {
            complaints(&desired([restarted(policy, stop_signal)]))
        };
        let both = "`restart: always` and `stop_signal: SIGTERM`";
        for (policy, stop_signal, lines) in [
            ("unless-stopped", "SIGQUIT", "`restart: always`"),
            ("unless-stopped", "", both),
            ("unless-stopped", "SIGHUP", both),
            ("always", "", "`stop_signal: SIGTERM`"),
            ("always", "hup", "`stop_signal: SIGTERM`"),
            ("on-failure", "1", "`stop_signal: SIGTERM`"),
        ] {
            let said = signal_and_policy(policy, stop_signal);
            let [said] = &said[..] else {
                panic!("{policy} {stop_signal}: {said:?}")
            };
            let begins = "container proxy, label quaymaster.kind=\"nginx\": after the signal HUP Docker does not start this \
                          container again when it ends";
            let ends = format!("; in Compose, write {lines} in service proxy");
            assert!(said.starts_with(begins) && said.ends_with(&ends), "{said}");
        }
        for (policy, stop_signal) in [
            ("always", "SIGQUIT"),
            ("on-failure", "15"),
            ("always", "SIGRTMIN+3"),
            // Nothing is lost.
            ("no", ""),
            ("", ""),
        ] {
            let said = signal_and_policy(policy, stop_signal);
            assert_eq!(said, [""; 0], "{policy} {stop_signal}");
        }
    }

    #[test]
    fn what_is_told_in_another_way_keeps_its_restart_policy() {
        let said = |proxy: Bearer| complaints(&desired([proxy]));
        let granted = LabelRules {
            grants: Some(Grants::parse("edge = \"proxy exec restart\"").expect("a table")),
            ..rules()
        };
        for reload in ["none", "exec nginx -s reload", "restart"] {
            let proxy = restarted("unless-stopped", "").project_is("edge");
            let told = desire(&snapshot([proxy.label("reload", reload)]), &granted);
            assert_eq!(complaints(&told), [""; 0], "{reload}");
        }
        // What is not granted is not followed, and it is signalled all the same.
        let refused = said(restarted("unless-stopped", "").label("reload", "restart"));
        assert!(refused[0].contains("label quaymaster.kind"), "{refused:?}");
        let term = said(restarted("always", "SIGTERM").label("reload", "TERM"));
        assert!(
            term[0].contains("label quaymaster.reload=\"TERM\"")
                && term[0].contains("`stop_signal: SIGQUIT`"),
            "{term:?}"
        );
        let direct = Bearer {
            way: Some(Way::Direct),
            ..restarted("unless-stopped", "")
        };
        assert_eq!(said(direct), [""; 0]);
    }

    #[test]
    fn one_that_can_not_be_looked_at_is_expected_to_be_signalled_as_it_is_when_it_runs() {
        let stopped = |has_host_pids| Bearer {
            state: BearerState::Other("exited".to_owned()),
            has_host_pids,
            ..restarted("unless-stopped", "")
        };
        let beside = Bearer {
            has_host_pids: true,
            ..own()
        };
        for (own, has_host_pids, expected) in [
            (None, false, Way::Direct),
            (Some(beside.clone()), false, Way::Direct),
            (Some(own()), false, Way::Engine),
            (None, true, Way::Engine),
            (Some(beside), true, Way::Engine),
        ] {
            assert_eq!(signal_way(&stopped(has_host_pids), own.as_ref()), expected);
        }
        // What was found counts, whatever was to be expected.
        let refused = Bearer {
            way: Some(Way::Engine),
            ..container("proxy", 3)
        };
        assert_eq!(signal_way(&refused, None), Way::Engine);
        // A proxy that stays down of it is told what it is that keeps it down.
        let told = complaints(&desire(&snapshot([stopped(false)]), &rules()));
        assert!(told[0].contains("`restart: always`"), "{told:?}");
    }
}
