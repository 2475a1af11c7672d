//! Where the bytes of a download came from, and whether an answer goes on with the same file.

use serde::{Deserialize, Serialize};
use ureq::http::HeaderMap;

/// Where the bytes that are here came from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Origin {
    /// The address.
    pub url: String,
    /// What distinguishes this file from its successor at the same address: its ETag or its date.
    pub validator: Option<String>,
    /// The length of the whole, where it was promised.
    pub length: Option<u64>,
}

impl Origin {
    /// Whether an answer from `url` goes on after the `here` bytes that came from here, in the same file.
    pub fn continues(&self, url: &str, here: u64, headers: &HeaderMap) -> bool {
        let range = headers.get("Content-Range").and_then(|value| value.to_str().ok()).and_then(range);
        let Some((from, all)) = range else { return false };
        let changed = self.url == url && self.validator.is_some() && validator(headers) != self.validator;
        from == here && !changed && (all == self.length || all.is_none() || self.length.is_none())
    }
}

/// A strong ETag, or else the date: a weak ETag does not promise the same bytes.
pub fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    text("ETag").filter(|tag| !tag.starts_with("W/")).or_else(|| text("Last-Modified"))
}

/// Where the range of an answer begins, and the length of the whole: `bytes 100-199/200`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (part, all) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = part.split_once('-')?.0.parse().ok()?;
    Some((from, all.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(range("bytes */200"), None);
        assert_eq!(range("items 1-2/3"), None);
    }

    #[test]
    fn a_weak_tag_is_no_promise() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            headers
        };
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(validator(&headers(&[("etag", "\"a\""), ("last-modified", date)])).as_deref(), Some("\"a\""));
        assert_eq!(validator(&headers(&[("etag", "W/\"a\""), ("last-modified", date)])).as_deref(), Some(date));
        assert_eq!(validator(&headers(&[("etag", "W/\"a\"")])), None);
    }
}
