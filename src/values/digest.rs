use std::{
    fmt,
    hash::{Hash, Hasher},
};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// SHA-256 of some bytes; how "the same as before" is decided everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::of_parts([bytes])
    }

    /// The digest of several parts, each preceded by its length, so that `["ab", "c"]` and `["a", "bc"]` differ from
    /// each other and from `["abc"]`.
    pub fn of_parts<B: AsRef<[u8]>>(parts: impl IntoIterator<Item = B>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            let part = part.as_ref();
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// The digest of a value, of all that its `Hash` includes. Not to be kept: the next program may compute another.
    pub fn of_value(value: &impl Hash) -> Self {
        let mut told = Told(Vec::with_capacity(1024));
        value.hash(&mut told);
        Self::of(told.0)
    }

    /// The first twelve hexadecimal digits, for names of folders and for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    /// A number in `0..1` that depends on nothing but this digest: how renewals are spread without chance.
    pub fn fraction(&self) -> f64 {
        let high = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Everything that a value writes to a hasher. Gathered, because a digest of many small pieces takes longer.
struct Told(Vec<u8>);

impl Hasher for Told {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes are what is asked for")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Thousands are written at a time: a formatted write for each byte would take longer than the digest itself.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = digits
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = || format!("`{text}` is not a SHA-256 digest of 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(0..) {
            *byte = u8::from_str_radix(&text[pair * 2..pair * 2 + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(Digest::of_parts(["ab", "c"]), Digest::of_parts(["a", "bc"]));
        assert_ne!(Digest::of_parts(["ab", "c"]), Digest::of("abc"));
        assert_eq!(Digest::of_parts(["abc"]), Digest::of("abc"));
    }

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        let digest = Digest::of("quay");
        assert_eq!(Digest::try_from(digest.to_string()), Ok(digest));
        assert!(Digest::try_from("é".repeat(32)).is_err());
        assert!(Digest::try_from("zz".repeat(32)).is_err());
    }

    #[test]
    fn fractions_lie_between_nought_and_one() {
        for word in ["a", "b", "c", "d"] {
            assert!((0.0..1.0).contains(&Digest::of(word).fraction()));
        }
    }
}
