//! News as a program of the user's that is run: no shell, a bare environment, and an end.

use std::{collections::BTreeMap, io, path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Command, time::timeout};

use crate::{
    observe::News,
    ports::{Message, Notifier, NotifierError},
};

/// How long it may take: it may copy files to other machines.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// The variables of ours that it sees: none that may hold a secret.
const HANDED_ON: &[&str] = &["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// A program that is run for each message.
pub struct Hook {
    words: Vec<String>,
    environment: BTreeMap<String, String>,
    /// The folder of certificates.
    certificates: PathBuf,
    longest: Duration,
}

impl Hook {
    /// Nothing is run yet. Of the environment a handful of variables is handed on.
    pub fn new(
        words: Vec<String>,
        environment: &BTreeMap<String, String>,
        certificates: PathBuf,
    ) -> Self {
        let kept = environment
            .iter()
            .filter(|(name, _)| HANDED_ON.contains(&name.as_str()));
        Self {
            words,
            environment: kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            certificates,
            longest: LONGEST,
        }
    }

    /// What it is told.
    fn variables(&self, message: &Message) -> Vec<(&'static str, String)> {
        let News {
            event,
            is_over,
            level,
            names,
            text,
            certificate,
            ..
        } = &message.news;
        let mut variables = vec![
            ("NOTIFY_EVENT", event.clone()),
            ("NOTIFY_OVER", is_over.to_string()),
            ("NOTIFY_LEVEL", level.clone()),
            ("NOTIFY_NAMES", names.join(" ")),
            ("NOTIFY_TITLE", message.title.clone()),
            ("NOTIFY_TEXT", text.clone()),
            ("NOTIFY_ID", message.id.clone()),
        ];
        if let Some(name) = certificate {
            let folder = self.certificates.join("live").join(name.as_str());
            let folder = folder.display().to_string();
            variables.push(("NOTIFY_FULLCHAIN", format!("{folder}/fullchain.pem")));
            variables.push(("NOTIFY_PRIVKEY", format!("{folder}/privkey.pem")));
            if event == "obtained" {
                // As certbot calls them: a deploy hook for certbot does here what it does there.
                variables.push(("RENEWED_LINEAGE", folder.clone()));
                variables.push(("RENEWED_DOMAINS", names.join(" ")));
            }
            variables.push(("NOTIFY_CERTIFICATE", folder));
        }
        // No variable can hold this one.
        variables
            .iter_mut()
            .for_each(|(_, value)| value.retain(|c| c != '\0'));
        variables
    }
}

#[async_trait(?Send)]
impl Notifier for Hook {
    async fn send(&self, message: &Message) -> Result<(), NotifierError> {
        let [program, arguments @ ..] = &self.words[..] else {
            return Err(NotifierError::Message(
                "there are no words to run".to_owned(),
            ));
        };
        let ended = |how: String| NotifierError::Ended {
            program: program.clone(),
            how,
        };
        let not_run = |source: io::Error| NotifierError::NotRun {
            program: program.clone(),
            source,
        };
        let mut running = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .envs(self.variables(message))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What it starts ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(not_run)?;
        let group = running.id();
        let Ok(status) = timeout(self.longest, running.wait()).await else {
            if let Some(group) = group.and_then(|id| i32::try_from(id).ok()) {
                // It may have ended just now.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = running.wait().await;
            return Err(ended(format!(
                "did not end within {:?}, and was ended",
                self.longest
            )));
        };
        match status.map_err(not_run)? {
            status if status.success() => Ok(()),
            status => Err(ended(format!("ended with {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::Message,
        values::{CertificateName, Timestamp},
    };

    fn message() -> Message {
        let at = Timestamp::from_seconds(1_800_000_000);
        Message {
            id: "7-1".to_owned(),
            title: "a title".to_owned(),
            body: String::new(),
            news: News {
                event: "obtained".to_owned(),
                matter: "m".to_owned(),
                is_over: false,
                level: "info".to_owned(),
                names: vec!["shop.example".to_owned(), "www.shop.example".to_owned()],
                text: "$(touch x) \0`y` 'z'".to_owned(),
                at,
                since: at,
                certificate: CertificateName::parse("shop.example").ok(),
            },
        }
    }

    fn hook(words: &[&str]) -> Hook {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let environment = [
            ("PATH", "/usr/bin:/bin"),
            ("QUAYMASTER_DNS__A__KEY", "s3cret"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Hook::new(words, &environment.into(), "/certificates".into())
    }

    #[tokio::test]
    async fn words_are_run_without_a_shell_and_see_what_happened_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = format!("env >{}; pwd", seen.display());
        hook(&["sh", "-c", &script]).send(&message()).await.unwrap();
        let seen = std::fs::read_to_string(seen).unwrap();
        for line in [
            "NOTIFY_EVENT=obtained",
            "NOTIFY_NAMES=shop.example www.shop.example",
            "NOTIFY_TEXT=$(touch x) `y` 'z'",
            "NOTIFY_CERTIFICATE=/certificates/live/shop.example",
            "NOTIFY_PRIVKEY=/certificates/live/shop.example/privkey.pem",
            "RENEWED_LINEAGE=/certificates/live/shop.example",
            "RENEWED_DOMAINS=shop.example www.shop.example",
            "PATH=/usr/bin:/bin",
        ] {
            assert!(seen.lines().any(|seen| seen == line), "{line}: {seen}");
        }
        assert!(!seen.contains("s3cret"), "{seen}");
    }

    #[tokio::test]
    async fn how_words_end_is_told_and_words_that_never_end_are_ended_with_all_they_began() {
        let told = hook(&["sh", "-c", "exit 3"])
            .send(&message())
            .await
            .unwrap_err();
        assert_eq!(told.to_string(), "sh ended with exit status: 3");
        let told = hook(&["/no/such/program"])
            .send(&message())
            .await
            .unwrap_err();
        assert_eq!(told.to_string(), "/no/such/program can't be run");
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        let script = format!("sleep 10000 & echo $! >{}; wait", id.display());
        let mut endless = hook(&["sh", "-c", &script]);
        endless.longest = Duration::from_secs(2);
        let told = endless.send(&message()).await.unwrap_err();
        assert!(told.to_string().contains("did not end within 2s"), "{told}");
        let id: i32 = std::fs::read_to_string(id).unwrap().trim().parse().unwrap();
        // Until whoever adopts it has taken note, it is there as a zombie.
        let is_alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_alive() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
