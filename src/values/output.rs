use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::ReloadWord;

/// The settings of a table `[outputs.NAME]`, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputSettings {
    /// The template's file.
    pub template: Option<PathBuf>,
    /// The file that it makes.
    pub target: Option<PathBuf>,
    /// Whose it is, by a container's name or id, or by a service.
    pub consumer: Option<String>,
    /// The way to make that container reload.
    pub reload: Option<ReloadWord>,
    /// The command that is run in it before it reloads.
    pub check: Option<Vec<String>>,
}

/// A file of the user's own that `watch` keeps up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The output's name.
    pub name: String,
    /// The template's file, as quaymaster sees it.
    pub template: PathBuf,
    /// The file that it makes: as the consumer sees it, or as quaymaster does where there is no consumer.
    pub target: PathBuf,
    /// Whose it is, by a container's name or id, or by a service.
    pub consumer: Option<String>,
    /// The way to make that container reload.
    pub reload: ReloadWord,
    /// The command that is run in it before it reloads; any exit code but 0 refuses the file.
    pub check: Option<Vec<String>>,
}

/// A table that is no output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("[outputs.{name}]: {problem}")]
pub struct OutputError {
    /// The output's name.
    name: String,
    /// The problem, and the remedy.
    problem: String,
}

/// Beginnings of names of files that quaymaster writes by itself in folders of consumers, or of its own there.
const OURS: &[&str] = &["quaymaster-", ".quaymaster"];

impl OutputSettings {
    /// The whole of it.
    ///
    /// # Errors
    /// What is missing, or does not go together.
    pub fn whole(self, name: &str) -> Result<Output, OutputError> {
        let wrong = |problem: &str| OutputError {
            name: name.to_owned(),
            problem: problem.to_owned(),
        };
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(wrong("its name may have a-z, 0-9 and - alone"));
        }
        let Some(template) = self.template else {
            return Err(wrong(
                "it has no template; write template = \"/templates/….tmpl\"",
            ));
        };
        let Some(target) = self.target else {
            return Err(wrong(
                "it has no target; write the absolute path of the file that the template makes",
            ));
        };
        if self.consumer.is_none() && (self.check.is_some() || self.reload.is_some()) {
            return Err(wrong(
                "reload and check need to know who reads the file; write consumer = \"SERVICE\"",
            ));
        }
        Ok(Output {
            name: name.to_owned(),
            template,
            target,
            consumer: self.consumer,
            reload: self.reload.unwrap_or(ReloadWord::None),
            check: self.check,
        })
    }

    /// Reads the path of a file that a template makes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read_target(text: &str) -> Result<PathBuf, String> {
        let path = Path::new(text);
        let mut steps = path.components();
        let is_whole = steps.next() == Some(Component::RootDir)
            && steps.all(|step| matches!(step, Component::Normal(_)));
        let name = path.file_name().and_then(|name| name.to_str());
        match name {
            _ if !is_whole => Err("it must be an absolute path without `..`".to_owned()),
            None => Err("it has no file's name at its end".to_owned()),
            Some(_) if text.ends_with('/') => {
                Err("it is a folder; write a file's name behind it".to_owned())
            }
            Some(name) if OURS.iter().any(|start| name.starts_with(start)) => Err(format!(
                "files that begin with {} are quaymaster's own; give it another name",
                OURS.join(" or ")
            )),
            Some(_) => Ok(path.to_owned()),
        }
    }
}

impl Output {
    /// All of them, no two for the same file.
    ///
    /// # Errors
    /// When two make the same file of the same consumer.
    pub fn apart(all: Vec<Self>) -> Result<Vec<Self>, OutputError> {
        for (index, one) in all.iter().enumerate() {
            let is_same =
                |other: &&Self| (&other.target, &other.consumer) == (&one.target, &one.consumer);
            if let Some(other) = all[..index].iter().find(is_same) {
                return Err(OutputError {
                    name: one.name.clone(),
                    problem: format!(
                        "it makes the same file as [outputs.{}]; give one of them another target",
                        other.name
                    ),
                });
            }
        }
        Ok(all)
    }
}
