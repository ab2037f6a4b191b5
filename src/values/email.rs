/// An e-mail address as CAs take one, or what is wrong with it. None begins with a hyphen: it may stand among the words of
/// a command.
///
/// # Errors
/// When it is none.
pub fn email(value: &str) -> Result<String, String> {
    let is_plain = value.chars().all(|c| c.is_ascii_graphic()) && !value.starts_with('-');
    match value.split_once('@') {
        Some((name, host))
            if is_plain && !name.is_empty() && host.contains('.') && !host.contains('@') =>
        {
            Ok(value.to_owned())
        }
        _ => Err("it is not an e-mail address".to_owned()),
    }
}
