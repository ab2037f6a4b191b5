use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};
use itertools::Itertools;
use serde::Serialize;

use super::{
    Call, Exit, Failure, arguments, block_on, forget::named, json, print, setup, take_over,
};
use crate::{
    adapters::disk::{Folders, Lock},
    observe::HeldCertificate,
    plan,
    ports::{ImportOutcome, ImportedCertificate, Imports, Standing, Vitals},
    report::{Status, explain::Works},
    values::{CertificateName, Host, Timestamp},
};

pub(super) fn arguments(command: Command) -> Command {
    let file = |name| {
        Arg::new(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
    };
    let files = file("file").action(ArgAction::Append).required(true);
    let name = Arg::new("name").long("name").value_name("NAME");
    let replace = Arg::new("replace")
        .long("replace")
        .action(ArgAction::SetTrue);
    let renew = Arg::new("renew").long("renew").action(ArgAction::SetTrue);
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue);
    command
        .arg(files.help("files with key, certificate and chain, in any order; a folder with them; or - for standard input; or \
                         the folder of certbot, lego, acme.sh, acme-companion or manuale"))
        .arg(name.help("what the certificate is called; without it, its first name"))
        .arg(replace.help("put it in the place of another of that name, which is kept in a hidden folder"))
        .arg(renew.help("let quaymaster obtain its successor in good time before it expires, instead of afterwards; \
                         always so with the folder of a client"))
        .arg(file("password-file").long("password-file").help("a file with the password of the key"))
        .arg(dry_run.help("check everything and say what would be done, and write nothing"))
        .arg(arguments::format(&["text", "json"]))
}

/// The outcome, as printed.
#[derive(Serialize)]
struct Import {
    name: CertificateName,
    /// The folder that it lies in.
    folder: PathBuf,
    outcome: &'static str,
    /// Where what had its place is kept.
    kept: Option<PathBuf>,
    certificate: HeldCertificate,
    /// The hosts that a proxy serves and it covers, by the daemon's last status.
    hosts: Vec<Host>,
    /// True if a daemon works there that takes it up.
    watched: bool,
    /// True if the outcome is a forecast: nothing was written.
    dry_run: bool,
}

/// The outcome of putting a certificate into its place, or its forecast.
pub(super) enum Put {
    Done {
        outcome: &'static str,
        /// Where what had its place is kept.
        kept: Option<PathBuf>,
    },
    /// Something else has its place, in words.
    Taken { by: String },
}

/// Puts a certificate into its place, as the options say; with `--dry-run` that is only looked at.
pub(super) fn put(
    call: &Call,
    folders: &Folders,
    name: &CertificateName,
    new: &ImportedCertificate,
) -> Result<Put, Failure> {
    let replace = call.options.get_flag("replace");
    let done = |outcome, kept| Put::Done { outcome, kept };
    if call.options.get_flag("dry-run") {
        return Ok(match folders.standing(name, new)? {
            Standing::Free => done("imported", None),
            Standing::Same => done("unchanged", None),
            Standing::Other(_) if replace => done("replaced", None),
            Standing::Other(by) => Put::Taken { by },
        });
    }
    Ok(match folders.provide(name, new, replace)? {
        ImportOutcome::Stored => done("imported", None),
        ImportOutcome::Replaced { kept } => done("replaced", Some(kept)),
        ImportOutcome::Unchanged => done("unchanged", None),
        ImportOutcome::Taken { by } => Put::Taken { by },
    })
}

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let files: Vec<_> = call
        .options
        .get_many::<PathBuf>("file")
        .unwrap_or_default()
        .cloned()
        .collect();
    let word = call.options.get_one::<String>("name");
    let name = word.map(|word| named(word)).transpose()?;
    let password_file = call.options.get_one::<PathBuf>("password-file");
    block_on(async {
        // Where certificates lie may depend on what is mounted into our container.
        let own = match call.settings.certificates {
            Some(_) => None,
            None => setup::reached(call).await?.1,
        };
        let folders = setup::folders(call, own.as_ref());
        let now = setup::now();
        if let [folder] = files.as_slice()
            && let Some(kept) = folders
                .kept_by_a_client(folder)
                .map_err(Failure::Unusable)?
        {
            if name.is_some() || password_file.is_some() {
                return Err(Failure::Usage(format!(
                    "{} is the folder of {}: --name and --password-file are for one certificate; name its files",
                    folder.display(),
                    kept.client
                )));
            }
            return take_over::run(call, &folders, &kept, now);
        }
        let import = imported(call, &folders, &files, password_file, name, now)?;
        print(&match call.wants_json() {
            true => json(&import)?,
            false => shown(&import),
        })?;
        Ok(Exit::Done)
    })
}

/// Puts the one certificate in these files into its place.
fn imported(
    call: &Call,
    folders: &Folders,
    files: &[PathBuf],
    password_file: Option<&PathBuf>,
    name: Option<CertificateName>,
    now: Timestamp,
) -> Result<Import, Failure> {
    let mut new = folders
        .gather(files, password_file.map(PathBuf::as_path), now)
        .map_err(Failure::Unusable)?;
    new.certificate.gives_way = call.options.get_flag("renew");
    let name = match name {
        Some(name) => name,
        None => called_after(&new.first_name)?,
    };
    let watched = setup::works(call, folders, now)? == Works::Well;
    let hosts = covered(folders, &new.certificate)?;
    let folder = folders.provided(&name);
    let (outcome, kept) = match put(call, folders, &name, &new)? {
        Put::Done { outcome, kept } => (outcome, kept),
        Put::Taken { by } => {
            return Err(Failure::InTheWay(format!(
                "nothing was imported: {} has {by}; give this one another --name, or put it in the place of that with --replace",
                folder.display()
            )));
        }
    };
    let dry_run = call.options.get_flag("dry-run");
    if watched && !dry_run && outcome != "unchanged" {
        // It would find it by itself, a moment later.
        Lock::nudge(&call.settings.state)?;
    }
    let ImportedCertificate { certificate, .. } = new;
    Ok(Import {
        name,
        folder,
        outcome,
        kept,
        certificate,
        hosts,
        watched,
        dry_run,
    })
}

/// The name of a certificate after its first host.
pub(super) fn called_after(first: &str) -> Result<CertificateName, Failure> {
    named(first).map_err(|_| {
        Failure::Usage(format!(
            "its first name {first:?} can't be a folder's name; say by --name what it is to be called"
        ))
    })
}

/// The hosts of proxies that a certificate covers, by the daemon's status after its last turn; none where no status can
/// be read.
fn covered(folders: &Folders, certificate: &HeldCertificate) -> Result<Vec<Host>, Failure> {
    let told = folders.status()?;
    let status = told.and_then(|text| serde_json::from_str::<Status>(&text).ok());
    let sites = status.into_iter().flat_map(|status| status.sites);
    let hosts = sites.map(|site| site.host);
    Ok(hosts
        .filter(|host| certificate.covers(host))
        .sorted()
        .dedup()
        .collect())
}

/// The words about the renewal of a certificate that was taken over.
pub(super) fn renewal(certificate: &HeldCertificate) -> String {
    match certificate.gives_way {
        true => format!(
            "quaymaster obtains its successor from {} on, if a label asks for one of its names",
            plan::due_by(certificate, false, None).at
        ),
        false => "quaymaster obtains its successor when it expires, if a label asks for one of its names; with \
                  --renew, in good time before"
            .to_owned(),
    }
}

fn shown(import: &Import) -> String {
    let Import {
        name,
        folder,
        outcome,
        kept,
        certificate,
        hosts,
        watched,
        dry_run,
    } = import;
    let folder = folder.display();
    let mut lines = vec![match *outcome {
        "unchanged" => format!("{name}: nothing to do, the same certificate lies in {folder}"),
        outcome if *dry_run => format!("{name}: would be {outcome}, in {folder}"),
        outcome => format!("{name}: {outcome}, it lies in {folder}"),
    }];
    if let Some(kept) = kept {
        lines.push(format!("  before  kept in {}", kept.display()));
    }
    lines.push(format!("  names   {}", certificate.names.iter().join(", ")));
    lines.push(format!(
        "  valid   from {} until {}",
        certificate.not_before, certificate.not_after
    ));
    lines.push(format!("  issuer  {}", certificate.issuer));
    if certificate.lacks_issuer {
        lines.push(
            "  chain   the certificate of its issuer is missing, without which most clients do not trust it; import it \
             once more together with the file of the chain (chain.pem, ca.pem), with --replace"
                .to_owned(),
        );
    }
    if !hosts.is_empty() {
        lines.push(format!("  serves  {}", hosts.iter().join(", ")));
    }
    lines.extend((*outcome != "unchanged").then(|| format!("  renewal {}", renewal(certificate))));
    if *outcome != "unchanged" && !dry_run {
        lines.push(match watched {
            true => "  next    the daemon takes it up within a second".to_owned(),
            false => {
                "  next    `quaymaster watch` or `quaymaster once` takes it up when it is started"
                    .to_owned()
            }
        });
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::held;

    fn import(outcome: &'static str) -> Import {
        Import {
            name: CertificateName::parse("shop.example").expect("a name"),
            folder: "/c/provided/shop.example".into(),
            outcome,
            kept: None,
            certificate: held(&["shop.example", "www.shop.example"]),
            hosts: vec![Host::parse("shop.example").expect("a host")],
            watched: true,
            dry_run: false,
        }
    }

    #[test]
    fn what_was_done_is_told_with_names_dates_issuer_place_and_sites() {
        let told = shown(&import("imported"));
        for words in [
            "shop.example: imported, it lies in /c/provided/shop.example\n",
            "names   shop.example, www.shop.example\n",
            "until 2030-03-17T17:46:40Z\n",
            "issuer  Test\n",
            "serves  shop.example\n",
            "the daemon takes it up within a second",
            "renewal quaymaster obtains its successor when it expires",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(!told.contains("chain "), "{told}");
        let alone = Import {
            certificate: HeldCertificate {
                lacks_issuer: true,
                ..held(&["shop.example"])
            },
            kept: Some("/c/provided/.shop.example.old".into()),
            hosts: Vec::new(),
            watched: false,
            ..import("replaced")
        };
        let told = shown(&alone);
        for words in [
            "shop.example: replaced, it lies in",
            "kept in /c/provided/.shop.example.old\n",
            "the certificate of its issuer is missing",
            "when it is started",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(!told.contains("serves"), "{told}");
        let gives_way = Import {
            certificate: HeldCertificate {
                gives_way: true,
                ..held(&["shop.example"])
            },
            ..import("imported")
        };
        let told = shown(&gives_way);
        assert!(
            told.contains("renewal quaymaster obtains its successor from 202"),
            "{told}"
        );
        let same = shown(&import("unchanged"));
        assert!(
            same.contains("nothing to do, the same") && !same.contains("next "),
            "{same}"
        );
    }

    #[test]
    fn a_certificate_is_called_after_its_first_name_and_one_that_can_not_be_a_folder_needs_another()
    {
        assert_eq!(
            called_after("*.shop.example").expect("a name").as_str(),
            "_.shop.example"
        );
        let refused = called_after("../etc").expect_err("it leads elsewhere");
        assert!(refused.to_string().contains("say by --name"), "{refused}");
    }
}
