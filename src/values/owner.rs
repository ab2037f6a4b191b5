/// Whom a file belongs to, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group; none for whichever it has.
    pub group: Option<u32>,
}

impl Owner {
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
