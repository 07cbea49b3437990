//! Where the items of a batch stand in its body.
//!
//! Identity extraction names an item by JSON pointer; the store keeps its byte range, so that a handler gets the
//! item exactly as the provider wrote it and no body is stored twice. The array that holds the items is split once,
//! however many items it has.

use serde_json::value::RawValue;

/// The byte range of each item; `None` for the whole body, also when a pointer leads nowhere.
pub(super) fn ranges<'a>(body: &[u8], pointers: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<(u64, u64)>> {
    let mut split: Option<(&str, Vec<&RawValue>)> = None;
    pointers
        .map(|pointer| {
            let (parent, index) = pointer?.rsplit_once('/')?;
            if split.as_ref().is_none_or(|(of, _)| *of != parent) {
                split = Some((parent, array_at(body, parent)?));
            }
            let (_, items) = split.as_ref()?;
            range_of(body, items.get(index.parse::<usize>().ok()?)?)
        })
        .collect()
}

fn array_at<'b>(body: &'b [u8], pointer: &str) -> Option<Vec<&'b RawValue>> {
    let mut value: &RawValue = serde_json::from_slice(body).ok()?;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        value = match part.parse::<usize>() {
            Ok(index) if value.get().starts_with('[') => {
                serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(index).copied()?
            }
            _ => member(value, &part)?,
        };
    }
    serde_json::from_str(value.get()).ok()
}

fn member<'b>(object: &'b RawValue, name: &str) -> Option<&'b RawValue> {
    let members: std::collections::BTreeMap<std::borrow::Cow<'b, str>, &'b RawValue> =
        serde_json::from_str(object.get()).ok()?;
    members.get(name).copied()
}

fn range_of(body: &[u8], item: &RawValue) -> Option<(u64, u64)> {
    let start = (item.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start + item.get().len();
    (end <= body.len()).then_some((start as u64, end as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(body: &'a str, pointers: &[&str]) -> Vec<Option<&'a str>> {
        ranges(body.as_bytes(), pointers.iter().map(|pointer| Some(*pointer)))
            .into_iter()
            .map(|range| range.map(|(start, end)| &body[start as usize..end as usize]))
            .collect()
    }

    #[test]
    fn items_are_the_providers_own_bytes() {
        let root = r#"[ {"a": 1} , {"b":2}]"#;
        assert_eq!(texts(root, &["/0", "/1", "/2"]), [Some(r#"{"a": 1}"#), Some(r#"{"b":2}"#), None]);
        let nested = r#"{"value":[1, "zwei"],"x":{"y/z":[[7]]}}"#;
        assert_eq!(texts(nested, &["/value/1", "/x/y~1z/0/0"]), [Some(r#""zwei""#), Some("7")]);
    }

    #[test]
    fn what_leads_nowhere_is_the_whole_body() {
        assert_eq!(texts("{}", &["/value/0", "", "/x"]), [None, None, None]);
        assert_eq!(texts("no json", &["/0"]), [None]);
    }
}
