use super::Findings;
use crate::{desire::Consumer, observe::Installed};

/// Tells whose the configuration is that a server was given to start with, and what it lacks; nothing where no label asks
/// for one.
pub fn tell_default_config(
    about: &'static str,
    consumer: &Consumer,
    installed: &Installed,
    told: &mut Findings,
) {
    let Some(config) = &consumer.default_config else {
        return;
    };
    let (name, theirs) = (&consumer.name, &config.folder.theirs);
    let file = theirs.join(config.file.as_str());
    let file = file.display();
    if installed.foreign.contains(&config.file) {
        let says = format!(
            "{name}: {file} is yours, since somebody else wrote it or changed it; it is never written to"
        );
        return told.note(about, says);
    }
    if !installed.files.contains_key(&config.file) {
        return told.note(about, format!("{name}: {file} is not there yet"));
    }
    let says = format!("{name}: {file} is quaymaster's default; change it, and it is yours");
    told.ok(about, says);
    let users = &config.names[0];
    if !installed.beside.contains(users) {
        let users = theirs.join(users.as_str());
        let users = users.display();
        told.advice(
            about,
            format!("{name}: nobody can log in, since there is no {users}"),
            format!("make that file, readable by the server's user, and `docker restart {name}`"),
        );
    }
}
