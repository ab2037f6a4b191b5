//! Attributes of attributes, as filters take them: `labels.virtual-host`, `ports.tcp.first_value`, `0`.

use minijinja::{Error, value::Value};

use super::texts::Texts;

/// The value at a path. An undefined value on the way gives the default, where there is one.
///
/// # Errors
/// When an attribute is asked of what is undefined.
pub(super) fn at(item: &Value, path: &Value, default: Option<&Value>) -> Result<Value, Error> {
    let Some(path) = path.as_str() else {
        return item.get_item(path);
    };
    let mut found = item.clone();
    let mut rest = path;
    loop {
        // A text has no attributes, so that all of the rest is the name of one label.
        if let Some(texts) = found.downcast_object_ref::<Texts>() {
            return Ok(Value::from(texts.find(rest).unwrap_or_default()));
        }
        let (part, behind) = rest.split_once('.').unwrap_or((rest, ""));
        found = match part.parse::<usize>() {
            Ok(index) => found.get_item_by_index(index)?,
            Err(_) => found.get_attr(part)?,
        };
        if let (true, Some(default)) = (found.is_undefined(), default) {
            found = default.clone();
        }
        if !rest.contains('.') {
            return Ok(found);
        }
        rest = behind;
    }
}

/// Of a path to a label whose name has dots, the name.
pub(super) fn dotted_label(path: &str) -> Option<&str> {
    path.strip_prefix("labels.")
        .filter(|name| name.contains('.'))
}
