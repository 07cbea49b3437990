//! The text that a signature covers, as a template: `{id}.{ts}.{body}`.
//!
//! A template is literals and names in braces. Built-in names are `body`, `ts`, `method`, `url`, `secret`,
//! `form:twilio` and `form:plivo`; any other name is a variable of the scheme. Values go in exactly as they came, so
//! what is hashed is what was sent. Verification feeds the segments one by one, so no second copy of a body is made.

use std::fmt;

use crate::signature::forms::Form;

/// Longest template in bytes; real ones have fewer than forty.
pub const TEMPLATE_BYTES_MAX: usize = 256;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    segments: Vec<Segment>,
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as it stands.
    Literal(String),
    /// The raw body.
    Body,
    /// The timestamp's exact text.
    Timestamp,
    /// The method.
    Method,
    /// The public URL with the request's raw query.
    Url,
    /// The secret itself (plain digests only).
    Secret,
    /// A provider's rendering of URL or form.
    Form(Form),
    /// A variable of the scheme.
    Var(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace is not closed, or closed without being opened")]
    Brace,
    /// An empty or impossible name.
    #[error("`{{{0}}}` is no name; letters, digits, `_` and `-` are allowed, and form:twilio, form:plivo")]
    Name(String),
    /// Empty or too long.
    #[error("a template has 1 to {TEMPLATE_BYTES_MAX} bytes")]
    Length,
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::Length);
        }
        let mut segments = Vec::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find(['{', '}']) {
            if !rest[open..].starts_with('{') {
                return Err(TemplateError::Brace);
            }
            push_literal(&mut segments, &rest[..open]);
            let close = rest[open..].find('}').ok_or(TemplateError::Brace)? + open;
            segments.push(segment(&rest[open + 1..close])?);
            rest = &rest[close + 1..];
        }
        push_literal(&mut segments, rest);
        Ok(Template { segments })
    }
}

fn push_literal(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Literal(text.to_owned()));
    }
}

fn segment(name: &str) -> Result<Segment, TemplateError> {
    Ok(match name {
        "body" => Segment::Body,
        "ts" => Segment::Timestamp,
        "method" => Segment::Method,
        "url" => Segment::Url,
        "secret" => Segment::Secret,
        "form:twilio" => Segment::Form(Form::Twilio),
        "form:plivo" => Segment::Form(Form::Plivo),
        _ if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') => {
            Segment::Var(name.to_owned())
        }
        _ => return Err(TemplateError::Name(name.to_owned())),
    })
}

impl Template {
    /// The pieces, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a piece occurs.
    pub fn has(&self, wanted: &Segment) -> bool {
        self.segments.contains(wanted)
    }

    /// The form canonicaliser, when there is one.
    pub fn form(&self) -> Option<Form> {
        self.segments.iter().find_map(|segment| match segment {
            Segment::Form(form) => Some(*form),
            _ => None,
        })
    }

    /// Whether the signed text depends on the public URL.
    pub fn needs_url(&self) -> bool {
        self.has(&Segment::Url) || self.form() == Some(Form::Plivo)
    }

    /// The names of the variables, in order.
    pub fn vars(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Var(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => f.write_str(text),
            Segment::Body => f.write_str("{body}"),
            Segment::Timestamp => f.write_str("{ts}"),
            Segment::Method => f.write_str("{method}"),
            Segment::Url => f.write_str("{url}"),
            Segment::Secret => f.write_str("{secret}"),
            Segment::Form(Form::Twilio) => f.write_str("{form:twilio}"),
            Segment::Form(Form::Plivo) => f.write_str("{form:plivo}"),
            Segment::Var(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_cut_into_segments() {
        let template = Template::try_from("v0:{ts}:{body}".to_owned()).unwrap();
        assert_eq!(
            template.segments(),
            [Segment::Literal("v0:".into()), Segment::Timestamp, Segment::Literal(":".into()), Segment::Body]
        );
        assert_eq!(template.to_string(), "v0:{ts}:{body}");
        for bad in ["", "{", "}", "{}", "{a b}", "a{body", "{form:x}", "{{body}}"] {
            assert!(Template::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
