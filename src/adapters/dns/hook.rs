//! Programs of the user's that set and remove a record, called as certbot and lego call theirs: words, never a shell.

use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt, time::Duration};

use async_trait::async_trait;

use super::{
    gate::{GateFault, RecordGate},
    place::RecordPlace,
    shown,
};
use crate::{
    adapters::program::{ProgramEnd, run},
    ports::TxtProof,
    values::DnsSettings,
};

/// Longest time that a program may run: some wait until the record is seen.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Beginning of our own variables: they may hold secrets of other tables, and are no business of a program's.
const OURS: &str = "QUAYMASTER_";

/// Programs that set and remove records.
pub(super) struct HookGate {
    /// What sets a record, with its words.
    set: Vec<String>,
    /// What removes it, where that is another program, as certbot has it.
    remove: Option<Vec<String>>,
    limit: Duration,
}

impl HookGate {
    /// The programs of these settings. None is started yet.
    ///
    /// # Errors
    /// When there can be none here, or words are none of a program.
    pub(super) fn new(settings: &DnsSettings, is_in_container: bool) -> Result<Self, String> {
        if is_in_container {
            return Err(
                "programs can't be started in a container: the image has nothing but quaymaster in it. Let a program beside it set \
                 records (provider httpreq), or run quaymaster on the host"
                    .to_owned(),
            );
        }
        for words in [&settings.command, &settings.remove_command] {
            if words.first().is_some_and(|word| !word.starts_with('/')) {
                return Err(
                    "command and remove-command begin with the absolute path of a program, as in \
                            /usr/local/bin/hook"
                        .to_owned(),
                );
            }
        }
        let remove = settings.remove_command.clone();
        Ok(Self {
            set: settings.command.clone(),
            remove: (!remove.is_empty()).then_some(remove),
            limit: LIMIT,
        })
    }

    /// The same with less patience.
    #[cfg(test)]
    fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// A call of the program that does this. Where one does both, it is told which by lego's words.
    fn call(&self, lego: &'static str, place: &RecordPlace, value: &str) -> Vec<String> {
        match (&self.remove, lego) {
            (Some(remove), "cleanup") => remove.clone(),
            (Some(_), _) => self.set.clone(),
            (None, _) => {
                let mut words = self.set.clone();
                words.extend([
                    lego.to_owned(),
                    format!("{}.", shown(&place.name)),
                    value.to_owned(),
                ]);
                words
            }
        }
    }

    async fn run(
        &self,
        lego: &'static str,
        place: &RecordPlace,
        value: &str,
    ) -> Result<(), GateFault> {
        let words = self.call(lego, place, value);
        let program = words.first().cloned().unwrap_or_default();
        let ended = run(&words, environment(&place.asked, value), self.limit).await;
        let ProgramEnd { status, last_words } = ended.map_err(|fault| {
            let cause = std::error::Error::source(&fault).map(|cause| format!(": {cause}"));
            format!("{program} {fault}{}", cause.unwrap_or_default())
        })?;
        if status.success() {
            return Ok(());
        }
        let said = match last_words.is_empty() {
            true => String::new(),
            false => format!("; it says: {last_words}"),
        };
        Err(format!("{program} {lego} failed ({status}){said}").into())
    }
}

/// The variables that a program sees: its user's, which may hold its credentials, and those that certbot sets.
fn environment<'a>(
    asked: &'a str,
    value: &'a str,
) -> impl Iterator<Item = (OsString, OsString)> + 'a {
    let certbots = [("CERTBOT_DOMAIN", asked), ("CERTBOT_VALIDATION", value)];
    std::env::vars_os()
        .filter(|(name, _)| !name.to_string_lossy().starts_with(OURS))
        .chain(certbots.map(|(name, value)| (name.into(), value.into())))
}

#[async_trait(?Send)]
impl RecordGate for HookGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        self.run("present", place, value).await
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        self.run("cleanup", place, value).await
    }

    /// Whether the programs are there; none is started.
    async fn look(&self) -> Result<String, GateFault> {
        let mut programs: Vec<_> = [Some(&self.set), self.remove.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|words| words.first())
            .collect();
        programs.dedup();
        for program in &programs {
            let found = fs::metadata(program);
            let found = found.map_err(|error| format!("{program} can't be found: {error}"))?;
            if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
                return Err(
                    format!("{program} can't be run: make it executable (chmod +x)").into(),
                );
            }
        }
        let programs: Vec<_> = programs.into_iter().map(String::as_str).collect();
        Ok(format!(
            "{} may be run; whether it sets records shows at the first one",
            programs.join(" and ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::place::fully, *};

    fn place() -> RecordPlace {
        RecordPlace {
            asked: "shop.example".to_owned(),
            name: fully("shop.acme.example").expect("a name"),
            zone: fully("acme.example").expect("a name"),
        }
    }

    /// A program of these lines.
    fn script(folder: &Path, name: &str, lines: &str) -> String {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path.display().to_string()
    }

    fn gate(command: &[&str], remove: &[&str]) -> Result<HookGate, String> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let settings = DnsSettings {
            command: owned(command),
            remove_command: owned(remove),
            ..DnsSettings::default()
        };
        HookGate::new(&settings, false)
    }

    #[tokio::test]
    async fn one_program_is_called_as_lego_does_and_two_as_certbot_does_without_a_shell() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let line = format!(
            "echo \"$#:$*:$CERTBOT_DOMAIN:$CERTBOT_VALIDATION\" >> {}",
            log.display()
        );
        let one = script(folder.path(), "one", &line);
        let two = script(folder.path(), "two", &line);
        let lego = gate(&[&one, "a b", "$HOME;"], &[]).expect("a program");
        let certbot = gate(&[&one], &[&two, "x"]).expect("programs");
        for gate in [&lego, &certbot] {
            gate.add(&place(), &TxtProof::of_value("proof"))
                .await
                .expect("it is set");
            gate.remove(&place(), &TxtProof::of_value("proof"))
                .await
                .expect("it is removed");
            gate.look().await.expect("they are there");
        }
        let told = fs::read_to_string(&log).expect("they ran");
        assert_eq!(
            told,
            "5:a b $HOME; present shop.acme.example. proof:shop.example:proof\n\
             5:a b $HOME; cleanup shop.acme.example. proof:shop.example:proof\n\
             0::shop.example:proof\n\
             1:x:shop.example:proof\n"
        );
    }

    #[tokio::test]
    async fn what_a_program_says_when_it_fails_is_told_and_one_that_does_not_end_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let bad = script(
            folder.path(),
            "bad",
            "echo first >&2; echo 'no such zone' >&2; exit 3",
        );
        let told = gate(&[&bad], &[]).expect("a program");
        let told = told
            .add(&place(), &TxtProof::of_value("proof"))
            .await
            .expect_err("it fails");
        let expected = format!("{bad} present failed (exit status: 3); it says: no such zone");
        assert_eq!(told.problem, expected);

        let slow = script(folder.path(), "slow", "sleep 1000");
        let slow = gate(&[&slow], &[]).expect("a program");
        let slow = slow.within(Duration::from_millis(50));
        let told = slow
            .add(&place(), &TxtProof::of_value("proof"))
            .await
            .expect_err("it is slow");
        assert!(
            told.problem
                .contains("has not ended within 50ms, and was killed"),
            "{told:?}"
        );

        let nowhere = gate(&["/there/is/none"], &[]).expect("a path");
        let told = nowhere
            .add(&place(), &TxtProof::of_value("proof"))
            .await
            .expect_err("it is not there");
        assert!(
            told.problem
                .starts_with("/there/is/none can't be started: "),
            "{told:?}"
        );
        let told = nowhere.look().await.expect_err("it is not there");
        assert!(
            told.problem.starts_with("/there/is/none can't be found: "),
            "{told:?}"
        );
        let text = folder.path().join("text");
        fs::write(&text, "").expect("it is written");
        let told = gate(&[&text.display().to_string()], &[])
            .expect("a path")
            .look()
            .await;
        assert!(told.expect_err("no program").problem.contains("chmod +x"));
    }

    #[test]
    fn in_a_container_and_without_a_whole_path_there_is_no_program() {
        let settings = DnsSettings {
            command: vec!["/bin/true".to_owned()],
            ..DnsSettings::default()
        };
        let told = HookGate::new(&settings, true).err().unwrap_or_default();
        assert!(
            told.starts_with("programs can't be started in a container"),
            "{told}"
        );
        let told = gate(&["hook"], &[]).err().unwrap_or_default();
        assert!(told.contains("the absolute path of a program"), "{told}");
    }
}
