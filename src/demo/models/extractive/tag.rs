//! The lines that open and close a passage.

/// Returns the mark and the attributes of `<passage-MARK n="1" …>`.
pub(super) fn opening(line: &str) -> Option<(&str, &str)> {
    let inner = line.strip_prefix("<passage-")?.strip_suffix('>')?;
    Some(inner.split_once(' ').unwrap_or((inner, "")))
}

pub(super) fn closing(line: &str) -> Option<&str> {
    line.strip_prefix("</passage-")?.strip_suffix('>')
}

pub(super) fn attribute(attributes: &str, name: &str) -> Option<String> {
    let label = format!("{name}=\"");
    let (at, _) =
        attributes.match_indices(&label).find(|(at, _)| *at == 0 || attributes[..*at].ends_with(' '))?;
    let (value, _) = attributes[at + label.len()..].split_once('"')?;
    let entities = [("&quot;", "\""), ("&#34;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |value, (entity, letter)| value.replace(entity, letter)))
}
