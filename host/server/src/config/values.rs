//! Reading one value by its kind, from the environment's text or from TOML, and saying what is allowed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::settings::Kind;
use crate::guard::AllowEntry;

/// A value that fits its kind.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Path(PathBuf),
    Listen(SocketAddr),
    Bool(bool),
    /// Counts, bytes and milliseconds.
    Number(u64),
    Text(String),
    Url(Url),
    Urls(Vec<Url>),
    Networks(Vec<IpNet>),
    Places(Vec<AllowEntry>),
}

/// Reads the text of an environment variable, a flag or a default.
pub(super) fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
    let text = text.trim();
    let wrong = || format!("`{}` is not {}", shorten(text), allowed(kind));
    match kind {
        Kind::Path if text.is_empty() => Err(wrong()),
        Kind::Path => Ok(Value::Path(PathBuf::from(text))),
        Kind::Listen => text.parse().map(Value::Listen).map_err(|_| wrong()),
        Kind::Bool => text.parse().map(Value::Bool).map_err(|_| wrong()),
        Kind::Count { min, max } | Kind::Millis { min, max } => {
            text.replace('_', "").parse().ok().and_then(|number| within(number, min, max)).ok_or_else(wrong)
        }
        Kind::Bytes { min, max } => bytes(text).and_then(|number| within(number, min, max)).ok_or_else(wrong),
        Kind::Word(words) if !words.contains(&text) => Err(wrong()),
        Kind::Word(_) | Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Url => public_url(text).map(Value::Url).ok_or_else(wrong),
        Kind::Urls => urls(listed(text)),
        Kind::Networks => networks(listed(text)),
        Kind::Places => places(listed(text)),
    }
}

/// Reads a value of the file.
pub(super) fn from_toml(kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    let wrong = || format!("{} is not {}", describe(value), allowed(kind));
    match (kind, value) {
        (Kind::Bool, DeValue::Boolean(flag)) => Ok(Value::Bool(*flag)),
        (Kind::Count { min, max } | Kind::Millis { min, max } | Kind::Bytes { min, max }, DeValue::Integer(number)) => {
            let number = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok();
            number.and_then(|number| within(number, min, max)).ok_or_else(wrong)
        }
        (Kind::Bool | Kind::Count { .. } | Kind::Millis { .. }, _) => Err(wrong()),
        (Kind::Places | Kind::Networks | Kind::Urls, DeValue::Array(entries)) => {
            let entries: Option<Vec<&str>> = entries.iter().map(|entry| entry.get_ref().as_str()).collect();
            let entries = entries.ok_or_else(wrong)?;
            match kind {
                Kind::Urls => urls(entries),
                Kind::Networks => networks(entries),
                _ => places(entries),
            }
        }
        (Kind::Places | Kind::Networks | Kind::Urls, _) => Err(wrong()),
        (_, DeValue::String(text)) => from_text(kind, text),
        _ => Err(wrong()),
    }
}

/// What a kind allows, to follow "is not".
pub(super) fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Path => "a path".to_owned(),
        Kind::Listen => "an address and port such as `127.0.0.1:8080`".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Millis { min, max } => format!("a whole number of milliseconds from {min} to {max}"),
        Kind::Bytes { min, max } => {
            format!("a number of bytes from {} to {}, such as 1048576 or \"1 MiB\"", bytes_text(min), bytes_text(max))
        }
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::Text => "a text".to_owned(),
        Kind::Url => "an address such as `https://hooks.example.com`, without query".to_owned(),
        Kind::Urls => "a list of addresses such as [\"https://hooks.example.com\"], without query".to_owned(),
        Kind::Networks => "a list of networks such as [\"10.0.0.0/8\", \"192.0.2.7\"]".to_owned(),
        Kind::Places => "a list of places such as [\"10.1.0.0/16\", \"crm.internal:8443\"]".to_owned(),
    }
}

/// Bytes for people: in the largest unit that divides them.
pub(super) fn bytes_text(bytes: u64) -> String {
    UNITS
        .iter()
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .map_or_else(|| bytes.to_string(), |(unit, size)| format!("{} {unit}", bytes / size))
}

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    match unit.trim() {
        "" | "B" => Some(number),
        unit => {
            let (_, size) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            number.checked_mul(*size)
        }
    }
}

fn within(number: u64, min: u64, max: u64) -> Option<Value> {
    (min..=max).contains(&number).then_some(Value::Number(number))
}

fn public_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    (plain && url.username().is_empty() && url.password().is_none()).then_some(url)
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn places<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let read = |entry: &str| entry.parse::<AllowEntry>().map_err(|error| error.to_string());
    all(entries, read).map(Value::Places)
}

fn networks<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let read = |entry: &str| {
        let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| format!("`{}` is no network; write `10.1.0.0/16` or an address", shorten(entry)))
    };
    all(entries, read).map(Value::Networks)
}

fn urls<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let read =
        |entry: &str| public_url(entry).ok_or_else(|| format!("`{}` is not {}", shorten(entry), allowed(Kind::Url)));
    all(entries, read).map(Value::Urls)
}

/// Every entry read, or what is wrong with each that is none.
fn all<'a, T>(
    entries: impl IntoIterator<Item = &'a str>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let (good, bad): (Vec<_>, Vec<_>) = entries.into_iter().map(read).partition(Result::is_ok);
    if bad.is_empty() {
        return Ok(good.into_iter().flatten().collect());
    }
    Err(bad.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; "))
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("`{}`", shorten(text)),
        DeValue::Integer(number) => format!("`{}`", shorten(number.as_str())),
        DeValue::Float(number) => format!("`{}`", shorten(number.as_str())),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Table(_) => "a table".to_owned(),
        other => format!("a value of type {}", other.type_str()),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_and_without_unit() {
        for (text, value) in [("0", 0), ("1_024", 1_024), ("10 MiB", 10 << 20), ("2gib", 2 << 30), ("7 B", 7)] {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for text in ["", "MiB", "10 MB", "-1", "1.5 MiB", "99999999999 TiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(bytes_text(10 << 20), "10 MiB");
        assert_eq!(bytes_text(1_025), "1025");
    }
}
