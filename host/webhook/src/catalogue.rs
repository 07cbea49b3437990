//! The presets as a table: what people compare when they choose, and what they may rely on.
//!
//! Everything is read from the presets and their schemes, so that documentation, `creel presets` and the engines can't
//! disagree. `docs/providers.md` is [`markdown`]; a test keeps it current.

use std::fmt::Write as _;

use crate::pointer::{Place, Pointer};
use crate::preset::{Preset, Replay, presets};
use crate::provider::{Handshake, Parts, Provider};
use crate::signature::describe;
use crate::signature::scheme::Scheme;

/// What a preset promises, in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// The preset.
    pub preset: String,
    /// The provider, for people.
    pub provider: String,
    /// One sentence for people who choose.
    pub summary: String,
    /// How a request proves itself.
    pub auth: String,
    /// What the proof covers.
    pub covers: Vec<&'static str>,
    /// What could be changed on the way without the proof failing: parts of the request, and pointers that are read.
    pub not_covered: Vec<String>,
    /// Greetings that the host answers.
    pub handshakes: Vec<String>,
    /// Where the id stands; parts of one id are joined by `+`.
    pub id: Vec<String>,
    /// Where the type stands.
    pub kind: Vec<String>,
    /// Where the subject stands.
    pub subject: Vec<String>,
    /// Whether the sender uses the answer, and for which types.
    pub reply: String,
    /// What keeps an old request from being sent again.
    pub replay: String,
    /// Parameters; those marked `*` must be set.
    pub params: Vec<String>,
    /// Where the provider documents its webhooks.
    pub docs: Option<String>,
}

/// The facts of a preset.
pub fn facts(preset: &Preset) -> Facts {
    // A scheme needs values for its required parameters; their names say enough.
    let required = preset.params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
    let params = required.map(|spec| (spec.name.clone(), format!("its-{}", spec.name))).collect();
    let scheme = preset.scheme(&params).ok();
    let provider = &preset.provider;
    let auth: Vec<String> = scheme.iter().flat_map(Scheme::methods).map(describe::method).collect();
    Facts {
        preset: preset.name.clone(),
        provider: provider.title.clone(),
        summary: preset.summary.clone(),
        auth: auth.join("; or "),
        covers: scheme.as_ref().map(covers).unwrap_or_default(),
        not_covered: scheme.as_ref().map(|scheme| not_covered(scheme, provider)).unwrap_or_default(),
        handshakes: provider.handshakes.iter().map(handshake).collect(),
        id: provider.event.id.iter().map(parts).collect(),
        kind: provider.event.kind.iter().map(parts).collect(),
        subject: provider.event.subject.iter().map(Pointer::to_string).collect(),
        reply: reply(provider),
        replay: replay(preset, scheme.as_ref()),
        params: preset.params.iter().map(param).collect(),
        docs: provider.docs.clone(),
    }
}

fn covers(scheme: &Scheme) -> Vec<&'static str> {
    let coverage = scheme.coverage();
    let all = [(coverage.body, "body"), (coverage.url, "URL"), (coverage.method, "method"), (coverage.window, "time")];
    all.into_iter().filter(|(covered, _)| *covered).map(|(_, name)| name).collect()
}

fn not_covered(scheme: &Scheme, provider: &Provider) -> Vec<String> {
    let coverage = scheme.coverage();
    let ends = !scheme.runs_forms_together();
    let all =
        [(coverage.body, "body"), (ends, "ends of form names"), (coverage.url, "URL"), (coverage.method, "method")];
    let mut open: Vec<String> =
        all.into_iter().filter(|(covered, _)| !covered).map(|(_, name)| name.to_owned()).collect();
    let rules = &provider.event;
    let read = [&rules.id, &rules.kind].into_iter().flat_map(|list| reached(list, scheme)).flat_map(Parts::pointers);
    let read = read.chain(&rules.subject);
    for pointer in read.chain(rules.time.iter().map(|rule| &rule.from)) {
        let is_open = matches!(&pointer.place, Place::Header(name) if !scheme.signs_header(name));
        let text = pointer.to_string();
        if is_open && !open.contains(&text) {
            open.push(text);
        }
    }
    open
}

/// The beginning of a list that is ever read: what stands behind a value that is always there never counts.
fn reached<'p>(list: &'p [Parts], scheme: &Scheme) -> &'p [Parts] {
    let is_there = |pointer: &Pointer| matches!(&pointer.place, Place::Header(name) if scheme.always_signs(name));
    match list.iter().position(|parts| parts.pointers().iter().all(is_there)) {
        Some(last) => &list[..=last],
        None => list,
    }
}

fn parts(parts: &Parts) -> String {
    parts.pointers().iter().map(Pointer::to_string).collect::<Vec<_>>().join(" + ")
}

fn handshake(handshake: &Handshake) -> String {
    let proof = if handshake.after_auth { "signed" } else { "without proof" };
    let when = handshake.when.to_string();
    let when = if when.is_empty() { String::new() } else { format!(" {when}") };
    format!("{}{when}, {proof}", handshake.method)
}

/// The rules in their order, of which the first that matches counts, and then what all other types get.
fn reply(provider: &Provider) -> String {
    let rules = provider.reply.rules.iter().filter(|rule| rule.sync || rule.types.to_string() != "*");
    let told = |rule: &crate::provider::ReplyRule| match (rule.sync, rule.budget_ms) {
        (true, Some(budget)) => format!("{}: answer within {budget} ms", rule.types),
        (true, None) => format!("{}: answer", rule.types),
        (false, _) => format!("{}: ack", rule.types),
    };
    let ack = format!("ack {}", provider.reply.ack.status);
    rules.map(told).chain([ack]).collect::<Vec<_>>().join("; ")
}

fn replay(preset: &Preset, scheme: Option<&Scheme>) -> String {
    match preset.replay {
        Replay::Window => match scheme.and_then(|scheme| scheme.methods().first()).and_then(describe::window) {
            Some(window) => format!("window, {window}"),
            None => "window".to_owned(),
        },
        Replay::Id => "id, remembered".to_owned(),
        Replay::Body => "hash of body and signature, remembered".to_owned(),
        Replay::None => "none".to_owned(),
    }
}

fn param(spec: &crate::preset::ParamSpec) -> String {
    match &spec.default {
        Some(default) => format!("{}={default}", spec.name),
        None if spec.optional && !spec.of_source => spec.name.clone(),
        None => format!("{}*", spec.name),
    }
}

/// The text of `docs/providers.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for preset in presets() {
        let facts = facts(preset);
        let provider = match &facts.docs {
            Some(docs) => format!("[{}]({docs})", facts.provider),
            None => facts.provider.clone(),
        };
        let cells = [
            provider,
            code(&[facts.preset]),
            escaped(&facts.auth),
            dash(facts.covers.join(", ")),
            code(&facts.not_covered),
            code(&facts.handshakes),
            code(&facts.id),
            code(&facts.kind),
            code(&facts.subject),
            escaped(&facts.reply),
            facts.replay,
            code(&facts.params),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

const HEAD: &str = "# Providers

Made from the presets by `creel_webhook::catalogue`; don't edit it. After a change to `host/webhook/presets`:
`CREEL_BLESS=1 cargo test -p creel-webhook --test table`.

*Covers* is what the proof covers whichever alternative holds; *not covered* is what could be changed on the way without
the proof failing: a part of the request, or a header that an id, type, subject or time is read from. A test changes every
byte of accepted requests and finds exactly these. *Ends of form names*: Twilio and Plivo sign names and values of form fields
run together, so `a=bc` and `ab=c` have one signature. Amazon SNS signs fields of its message, not the bytes of the body.
Values are tried from left to right, the first that is there counts; `+` joins parts of one value, `?` marks a part that may
be missing. Parameters show their defaults; those marked `*` must be set. Where replay defence is *none*, use TLS and an id of your own.

| Provider | Preset | Auth | Covers | Not covered | Handshakes | Id | Type | Subject | Reply | Replay defence | Parameters |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

fn code(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{}`", escaped(text))).collect();
    dash(quoted.join(", "))
}

fn escaped(text: &str) -> String {
    dash(text.replace('|', "\\|"))
}

fn dash(text: String) -> String {
    if text.is_empty() { "–".to_owned() } else { text }
}
