/// Whom a file belongs to, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group; none for whichever it has.
    pub group: Option<u32>,
}

/// Whom keys belong to, and who may read them; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAccess {
    /// Whom they belong to.
    pub owner: Option<Owner>,
    /// Their mode.
    pub mode: Option<u32>,
}

impl KeyAccess {
    /// Reads the mode of a file that holds a key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn mode_of(text: &str) -> Result<u32, &'static str> {
        let is_octal =
            matches!(text.len(), 3 | 4) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
        match mode {
            None => Err("it is not a mode in octal digits"),
            Some(mode) if mode & 0o7137 != 0 => {
                Err("others could read the key, or files could be run")
            }
            Some(mode) if mode & 0o400 == 0 => Err("its owner could not read the key"),
            Some(mode) => Ok(mode),
        }
    }
}

impl Owner {
    /// The problem with a text that is no owner.
    pub const NO_OWNER: &str = "it is not a user number, such as 33 or 33:33";

    /// True if `other` has this user, and this group where it is set.
    pub fn is_in(self, other: Option<Self>) -> bool {
        let same_group = |other: Self| self.group.is_none() || self.group == other.group;
        other.is_some_and(|other| self.user == other.user && same_group(other))
    }

    /// Reads `33` or `33:33`, and `33:nginx` without the group, whose number is not known here.
    pub fn of_container(text: &str) -> Option<Self> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, number(group)),
            None => (text, None),
        };
        let user = number(user)?;
        Some(Self { user, group })
    }

    /// Reads `33` or `33:33`.
    pub fn parse(text: &str) -> Option<Self> {
        let owner = Self::of_container(text)?;
        (text.contains(':') == owner.group.is_some()).then_some(owner)
    }
}

fn number(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_number_or_two() {
        let owner = |user, group| Some(Owner { user, group });
        assert_eq!(Owner::parse("33"), owner(33, None));
        assert_eq!(Owner::parse("33:34"), owner(33, Some(34)));
        for text in [
            "",
            "www-data",
            "33:www-data",
            "+33",
            "33:",
            ":33",
            "-1",
            "4294967296",
            "33:33:33",
        ] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
        assert_eq!(Owner::of_container("33:www-data"), owner(33, None));
        assert_eq!(Owner::of_container("nginx"), None);
    }
}
