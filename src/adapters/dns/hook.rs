//! Programs of the user's that set and remove a record, called as certbot and lego call theirs: words, never a shell.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

use super::{
    gate::{GateFault, RecordGate},
    place::RecordPlace,
    shown,
};
use crate::values::DnsSettings;

/// Longest time that a program may run: some wait until the record is seen.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Most bytes that are kept of a program's last words, and most characters that are shown of them.
const KEPT: usize = 4096;
const TOLD: usize = 200;

/// Beginning of our own variables: they may hold secrets of other tables, and are no business of a program's.
const OURS: &str = "QUAYMASTER_";

/// Programs that set and remove records.
pub(super) struct HookGate {
    /// Program that sets a record, with its words.
    set: Vec<String>,
    /// Program that removes it, where that is another one, as certbot has it.
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
                return Err("command and remove-command begin with the whole path of a program, as in /usr/local/bin/hook".to_owned());
            }
        }
        let remove = settings.remove_command.clone();
        Ok(Self {
            set: settings.command.clone(),
            remove: (!remove.is_empty()).then_some(remove),
            limit: LIMIT,
        })
    }

    /// Same gate with less patience.
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
        let asked = timeout(self.limit, run(&words, &place.asked, value)).await;
        let late = |_| {
            Err(format!(
                "{program} has not ended within {:?}, and was killed",
                self.limit
            ))
        };
        let (status, said) = asked.unwrap_or_else(late)?;
        if status.success() {
            return Ok(());
        }
        let said = match said.is_empty() {
            true => String::new(),
            false => format!("; it says: {said}"),
        };
        Err(format!("{program} {lego} failed ({status}){said}").into())
    }
}

/// Runs a program to its end; how it ended, and the last line that it wrote to standard error.
async fn run(words: &[String], asked: &str, value: &str) -> Result<(ExitStatus, String), String> {
    let Some((program, rest)) = words.split_first() else {
        return Err("command is missing".to_owned());
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(OURS) {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(rest)
        .env("CERTBOT_DOMAIN", asked)
        .env("CERTBOT_VALIDATION", value)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program} can't be started: {error}"))?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let mut group = Group(pid);
    let mut words = child.stderr.take();
    let mut said = Vec::new();
    let status = loop {
        // What it leaves running may hold its standard error for ever.
        tokio::select! {
            biased;
            read = async { words.as_mut()?.read_buf(&mut said).await.ok() }, if words.is_some() => {
                if read.is_none_or(|length| length == 0) {
                    words = None;
                }
                let old = said.len().saturating_sub(KEPT);
                said.drain(..old);
            }
            ended = child.wait() => break ended.map_err(|error| format!("{program} is lost: {error}"))?,
        }
    };
    group.0 = None;
    Ok((status, last_line(&said)))
}

/// A program with all that it has started; killed when it is dropped with the program still running.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let plain = line.unwrap_or_default().trim().chars();
    plain.filter(|c| !c.is_control()).take(TOLD).collect()
}

#[async_trait(?Send)]
impl RecordGate for HookGate {
    async fn add(&self, place: &RecordPlace, value: &str) -> Result<(), GateFault> {
        self.run("present", place, value).await
    }

    async fn remove(&self, place: &RecordPlace, value: &str) -> Result<(), GateFault> {
        self.run("cleanup", place, value).await
    }

    /// Looks for the programs; none is started.
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
                return Err(format!(
                    "{program} is no program: make it one that may be run (chmod +x)"
                )
                .into());
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

    /// True of a process that goes on, and does not only wait to be forgotten.
    fn runs(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with(['Z', 'X']));
        state == Some(false)
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
            gate.add(&place(), "proof").await.expect("it is set");
            gate.remove(&place(), "proof").await.expect("it is removed");
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
        let told = told.add(&place(), "proof").await.expect_err("it fails");
        let expected = format!("{bad} present failed (exit status: 3); it says: no such zone");
        assert_eq!(told.problem, expected);

        let pid = folder.path().join("pid");
        let lines = format!(
            "sleep 1000 &\necho $! > {0}.new; mv {0}.new {0}; wait",
            pid.display()
        );
        let slow = script(folder.path(), "slow", &lines);
        let slow = gate(&[&slow], &[]).expect("a program");
        let started = async {
            while !pid.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // It is cut off once it has started another one, as at an orderly end; a time that is over does the same.
        let at = place();
        tokio::select! {
            ended = slow.add(&at, "proof") => panic!("{ended:?}"),
            () = started => {}
        }
        let child = fs::read_to_string(&pid).expect("it has started one");
        while runs(child.trim()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let slow = slow.within(Duration::from_millis(50));
        let told = slow.add(&at, "proof").await.expect_err("it is slow");
        let problem = &told.problem;
        assert!(
            problem.ends_with("within 50ms, and was killed"),
            "{problem}"
        );

        // What holds its standard error goes on without it.
        let leaving = script(folder.path(), "leaving", "sleep 5 >&2 &");
        let leaving = gate(&[&leaving], &[]).expect("a program");
        leaving.add(&place(), "proof").await.expect("it has ended");

        let nowhere = gate(&["/there/is/none"], &[]).expect("a path");
        let told = nowhere
            .add(&place(), "proof")
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
        assert!(told.contains("the whole path of a program"), "{told}");
    }
}
