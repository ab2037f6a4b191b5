//! Files of certificates that a server's command or configuration names, against those that it is given. Only what can be
//! seen is read: the words of its command, and texts in folders that quaymaster mounts, too.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    adapters::disk,
    daemon::Survey,
    desire::{CertificateFolder, Consumer, LabelRules},
    observe::{Bearer, SharedPath, find, locate},
    report::Findings,
};

const ABOUT: &str = "names of files";

/// The beginning of the names of files that quaymaster wrote itself.
const OURS: &str = "quaymaster-";

/// Endings of files with certificates or keys.
const ENDINGS: [&str; 4] = ["crt", "key", "pem", "cer"];

/// Files of a certificate in our own folder, in addition to the two that every server reads.
const OTHERS: [&str; 2] = ["cert.pem", "chain.pem"];

/// Where every program finds the CAs that it trusts: no server's own certificate lies there.
const TRUSTED: [&str; 2] = ["/etc/ssl/certs", "/etc/pki"];

pub(super) fn look(survey: &Survey, rules: &LabelRules, told: &mut Findings) {
    for consumer in survey.desired.consumers.values() {
        let Some(bearer) = survey.snapshot.bearers.get(&consumer.name) else {
            continue;
        };
        let given = Given::to(consumer, rules);
        let mut seen = BTreeSet::new();
        let command = ("its command".to_owned(), bearer.command.join("\n"));
        let own = survey.snapshot.own.as_ref();
        for (place, text) in [command].into_iter().chain(configurations(bearer, own)) {
            let named = paths(&text);
            for path in given
                .lacking(&named)
                .filter(|path| seen.insert((*path).to_owned()))
            {
                let says = format!(
                    "{}: {place} names {}, which does not exist; it gets {}",
                    consumer.name,
                    path.display(),
                    given.shown()
                );
                told.problem(ABOUT, says, remedy(consumer));
            }
            if consumer.proxy.is_none()
                && let Some(path) = given.elsewhere(&named)
            {
                let says = format!(
                    "{}: {place} names {}, but no file in {}, where its certificates are put",
                    consumer.name,
                    path.display(),
                    given.folder.display()
                );
                told.advice(ABOUT, says, remedy(consumer));
            }
        }
    }
}

fn remedy(consumer: &Consumer) -> String {
    format!(
        "name the files that it gets, or change these with the labels {} and {}",
        consumer.said.beside("files"),
        consumer.said.beside("layout")
    )
}

/// The files that a server is given.
struct Given {
    /// The folder as it sees it.
    folder: PathBuf,
    /// The same as we see it; none where we don't.
    ours: Option<SharedPath>,
    /// The files in it, as the server sees them.
    files: BTreeSet<PathBuf>,
}

impl Given {
    fn to(consumer: &Consumer, rules: &LabelRules) -> Self {
        let used = consumer.uses.values().map(|used| &used.certificate);
        let sites = consumer.sites.values();
        let served = sites.filter_map(|site| site.certificate.as_ref());
        let mut files: BTreeSet<_> = used
            .chain(served)
            .flat_map(|name| consumer.certificates.files(name))
            .collect();
        let ours = match &consumer.certificates {
            CertificateFolder::Delivered(delivery) => delivery.to.ours().cloned(),
            CertificateFolder::Shared { .. } => {
                // It lies there with all that certbot's users know.
                let folders = files.iter().filter_map(|file| file.parent());
                let others = folders.flat_map(|folder| OTHERS.map(|file| folder.join(file)));
                files = others.chain(files.iter().cloned()).collect();
                Some(SharedPath::top(rules.certificates.join("live")))
            }
        };
        Self {
            folder: consumer.certificates.theirs().clone(),
            ours,
            files,
        }
    }

    /// Those of the paths that lead into the folder, and to nothing that is there or comes there.
    fn lacking<'p>(&self, named: &'p [PathBuf]) -> impl Iterator<Item = &'p Path> {
        let comes = |path: &Path| self.files.iter().any(|file| file.starts_with(path));
        named.iter().map(PathBuf::as_path).filter(move |path| {
            let inner = path.strip_prefix(&self.folder).ok().and_then(Path::to_str);
            let lacks = |inner| {
                let ours = self.ours.as_ref();
                ours.is_some_and(|ours| disk::lacks(&ours.join(inner)))
            };
            inner.is_some_and(|inner| !comes(path) && lacks(inner))
        })
    }

    /// The first that is called as certificates are, where none leads into the folder.
    fn elsewhere<'p>(&self, named: &'p [PathBuf]) -> Option<&'p Path> {
        let is_one = |path: &&Path| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            let is_trusted = TRUSTED.iter().any(|folder| path.starts_with(folder));
            ending.is_some_and(|ending| ENDINGS.contains(&ending)) && !is_trusted
        };
        let mut named = named.iter().map(PathBuf::as_path);
        match named.clone().any(|path| path.starts_with(&self.folder)) {
            true => None,
            false => named.find(is_one),
        }
    }

    /// The first few of its files.
    fn shown(&self) -> String {
        let shown = self.files.iter().map(|file| file.display().to_string());
        match self.files.len() {
            0 => "nothing yet".to_owned(),
            1..=4 => shown.collect::<Vec<_>>().join(", "),
            more => format!(
                "{} and {} more",
                shown.take(4).collect::<Vec<_>>().join(", "),
                more - 4
            ),
        }
    }
}

/// The whole paths in a command or configuration; those with what a server or a shell replaces are none.
fn paths(text: &str) -> Vec<PathBuf> {
    let is_comment = |line: &&str| line.trim_start().starts_with(['#', ';']);
    let ends_word = |c: char| c.is_whitespace() || "\"'`,;=:<>(){}[]|".contains(c);
    let lines = text.lines().filter(|line| !is_comment(line));
    let words = lines.flat_map(|line| line.split(ends_word));
    let is_path = |word: &&str| {
        word.len() > 1 && word.starts_with('/') && !word.contains(['$', '*', '?', '%', '\\'])
    };
    words.filter(is_path).map(PathBuf::from).collect()
}

/// Files that look like a configuration in folders that both mount, each with its path for the server; none of ours.
fn configurations(bearer: &Bearer, own: Option<&Bearer>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // On the host, what containers mount may be anything of the host's.
    let Some(own) = own else { return found };
    for mount in &bearer.mounts {
        let place = locate(&bearer.mounts, &mount.destination);
        let Some(ours) = place.and_then(|place| find(&own.mounts, &place, false)) else {
            continue;
        };
        let is_theirs = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| !name.starts_with(OURS))
        };
        let texts = disk::configurations(&SharedPath::seen(&own.mounts, ours)).into_iter();
        let theirs = texts.filter(|(path, _)| is_theirs(path));
        found.extend(
            theirs.map(|(path, text)| (mount.destination.join(path).display().to_string(), text)),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_are_found_in_commands_and_configurations_of_any_kind() {
        let text = "mosquitto\n-c\n/mosquitto/config/mosquitto.conf\n--cert=/certs/x.pem\n\
                    # certfile /old/a.pem\n certfile /certs/a.pem\nssl_cert = </certs/b.pem\n\
                    bind :443 ssl crt /certs/ strict-sni\nkey: \"/certs/c.key\"\nssl_certificate /certs/$host/d.pem;\n\
                    smtpd_tls_chain_files = /certs/e.pem, /certs/f.pem\n/ ../g.pem /certs/*.pem\n";
        let expected = [
            "/mosquitto/config/mosquitto.conf",
            "/certs/x.pem",
            "/certs/a.pem",
            "/certs/b.pem",
            "/certs/",
            "/certs/c.key",
            "/certs/e.pem",
            "/certs/f.pem",
        ];
        assert_eq!(paths(text), expected.map(PathBuf::from));
    }

    #[test]
    fn a_name_that_leads_to_nothing_is_found_and_what_is_there_or_comes_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("clients.pem"), "").expect("it is written");
        let given = Given {
            folder: "/certs".into(),
            ours: Some(SharedPath::top(folder.path())),
            files: ["/certs/shop/fullchain.pem", "/certs/shop/privkey.pem"]
                .map(PathBuf::from)
                .into(),
        };
        for (path, is_lacking, is_elsewhere) in [
            ("/certs", false, false),
            ("/certs/", false, false),
            ("/certs/shop", false, false),
            ("/certs/shop/privkey.pem", false, false),
            ("/certs/clients.pem", false, false),
            ("/certs/shop/server.key", true, false),
            ("/certs/server.pem", true, false),
            ("/certs/shop/privkey.pem/x", true, false),
            ("/certificates/x.pem", false, true),
            ("/etc/ssl/certs/ca-certificates.crt", false, false),
            ("/etc/mosquitto.conf", false, false),
        ] {
            let named = [PathBuf::from(path)];
            let lacking: Vec<_> = given.lacking(&named).collect();
            assert_eq!(!lacking.is_empty(), is_lacking, "{path}");
            assert_eq!(given.elsewhere(&named).is_some(), is_elsewhere, "{path}");
        }
        let both = ["/other/x.pem", "/certs/shop/privkey.pem"].map(PathBuf::from);
        assert_eq!(given.elsewhere(&both), None);
        assert_eq!(
            given.shown(),
            "/certs/shop/fullchain.pem, /certs/shop/privkey.pem"
        );
    }

    #[test]
    fn configurations_are_read_where_both_mount_them() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("m.conf"), "certfile /c/x.pem").expect("it is written");
        fs::write(folder.path().join("quaymaster-a.conf"), "").expect("it is written");
        let mounted = |destination: &Path| {
            let mut mount = crate::fixtures::volume("conf", "/conf", false);
            mount.destination = destination.to_owned();
            mount
        };
        let bearer = crate::fixtures::container("mqtt", 4).mount(mounted(Path::new("/conf")));
        let own = crate::fixtures::container("quaymaster", 2).mount(mounted(folder.path()));
        let expected = ("/conf/m.conf".to_owned(), "certfile /c/x.pem".to_owned());
        assert_eq!(configurations(&bearer, Some(&own)), [expected]);
        let other = crate::fixtures::container("quaymaster", 2);
        assert_eq!(configurations(&bearer, Some(&other)), []);
        assert_eq!(configurations(&bearer, None), []);
    }
}
