//! One page: which it is, and what is in it.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, LINK};
use serde_json::value::RawValue;
use url::Url;

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// From 1.
    pub number: u64,
    /// Items of the pages before it.
    pub offset: u64,
    pub cursor: Option<String>,
    /// Its own address, if the page before names it.
    pub url: Option<Url>,
}

/// The value at a JSON pointer.
pub(super) fn pointer<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut at = json;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match at.get().as_bytes().first()? {
            b'{' => serde_json::from_str::<BTreeMap<String, &RawValue>>(at.get()).ok()?.remove(&token)?,
            b'[' => {
                *serde_json::from_str::<Vec<&RawValue>>(at.get()).ok()?.get(token.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    Some(at)
}

/// The elements at a JSON pointer whose `*` stands for every element of an array.
pub(super) fn select<'a>(json: &'a RawValue, place: &str) -> Option<Vec<&'a RawValue>> {
    let (list, inner) = place.split_once("/*").map_or((place, ""), |(list, inner)| (list, inner));
    let list: Vec<&RawValue> = serde_json::from_str(pointer(json, list)?.get()).ok()?;
    Some(list.into_iter().filter_map(|element| pointer(element, inner)).collect())
}

/// The address with `rel="next"` in the header `Link`.
pub(super) fn link_to_next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    for link in links.flat_map(|value| value.split('<').skip(1)) {
        let Some((address, parameters)) = link.split_once('>') else { continue };
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let parameter = parameter.trim().to_ascii_lowercase().replace(['"', '\''], "");
            parameter.strip_prefix("rel=").is_some_and(|rel| rel.split(' ').any(|word| word == "next"))
        });
        if is_next {
            return Some(address.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_pointers() {
        let json = RawValue::from_string(
            r#"{"a/b":{"edges":[{"node":{"id":1.50}},{"node":{"id":2}},{}]}}"#.to_owned(),
        )
        .unwrap();
        let texts = |place: &str| {
            select(&json, place)
                .map(|found| found.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(texts("/a~1b/edges/*/node").unwrap(), [r#"{"id":1.50}"#, r#"{"id":2}"#]);
        assert_eq!(texts("/a~1b/edges").unwrap().len(), 3);
        assert_eq!((texts("/none"), texts("")), (None, None));
        assert_eq!(pointer(&json, "/a~1b/edges/1/node/id").unwrap().get(), "2");
    }

    #[test]
    fn the_next_page_is_found_in_the_link_header() {
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, value.parse().unwrap());
            link_to_next(&headers)
        };
        let two = r#"<https://s/p?page=1>; rel="prev", <https://s/p?page=3>; title="x"; rel="next last""#;
        assert_eq!(next(two).unwrap(), "https://s/p?page=3");
        assert_eq!(next("</p?page=2>; rel=next").unwrap(), "/p?page=2");
        assert_eq!(next("<https://s/p>; rel=\"prev\""), None);
    }
}
