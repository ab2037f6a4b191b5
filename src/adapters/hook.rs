//! News as a program of the user's that is run: no shell, a bare environment, and an end.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;

use super::program::{ProgramEnd, ProgramFault, run};
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
        let program = self.words.first().cloned().unwrap_or_default();
        let environment = self.environment.clone().into_iter();
        let told = self.variables(message).into_iter();
        let told = told.map(|(name, value)| (name.into(), value.into()));
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let how = match run(&self.words, environment.chain(told), self.longest).await {
            Ok(ProgramEnd { status, .. }) if status.success() => return Ok(()),
            // What it says may hold secrets.
            Ok(ProgramEnd { status, .. }) => format!("ended with {status}"),
            Err(ProgramFault::NotStarted(source)) => {
                return Err(NotifierError::NotRun { program, source });
            }
            Err(fault) => fault.to_string(),
        };
        Err(NotifierError::Ended { program, how })
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
    async fn how_words_end_is_told() {
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
    }
}
