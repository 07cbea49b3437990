//! What a scheme's proof covers: the facts behind "who could change what".
//!
//! Help texts and the admin API show them; tests hold each preset's own claims against them.

use crate::pointer::Place;
use crate::signature::model::{Jwt, Method, Signed};
use crate::signature::scheme::Scheme;
use crate::signature::template::Segment;

/// What is covered, whichever alternative of the scheme holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Every byte of the body. `false` when only some requests prove theirs.
    pub body: bool,
    /// The public URL with its query.
    pub url: bool,
    /// The method.
    pub method: bool,
    /// Whether a request grows stale.
    pub window: bool,
}

impl Scheme {
    /// What all alternatives of a scheme cover.
    pub fn coverage(&self) -> Coverage {
        let all = Coverage { body: true, url: true, method: true, window: true };
        self.methods().iter().map(of).fold(all, |left, right| Coverage {
            body: left.body && right.body,
            url: left.url && right.url,
            method: left.method && right.method,
            window: left.window && right.window,
        })
    }

    /// Whether the value of a header is signed under every alternative.
    pub fn signs_header(&self, name: &str) -> bool {
        self.methods().iter().all(|method| match method {
            Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => signs(signed, name),
            _ => false,
        })
    }
}

fn of(method: &Method) -> Coverage {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => of_signed(signed),
        Method::Jwt(jwt) => of_jwt(jwt),
        Method::Token(_) | Method::Basic(_) | Method::Url(_) | Method::Code(_) => {
            Coverage { body: false, url: false, method: false, window: false }
        }
    }
}

fn of_signed(signed: &Signed) -> Coverage {
    Coverage {
        body: !signed.allow_uncovered_body || signed.content.has(&Segment::Body),
        url: signed.content.needs_url(),
        method: signed.content.has(&Segment::Method),
        window: signed.ts.as_ref().is_some_and(|rule| rule.has_window()),
    }
}

fn of_jwt(jwt: &Jwt) -> Coverage {
    let body = jwt.body_hash.as_ref().is_some_and(|hash| hash.required);
    Coverage { body, url: false, method: false, window: true }
}

fn signs(signed: &Signed, name: &str) -> bool {
    let is_header = |place: &Place| matches!(place, Place::Header(header) if header == name);
    signed.vars.values().any(|pointer| is_header(&pointer.place))
        || signed.ts.as_ref().is_some_and(|rule| is_header(&rule.from.place))
}
