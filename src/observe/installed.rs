use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{PartName, Signals};
use crate::values::{CertificateName, Digest, FileName, KeyedTable, Timestamp};

/// The contents of a consumer's folder, and the progress of the consumer in taking them up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Counts the deployments to this consumer and those that were taken back; shown by its mark, so that the mark of
    /// old workers differs from that of new ones.
    pub generation: u64,
    /// Our files in its folder and what is in them.
    pub files: KeyedTable<FileName, InstalledFile>,
    /// Files there that are called like ours and were not written by us.
    #[serde(default)]
    pub foreign: BTreeSet<FileName>,
    /// The certificates that it was given, or that it read again after a reload.
    pub certificates: KeyedTable<CertificateName, Digest>,
    /// The progress of this generation.
    pub progress: Progress,
    /// True if the consumer's own tool, when last asked, refused the earlier files, too: then its user's own files are
    /// broken.
    #[serde(default)]
    pub is_own_broken: bool,
    /// The findings about what it refuses.
    #[serde(default)]
    pub trial: Trial,
    /// Time that its last reload took, from the signal until only the new generation was seen; none before the first.
    #[serde(default)]
    pub reload: Option<Duration>,
    /// True while the journal still holds the earlier files: this generation was not seen yet.
    #[serde(default)]
    pub open: bool,
    /// True if the journal's files were in use, so that a server without a configuration of ours can return to them; a
    /// first certificate replaces nothing.
    #[serde(default)]
    pub has_earlier: bool,
    /// The units that this generation brought, as long as the journal is open.
    #[serde(default)]
    pub trying: Units,
    /// By which templates its sites are made.
    #[serde(default)]
    pub templates: InstalledTemplates,
    /// The consumer's process when the files were put there.
    #[serde(default)]
    pub process: Process,
    /// The results of the signals for it.
    #[serde(default)]
    pub signals: Signals,
    /// The start of its process for which its gate was opened last; none where it was never seen to open.
    #[serde(default)]
    pub opened_for: Option<Timestamp>,
    /// The sites that are shut, by their words for files: requests get 503, whatever its configuration says.
    #[serde(default)]
    pub shut: BTreeSet<FileName>,
    /// Files of the user's that are there and that its default configuration can name.
    #[serde(default)]
    pub beside: BTreeSet<FileName>,
}

/// The folder in a consumer's for rendered files with a file for each site that is shut.
pub const CLOSED: &str = "closed";

/// By which templates the sites of a consumer are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledTemplates {
    /// The last that it was seen to take; nothing as long as it had no site.
    pub used: Option<Digest>,
    /// Those of what this generation brought, as long as the journal is open.
    pub trying: Option<Digest>,
    /// Those that it refused last.
    pub refused: Option<RefusedTemplates>,
}

/// Templates that a consumer refused, all together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedTemplates {
    /// Which.
    pub digest: Digest,
    /// The observed symptom, or the consumer's own words.
    pub reason: String,
}

impl InstalledTemplates {
    /// The refusal of these templates, if they were refused.
    pub fn refused(&self, templates: Digest) -> Option<&RefusedTemplates> {
        self.refused
            .as_ref()
            .filter(|refused| refused.digest == templates)
    }
}

/// A file of ours in a consumer's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// A digest of its content.
    pub digest: Digest,
    /// Where it leads, as it says itself; nothing where it does not pass requests on.
    pub leads_to: Box<[SocketAddr]>,
}

/// The process of a consumer, by which quaymaster sees that a file is new to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// True if it ran.
    pub running: bool,
    /// When it last started.
    pub started_at: Option<Timestamp>,
}

/// The progress of a deployment. Written down before each step, so that a crash leaves the truth behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Files may be in place; the signal, or the proof that it was followed, is owed.
    #[default]
    SignalOwed,
    /// The generation and its certificates were seen on a new connection.
    Proven {
        /// When they were seen.
        at: Timestamp,
    },
    /// The signal was sent; whether it was followed can't be seen from here.
    Unproven {
        /// The change that would make proof possible.
        reason: String,
    },
    /// The consumer ended before it showed this generation, and what was there before is back.
    TakenBack,
}

/// Parts, each with the digest of what is in it.
pub type Units = BTreeMap<PartName, Digest>;

/// The findings about what a consumer refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Refused when they came together; at least one of them is to blame. Tried by halves.
    pub doubted: Units,
    /// The other halves of those: tried when these are through.
    #[serde(default)]
    pub waiting: Units,
    /// Refused alone: held back until they change.
    pub refused: BTreeMap<PartName, Refused>,
}

/// A part that a consumer refused when it came alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The refused unit.
    pub unit: Digest,
    /// The observed symptom, or the consumer's own words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The first line of each file of ours, by which it is recognised whatever happens to our records.
const WRITTEN_BY_US: &str = "Written by quaymaster. Changes here are overwritten.";

/// The part of it that marks a file as ours.
const OURS: &str = "Written by quaymaster";

/// The beginning of a line that says where a file leads.
const LEADS_TO: &str = "Leads to ";

/// Addresses on one line: nginx takes no line of 4,096 bytes, and the longest address has 47.
const ADDRESSES_A_LINE: usize = 50;

/// The seal of a default configuration, before and behind the digest of all that follows.
const SEAL: [&str; 2] = [
    "Written by quaymaster as a default: seal ",
    ". Change anything, and the file is yours: quaymaster never writes to it again.",
];

impl InstalledFile {
    /// A text that is ours as long as nobody changes it, where `comment` begins a comment.
    pub fn sealed(comment: &str, text: &str) -> String {
        let [before, behind] = SEAL;
        format!("{comment} {before}{}{behind}\n{text}", Digest::of(text))
    }

    /// Reads the seal of such a file; none where quaymaster did not write the file, or somebody changed it.
    pub fn read_sealed(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (heading, rest) = text.split_once('\n')?;
        let (comment, _) = heading.split_once(SEAL[0])?;
        (Self::sealed(comment.strip_suffix(' ')?, rest) == text).then(|| Self {
            digest: Digest::of(bytes),
            leads_to: [].into(),
        })
    }

    /// The first lines of a file that leads to these addresses, where `comment` begins a comment.
    pub fn heading(comment: &str, leads_to: &[SocketAddr]) -> String {
        let addresses = leads_to.chunks(ADDRESSES_A_LINE).map(|some| {
            let some: Vec<_> = some.iter().map(SocketAddr::to_string).collect();
            format!("{comment} {LEADS_TO}{}\n", some.join(" "))
        });
        std::iter::once(format!("{comment} {WRITTEN_BY_US}\n"))
            .chain(addresses)
            .collect()
    }

    /// Reads a file's own lines about its content; none where quaymaster did not write it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes
            .split(|byte| *byte == b'\n')
            .map(String::from_utf8_lossy);
        lines.next().filter(|line| line.contains(OURS))?;
        let addresses = |line: &str| {
            line.split_once(LEADS_TO)?
                .1
                .split(' ')
                .map(|word| word.parse().ok())
                .collect()
        };
        let leads_to: Vec<Vec<SocketAddr>> = lines.map_while(|line| addresses(&line)).collect();
        Some(Self {
            digest: Digest::of(bytes),
            leads_to: leads_to.concat().into(),
        })
    }
}

impl Installed {
    /// When the consumer's process started, if what was seen to be taken up was seen of an earlier one.
    pub fn unseen_since(&self, started_at: Option<Timestamp>) -> Option<Timestamp> {
        let Progress::Proven { at } = self.progress else {
            return None;
        };
        // One that we started ourselves is known by its older process, and was looked at afterwards.
        started_at.filter(|start| *start > at && self.process.started_at != started_at)
    }
}

impl Trial {
    /// The parts of which anything is known.
    pub fn parts(&self) -> impl Iterator<Item = &PartName> {
        self.doubted
            .keys()
            .chain(self.waiting.keys())
            .chain(self.refused.keys())
    }

    /// Forgets what is known of parts that are of no more interest.
    pub fn retain(&mut self, is_of_interest: impl Fn(&PartName) -> bool) {
        self.doubted.retain(|part, _| is_of_interest(part));
        self.waiting.retain(|part, _| is_of_interest(part));
        self.refused.retain(|part, _| is_of_interest(part));
    }

    /// The refusal that holds this part back, if there is one.
    pub fn holds_back(&self, part: &PartName, unit: Digest) -> Option<&Refused> {
        self.refused
            .get(part)
            .filter(|refused| refused.unit == unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_ours_as_long_as_nobody_changes_a_byte() {
        let text = InstalledFile::sealed("#", "listener 1883\nlistener 8883\n");
        let read = |text: &str| InstalledFile::read_sealed(text.as_bytes());
        let ours = read(&text).expect("it is ours");
        assert_eq!(ours.digest, Digest::of(&text));
        for changed in [
            text.replace("1883", "1884"),
            text.replace("Change", "change"),
            format!("{text}\n"),
            format!("# mine\n{text}"),
            text.replace("# Written", "#Written"),
            text.lines().skip(1).collect::<Vec<_>>().join("\n"),
            text.replace('\n', "\r\n"),
            String::new(),
            "# Written by quaymaster. Changes here are overwritten.\nlistener 1883\n".to_owned(),
        ] {
            assert_eq!(read(&changed), None, "{changed}");
        }
    }

    #[test]
    fn a_file_says_where_it_leads() {
        let addresses = |count: u16| {
            (1..=count)
                .map(|port| SocketAddr::from(([10, 0, 0, 4], port)))
                .collect::<Vec<_>>()
        };
        for count in [0, 1, 50, 51, 220] {
            let text = format!(
                "{}server {{}}\n",
                InstalledFile::heading("#", &addresses(count))
            );
            let file = InstalledFile::read(text.as_bytes()).expect("it is ours");
            assert_eq!(
                (&*file.leads_to, file.digest),
                (&*addresses(count), Digest::of(&text))
            );
            assert!(text.lines().all(|line| line.len() < 4096));
        }
        let longest = "[fe80:1111:2222:3333:4444:5555:6666:7777]:65535"
            .parse::<SocketAddr>()
            .expect("an address");
        let longest = InstalledFile::heading("#", &[longest; 1000]);
        assert!(longest.lines().all(|line| line.len() < 4096));
        assert_eq!(
            InstalledFile::read(
                b"server {}\n# Written by quaymaster. Changes here are overwritten.\n"
            ),
            None
        );
        let quoted =
            b"# Written by quaymaster. Changes here are overwritten.\n# Leads to the shop\n";
        assert_eq!(
            InstalledFile::read(quoted)
                .expect("it is ours")
                .leads_to
                .len(),
            0,
            "a template may begin so"
        );
    }
}
