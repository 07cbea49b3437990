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

    /// Whether some alternative signs forms with names and values run together, as Twilio and Plivo do: then nothing
    /// proves where a name ends and its value begins.
    pub fn runs_forms_together(&self) -> bool {
        self.methods().iter().any(|method| match method {
            Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => signed.content.form().is_some(),
            _ => false,
        })
    }

    /// Whether the value of a header counts only when it is signed: an alternative that does not sign what another
    /// one signs hides it.
    pub fn signs_header(&self, name: &str) -> bool {
        self.methods().iter().flat_map(signed_headers).any(|signed| signed == name)
    }

    /// Whether a request can't be genuine without this header: every alternative signs it.
    pub fn always_signs(&self, name: &str) -> bool {
        self.methods().iter().all(|method| signed_headers(method).any(|signed| signed == name))
    }

    /// The headers that other alternatives sign and this one does not.
    pub fn unproven_by(&self, method: &Method) -> Vec<String> {
        let is_own = |name: &str| signed_headers(method).any(|own| own == name);
        self.methods().iter().flat_map(signed_headers).filter(|name| !is_own(name)).map(str::to_owned).collect()
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

/// Headers whose exact value is signed by name: variables and the timestamp.
fn signed_headers(method: &Method) -> impl Iterator<Item = &str> {
    let signed = match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => Some(signed),
        _ => None,
    };
    let pointers =
        signed.into_iter().flat_map(|signed| signed.vars.values().chain(signed.ts.iter().map(|rule| &rule.from)));
    pointers.filter_map(|pointer| match &pointer.place {
        Place::Header(name) => Some(name.as_str()),
        _ => None,
    })
}
