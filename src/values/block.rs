use std::{collections::BTreeSet, fmt, net::IpAddr};

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    address: IpAddr,
    length: u8,
}

impl Block {
    /// Reads an address, or one with the length of its network's prefix.
    ///
    /// # Errors
    /// When it is neither, with an example.
    pub fn parse(word: &str) -> Result<Self, String> {
        let wrong =
            || format!("{word:?} is not an address or a block of addresses, such as 10.0.0.0/8");
        let (address, length) = word
            .split_once('/')
            .map_or((word, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(longest), |length| {
            length.parse::<u8>().map_err(|_| wrong())
        })?;
        if length > longest {
            Err(wrong())
        } else {
            Ok(Self { address, length })
        }
    }
}

impl Block {
    /// Reads several, separated by commas or blanks, at least one; each is kept once.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let words = text
            .split([',', ' ', '\t', '\n', '\r'])
            .filter(|word| !word.is_empty());
        let blocks = words.map(Self::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if blocks.is_empty() {
            Err("it names no address".to_owned())
        } else {
            Ok(blocks.into_iter().collect())
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_addresses_with_a_length() {
        for (text, block) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(
                Block::parse(text).map(|block| block.to_string()),
                Ok(block.to_owned())
            );
        }
        for text in [
            "10.0.0.0/33",
            "10.0.0/8",
            "all",
            "10.0.0.0/8;",
            "10.0.0.0/-1",
            "::1/129",
            "/8",
        ] {
            assert!(Block::parse(text).is_err(), "{text:?}");
        }
    }
}
