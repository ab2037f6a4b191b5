use std::{fmt, path::Path};

use thiserror::Error;

use super::CertificateName;

/// The files in which a server reads a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    files: Vec<LayoutFile>,
}

/// One file of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LayoutFile {
    /// Its path in the folder; `NAME` stands for the certificate's name.
    path: String,
    holds: Piece,
}

/// The content of a certificate's file, as PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// The certificate alone.
    Certificate,
    /// The certificates between it and a root.
    Chain,
    /// Both.
    Fullchain,
    /// The private key.
    PrivateKey,
    /// The private key, then the certificate with its chain.
    Combined,
}

/// A layout that has a name: a row of the layouts table.
pub struct LayoutRow {
    /// The word in the label `layout`.
    pub name: &'static str,
    /// Whose it is.
    pub doc: &'static str,
    files: &'static [(&'static str, Piece)],
}

/// A text that is no layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Neither a row nor pairs.
    #[error("{0:?} is neither a layout nor a pair such as fullchain=tls.crt")]
    Unknown(String),
    /// A file that can't be one.
    #[error("{0:?} is not a plain file name")]
    File(String),
    /// Two pieces in one file.
    #[error("{0} is named twice")]
    Twice(String),
    /// A server needs both.
    #[error("it has no {0}, without which no server can use a certificate")]
    Lacks(&'static str),
}

/// The word that stands for the certificate's name.
const NAME: &str = "NAME";

/// Every layout that has a name.
pub const LAYOUTS: &[LayoutRow] = &[
    LayoutRow {
        name: "certbot",
        doc: "a folder for each certificate, as certbot's live/",
        files: &[
            ("NAME/cert.pem", Piece::Certificate),
            ("NAME/chain.pem", Piece::Chain),
            ("NAME/fullchain.pem", Piece::Fullchain),
            ("NAME/privkey.pem", Piece::PrivateKey),
        ],
    },
    LayoutRow {
        name: "flat",
        doc: "certbot's files without a folder, for one certificate",
        files: &[
            ("cert.pem", Piece::Certificate),
            ("chain.pem", Piece::Chain),
            ("fullchain.pem", Piece::Fullchain),
            ("privkey.pem", Piece::PrivateKey),
        ],
    },
    LayoutRow {
        name: "server",
        doc: "one certificate with its chain, and its key",
        files: &[
            ("server.crt", Piece::Fullchain),
            ("server.key", Piece::PrivateKey),
        ],
    },
    LayoutRow {
        name: "nginx-proxy",
        doc: "as nginx-proxy reads them",
        files: &[
            ("NAME.crt", Piece::Fullchain),
            ("NAME.key", Piece::PrivateKey),
        ],
    },
    LayoutRow {
        name: "combined",
        doc: "key, certificate and chain in one file, as haproxy reads a folder",
        files: &[("NAME.pem", Piece::Combined)],
    },
    LayoutRow {
        name: "manuale",
        doc: "the four files of manuale: key, certificate, certificate with its chain, chain",
        files: &[
            ("NAME.pem", Piece::PrivateKey),
            ("NAME.crt", Piece::Certificate),
            ("NAME.chain.crt", Piece::Fullchain),
            ("NAME.intermediate.crt", Piece::Chain),
        ],
    },
];

impl LayoutRow {
    /// Its files, each with the word for what it holds.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.files.iter().map(|(path, piece)| (*path, piece.word()))
    }
}

impl Piece {
    const WORDS: &[(&str, Self)] = &[
        ("cert", Self::Certificate),
        ("chain", Self::Chain),
        ("fullchain", Self::Fullchain),
        ("privkey", Self::PrivateKey),
        ("combined", Self::Combined),
    ];

    fn word(self) -> &'static str {
        let row = Self::WORDS.iter().find(|(_, piece)| *piece == self);
        row.map_or("", |(word, _)| word)
    }

    /// True if the private key is in it.
    pub fn has_key(self) -> bool {
        matches!(self, Self::PrivateKey | Self::Combined)
    }
}

impl Layout {
    /// Reads the name of a layout, or pairs such as `fullchain=tls.crt, privkey=tls.key`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        if let Some(row) = LAYOUTS.iter().find(|row| row.name == text) {
            return Ok(Self::of(row));
        }
        let words = text.split([',', ' ', '\t', '\n', '\r']);
        let files = words
            .filter(|word| !word.is_empty())
            .map(LayoutFile::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let layout = Self { files };
        layout.complete()?;
        Ok(layout)
    }

    /// The layout of a row.
    pub fn of(row: &LayoutRow) -> Self {
        let files = row.files.iter().map(|(path, holds)| LayoutFile {
            path: (*path).to_owned(),
            holds: *holds,
        });
        Self {
            files: files.collect(),
        }
    }

    fn complete(&self) -> Result<(), LayoutError> {
        if self.files.is_empty() {
            return Err(LayoutError::Unknown(String::new()));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(file) = self.files.iter().find(|file| !seen.insert(&file.path)) {
            return Err(LayoutError::Twice(file.path.clone()));
        }
        let has = |pieces: &[Piece]| self.files.iter().any(|file| pieces.contains(&file.holds));
        if !has(&[Piece::PrivateKey, Piece::Combined]) {
            return Err(LayoutError::Lacks("privkey"));
        }
        match has(&[Piece::Certificate, Piece::Fullchain, Piece::Combined]) {
            true => Ok(()),
            false => Err(LayoutError::Lacks("cert or fullchain")),
        }
    }

    /// True if it has a folder for each certificate.
    pub fn has_folders(&self) -> bool {
        self.files.iter().any(|file| file.path.contains('/'))
    }

    /// True if it has room for one certificate alone.
    pub fn is_for_one(&self) -> bool {
        !self.files.iter().any(|file| file.path.contains(NAME))
    }

    /// The files of a certificate, each by its name without a folder, and what it holds.
    pub fn files(&self, name: &CertificateName) -> impl Iterator<Item = (String, Piece)> {
        self.files.iter().map(move |file| {
            let path = file.path.replace(NAME, name.as_str());
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            (name, file.holds)
        })
    }

    /// The files of a certificate, each by its path in the server's folder.
    pub fn paths(&self, name: &CertificateName) -> impl Iterator<Item = String> {
        self.files
            .iter()
            .map(move |file| file.path.replace(NAME, name.as_str()))
    }

    /// The path of the file with the certificate, and its chain if any file has both, and that of the file with the key.
    pub fn pair(&self, name: &CertificateName) -> Option<[String; 2]> {
        let first = |pieces: &[Piece]| {
            let mut files = pieces
                .iter()
                .filter_map(|piece| self.files.iter().find(|file| file.holds == *piece));
            files
                .next()
                .map(|file| file.path.replace(NAME, name.as_str()))
        };
        let certificate = first(&[Piece::Fullchain, Piece::Combined, Piece::Certificate])?;
        Some([certificate, first(&[Piece::PrivateKey, Piece::Combined])?])
    }

    /// Number of files of each certificate.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// The name of the certificate whose own file lies at this path in the folder; where a name is no part of the path,
    /// the file's name without its ending.
    pub fn name_at(&self, path: &Path) -> Option<CertificateName> {
        let text = path.to_str()?;
        let mut files = self.files.iter();
        let file = files.find(|file| !matches!(file.holds, Piece::PrivateKey | Piece::Chain))?;
        let word = match file.path.split_once(NAME) {
            Some((before, after)) => text.strip_prefix(before)?.strip_suffix(after)?,
            None if text == file.path => text.split_once('.').map_or(text, |(stem, _)| stem),
            None => return None,
        };
        CertificateName::parse(word).ok()
    }

    /// True if a file of some certificate could lie at this path in the server's folder.
    pub fn may_hold(&self, path: &Path) -> bool {
        let is_one = |pattern: &str| match pattern.split_once(NAME) {
            Some((before, after)) => {
                let text = path.to_str().unwrap_or_default();
                let name = text
                    .strip_prefix(before)
                    .and_then(|it| it.strip_suffix(after));
                name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
            }
            None => path == Path::new(pattern),
        };
        self.files.iter().any(|file| is_one(&file.path))
    }
}

impl LayoutFile {
    fn parse(pair: &str) -> Result<Self, LayoutError> {
        let unknown = || LayoutError::Unknown(pair.to_owned());
        let (piece, path) = pair.split_once('=').ok_or_else(unknown)?;
        let row = Piece::WORDS.iter().find(|(word, _)| *word == piece);
        let (_, holds) = row.ok_or_else(unknown)?;
        // Hidden ones are ours.
        let is_plain = !path.is_empty()
            && path.len() <= 100
            && !path.starts_with('.')
            && path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        match is_plain {
            true => Ok(Self {
                path: path.to_owned(),
                holds: *holds,
            }),
            false => Err(LayoutError::File(path.to_owned())),
        }
    }
}

impl fmt::Display for Layout {
    /// The name of its row, else its pairs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = LAYOUTS.iter().find(|row| Self::of(row) == *self) {
            return f.write_str(row.name);
        }
        let pairs = self.files.iter();
        let pairs = pairs.map(|file| format!("{}={}", file.holds.word(), file.path));
        f.write_str(&pairs.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_knows_where_its_files_may_lie() {
        let may = |layout: &str, path: &str| {
            let layout = Layout::parse(layout).expect("a layout");
            layout.may_hold(Path::new(path))
        };
        for (layout, path) in [
            ("certbot", "a.example/privkey.pem"),
            ("flat", "privkey.pem"),
            ("nginx-proxy", "a.example.key"),
            ("fullchain=NAME-1.crt, privkey=x", "a-1.crt"),
        ] {
            assert!(may(layout, path), "{layout} {path}");
        }
        for (layout, path) in [
            ("certbot", "privkey.pem"),
            ("certbot", "a/b/privkey.pem"),
            ("flat", "a.example/privkey.pem"),
            ("nginx-proxy", ".key"),
            ("nginx-proxy", "a.example/b.key"),
            ("server", "app.conf"),
            ("server", ""),
        ] {
            assert!(!may(layout, path), "{layout} {path}");
        }
    }

    #[test]
    fn every_layout_has_a_file_for_the_chain_and_one_for_the_key() {
        let name = CertificateName::parse("a.example").expect("a name");
        for (layout, expected) in [
            (
                "certbot",
                ["a.example/fullchain.pem", "a.example/privkey.pem"],
            ),
            ("flat", ["fullchain.pem", "privkey.pem"]),
            ("combined", ["a.example.pem"; 2]),
            ("manuale", ["a.example.chain.crt", "a.example.pem"]),
            ("cert=a.crt, privkey=a.key", ["a.crt", "a.key"]),
        ] {
            let layout = Layout::parse(layout).expect("a layout");
            assert_eq!(layout.pair(&name), Some(expected.map(str::to_owned)));
        }
    }

    #[test]
    fn a_layout_is_a_row_or_pairs() {
        for row in LAYOUTS {
            let layout = Layout::parse(row.name).expect("a row");
            assert_eq!(layout.complete(), Ok(()), "{}", row.name);
            assert_eq!(layout.to_string(), row.name);
        }
        let pairs = "fullchain=tls.crt, privkey=tls.key";
        let layout = Layout::parse(pairs).expect("pairs");
        assert_eq!(layout.to_string(), pairs);
        assert!(layout.is_for_one() && !layout.has_folders());
        let named = Layout::parse("combined=NAME.pem").expect("a pair");
        assert_eq!(named, Layout::parse("combined").expect("a row"));
        let name = CertificateName::parse("_.x.example").expect("a name");
        let paths: Vec<_> = named.paths(&name).collect();
        assert_eq!(paths, ["_.x.example.pem"]);
        let certbot = Layout::parse("certbot").expect("a row");
        let files: Vec<_> = certbot.files(&name).map(|(file, _)| file).collect();
        assert_eq!(files[3], "privkey.pem");
        assert_eq!(
            certbot.paths(&name).last().as_deref(),
            Some("_.x.example/privkey.pem")
        );
    }

    #[test]
    fn what_no_server_could_use_is_no_layout() {
        for (text, said) in [
            ("", "neither"),
            ("certbot2", "neither"),
            ("key=a.key", "neither"),
            ("privkey=a.key", "no cert or fullchain"),
            ("fullchain=a.crt", "no privkey"),
            ("fullchain=a, privkey=a", "named twice"),
            ("fullchain=../a.crt, privkey=b", "not a plain file name"),
            ("fullchain=.a.crt, privkey=b", "not a plain file name"),
            ("fullchain=a/b.crt, privkey=b", "not a plain file name"),
            ("fullchain=, privkey=b", "not a plain file name"),
        ] {
            let error = Layout::parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
