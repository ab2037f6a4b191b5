//! The check that requests can't reach another's container after a start, and the way that they take then.

use crate::{
    daemon::Survey,
    desire::{Consumer, Guard},
    observe::PartName,
    report::Findings,
    values::FileName,
};

/// The consequence for requests where nothing better can be had.
const BY_ADDRESS: &str = "after a restart, it sends requests to addresses that other containers may have by then, \
                          until quaymaster has looked";

pub(super) fn look(survey: &Survey, told: &mut Findings) {
    for proxy in survey.desired.consumers.values() {
        of_proxy(survey, proxy, told);
    }
    let mut users = survey.templates.users_in("nginx/site.conf").peekable();
    if users.peek().is_some() && !survey.templates.heed_gates() {
        let names = users.collect::<Vec<_>>().join(", ");
        told.advice(
            "gates",
            format!("your templates ({names}) always pass requests on by address"),
            "include nginx/towards.conf and pass them on to $quaymaster_to_N where route.variable has a number N, as the \
             built-in ones do: after a reboot, an address may be another container's",
        );
    }
}

fn of_proxy(survey: &Survey, consumer: &Consumer, told: &mut Findings) {
    let Some(proxy) = &consumer.proxy else { return };
    let name = &consumer.name;
    let installed = survey.observed.installed.get(name);
    let gate = proxy
        .kind
        .gate_file
        .and_then(|file| FileName::parse(file).ok())
        .map(PartName::File);
    let is_refused = gate
        .zip(installed)
        .is_some_and(|(gate, installed)| installed.trial.refused.contains_key(&gate));
    let opened_for = installed.and_then(|installed| installed.opened_for);
    match proxy.guard {
        Guard::Gate if is_refused => told.advice(
            "gates",
            format!("{name} refuses its gate, as an nginx without the WebDAV module does: {BY_ADDRESS}"),
            "use an nginx with that module, as Debian's and the official image have it",
        ),
        Guard::Gate if opened_for.is_some() && opened_for == consumer.started_at => told.ok(
            "gates",
            format!("{name}: since its start, the addresses in its files were seen to be right"),
        ),
        Guard::Gate => told.note(
            "gates",
            format!("{name}: the addresses in its files are not known to be right yet"),
        ),
        Guard::Names => told.advice(
            "gates",
            format!(
                "{name} can't be reached from here, or has no /dev/shm of its own: paths with one container use its \
                 id, and for the others: {BY_ADDRESS}"
            ),
            "put quaymaster and it on one network, and let it have the usual `ipc`",
        ),
        Guard::Nothing => told.advice(
            "gates",
            format!("{name} can't be reached from here, or has no /dev/shm of its own: {BY_ADDRESS}"),
            "put quaymaster and it on one network, and let it have the usual `ipc`",
        ),
    }
}
