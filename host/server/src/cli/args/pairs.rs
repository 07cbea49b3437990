//! Arguments that are a pair in one word.

/// `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    if key.is_empty() { Err("the key is empty".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// `DESTINATION` or `DESTINATION=METHOD,METHOD`.
pub(super) fn fetch_grant(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, methods) = text.split_once('=').unwrap_or((text, ""));
    let methods = methods.split(',').map(str::trim).filter(|method| !method.is_empty());
    if name.is_empty() {
        Err("no destination is named".to_owned())
    } else {
        Ok((name.to_owned(), methods.map(str::to_owned).collect()))
    }
}
