//! Sources: checked against the presets and the secrets that exist, given a URL that nobody guesses.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use creel_store::contract::Control;
use creel_webhook::id::TenantId;
use creel_webhook::pointer::Pointer;
use creel_webhook::preset::{preset, presets};
use creel_webhook::signature::scheme::{Scheme, SchemeError};
use creel_webhook::source::{PreviousToken, Source, SourceSpec};

use super::access::{PlanScope, Scope};
use super::body::{self, Document};
use super::problem::Refusal;
use super::query::{Planned, Query};
use super::state::Desk;
use super::views;
use crate::api::{List, SourceView};
use crate::spec;
use crate::spec::fields::{Mistake, escape};

/// `GET …/sources`.
pub async fn list(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<SourceView>>, Refusal> {
    let control = desk.control().await?;
    let own = control.sources.iter().filter(|source| source.tenant == scope.tenant.id);
    Ok(body::list(own.map(|source| views::source(source, &desk.admin.public_url)).collect()))
}

/// `GET …/sources/{source}`.
pub async fn get(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<SourceView>, Refusal> {
    let control = desk.control().await?;
    Ok(Json(views::source(named(&control, scope.tenant.id, &name)?, &desk.admin.public_url)))
}

/// `PUT …/sources/{source}`: makes or replaces it; its URL stays.
pub async fn put(
    State(desk): State<Desk>,
    PlanScope(scope): PlanScope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
    Document(document): Document,
) -> Result<Response, Refusal> {
    let planned = query.plan();
    query.done()?;
    let spec = spec::source::read(&name, document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let mut mistakes = check(&spec);
    mistakes.extend(missing_secrets(&control, scope.tenant.id, &spec, &planned));
    if !mistakes.is_empty() {
        return Err(Refusal::Invalid(mistakes));
    }
    let before = named(&control, scope.tenant.id, &name).ok();
    let after = Source {
        id: before.map_or_else(|| desk.id(), |before| before.id),
        tenant: scope.tenant.id,
        token: before.map_or_else(|| desk.admin.entropy.token(), |before| before.token.clone()),
        previous: before.and_then(|before| before.previous.clone()),
        paused: before.is_some_and(|before| before.paused),
        spec,
    };
    if before != Some(&after) && !planned.is_dry {
        desk.store().source_put(after.clone()).await?;
    }
    Ok(body::put(body::change(before, &after), views::source(&after, &desk.admin.public_url)))
}

/// `DELETE …/sources/{source}`.
pub async fn delete(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let _turn = desk.turn().await;
    let id = named(&*desk.control().await?, scope.tenant.id, &name)?.id;
    desk.store().source_delete(scope.tenant.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/sources/{source}/pause`: events are still taken, their runs wait.
pub async fn pause(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<SourceView>, Refusal> {
    set_paused(&desk, &scope, &name, true).await
}

/// `POST …/sources/{source}/resume`.
pub async fn resume(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<SourceView>, Refusal> {
    set_paused(&desk, &scope, &name, false).await
}

/// `POST …/sources/{source}/rotate-token`: a new URL; the one before leads here too for `overlap_ms`. One that was still
/// good from an earlier rotation ends now.
pub async fn rotate_token(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    Document(document): Document,
) -> Result<Json<SourceView>, Refusal> {
    let overlap_ms = spec::source::read_rotation(document)?;
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let before = named(&control, scope.tenant.id, &name)?;
    let until = desk.now().plus_ms(overlap_ms);
    let previous = (overlap_ms > 0).then(|| PreviousToken { token: before.token.clone(), until });
    let after = Source { token: desk.admin.entropy.token(), previous, ..before.clone() };
    desk.store().source_put(after.clone()).await?;
    Ok(Json(views::source(&after, &desk.admin.public_url)))
}

async fn set_paused(desk: &Desk, scope: &Scope, name: &str, paused: bool) -> Result<Json<SourceView>, Refusal> {
    let _turn = desk.turn().await;
    let control = desk.control().await?;
    let before = named(&control, scope.tenant.id, name)?;
    let after = Source { paused, ..before.clone() };
    if *before != after {
        desk.store().source_put(after.clone()).await?;
    }
    Ok(Json(views::source(&after, &desk.admin.public_url)))
}

/// The source of this name.
///
/// # Errors
/// 404.
pub fn named<'a>(control: &'a Control, tenant: TenantId, name: &str) -> Result<&'a Source, Refusal> {
    control
        .sources
        .iter()
        .find(|source| source.tenant == tenant && source.spec.name == name)
        .ok_or_else(|| Refusal::NotFound(format!("there is no source `{name}`; GET …/sources lists them")))
}

fn check(spec: &SourceSpec) -> Vec<Mistake> {
    let mut mistakes = pointer_mistakes(spec);
    let scheme = match (&spec.scheme, preset(&spec.preset)) {
        (Some(own), _) => Scheme::parse_telling_all(own).map_err(|errors| errors.into_iter().map(in_scheme).collect()),
        (None, Some(preset)) => preset
            .check_source(&spec.params)
            .and_then(|()| preset.scheme(&spec.params))
            .map_err(|error| vec![Mistake::new(format!("/{}", error.field.trim_start_matches('/')), error.problem)]),
        (None, None) => Err(vec![Mistake::new("/preset", unknown_preset(&spec.preset))]),
    };
    match scheme {
        Err(own) => mistakes.extend(own),
        Ok(_) if preset(&spec.preset).is_some_and(|preset| preset.provider.gives_secret()) => {}
        Ok(scheme) if scheme.needs_secret() && spec.secrets.is_empty() => {
            let detail = format!("`{}` proves requests with a secret; name one that you have stored", spec.preset);
            mistakes.push(Mistake::new("/secrets", detail));
        }
        Ok(scheme) if scheme.needs_public_key() && !scheme.needs_secret() && spec.public_keys.is_empty() => {
            let detail = format!("`{}` proves requests with a key pair; give the provider's public key", spec.preset);
            mistakes.push(Mistake::new("/public_keys", detail));
        }
        Ok(_) => {}
    }
    mistakes
}

fn in_scheme(error: SchemeError) -> Mistake {
    let field = error.field.split('/').map(|part| format!("/{}", escape(part))).collect::<String>();
    Mistake::new(format!("/scheme{field}"), error.problem)
}

fn unknown_preset(name: &str) -> String {
    let word = name.split('-').next().unwrap_or(name);
    let near: Vec<&str> =
        presets().map(|preset| preset.name.as_str()).filter(|known| known.split('-').next() == Some(word)).collect();
    if near.is_empty() {
        format!("there is no preset `{name}`; `creel presets` lists them, `custom` goes with a scheme of your own")
    } else {
        format!("there is no preset `{name}`; near it are {}", near.join(", "))
    }
}

fn pointer_mistakes(spec: &SourceSpec) -> Vec<Mistake> {
    let identity = &spec.identity;
    let ids = identity.id.iter().enumerate().map(|(index, text)| (format!("/identity/id/{index}"), text));
    let others = [("kind", &identity.kind), ("subject", &identity.subject), ("order", &identity.order)];
    let others = others.into_iter().filter_map(|(field, text)| Some((format!("/identity/{field}"), text.as_ref()?)));
    ids.chain(others)
        .filter_map(|(pointer, text)| Some(Mistake::new(pointer, text.parse::<Pointer>().err()?.to_string())))
        .collect()
}

fn missing_secrets(control: &Control, tenant: TenantId, spec: &SourceSpec, planned: &Planned) -> Vec<Mistake> {
    let known = |name: &str| {
        planned.assumes(name) || control.secrets.iter().any(|row| row.tenant == tenant && row.name == name)
    };
    let missing = spec.secrets.iter().enumerate().filter(|(_, name)| !known(name));
    let mistake = |(index, name): (usize, &String)| {
        Mistake::new(format!("/secrets/{index}"), format!("there is no secret `{name}`; PUT …/secrets/{name} first"))
    };
    missing.map(mistake).collect()
}
