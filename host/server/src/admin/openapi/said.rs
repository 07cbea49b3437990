//! What is said of each row besides the route table: a sentence, the parameters of its query, the document that it reads, and
//! what it answers where all is well. One entry for each row, in its order.

use creel_webhook::destination::DestinationSpec;
use creel_webhook::source::SourceSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::asked;
use crate::api::probed::ProbeView;
use crate::api::rehearsed::Rehearsed;
use crate::api::remembered::{StateRemovedView, StateView};
use crate::api::{
    AuditView, DeliveryView, DeploymentView, DestinationView, Erased, EventLine, EventReplayed, KeyView, LetterView,
    List, NewKeyView, PluginView, Put, QuotaView, RefusalView, Rekeyed, ReplayStep, Replayed, ReplayedCall, RouteView,
    RunView, SecretView, SourceView, StoryView, TenantView, UsageView, VersionView, WhoAmI,
};
use crate::fed::FeedView;
use crate::spec::notices::NoticesSpec;

/// Makes the schema of a type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What a row is told in a body.
#[derive(Clone, Copy)]
pub enum Document {
    /// Nothing.
    None,
    /// A component.
    Component,
    /// A document of this shape.
    Of(Shape),
}

/// What a row answers.
#[derive(Clone, Copy)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// Plain text.
    Text,
    /// Bytes as they are.
    Bytes,
    /// A document of this shape.
    Json(Shape),
}

/// What is said of a row.
pub struct Said {
    /// Its method and path.
    pub row: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Names of its query's parameters.
    pub query: &'static [&'static str],
    /// What it reads.
    pub document: Document,
    /// What it answers, by status.
    pub answers: &'static [(u16, Content)],
}

const fn of<T: JsonSchema>() -> Document {
    Document::Of(shape::<T>)
}

const fn json<T: JsonSchema>() -> Content {
    Content::Json(shape::<T>)
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! said {
    ($($row:literal, $summary:literal, [$($query:literal),*], $document:expr, [$($answer:expr),*];)*) => {
        /// All rows.
        pub const SAID: &[Said] = &[$(Said {
            row: $row,
            summary: $summary,
            query: &[$($query),*],
            document: $document,
            answers: &[$($answer),*],
        }),*];
    };
}

#[rustfmt::skip]
said! {
    "GET /healthz", "The process answers.", [], Document::None, [(200, Content::Text)];
    "GET /readyz", "It can take requests, or says why not.", [], Document::None, [(200, Content::Text), (503, Content::Text)];
    "GET /metrics", "Metrics as OpenMetrics text.", [], Document::None, [(200, Content::Text)];
    "GET /v1/openapi.json", "This description.", [], Document::None, [(200, json::<Value>())];
    "GET /v1/whoami", "Whose key it is.", [], Document::None, [(200, json::<WhoAmI>())];
    "POST /v1/probes", "Opens an address that tells what of one request arrives.", [], Document::None, [(200, json::<ProbeView>())];
    "GET /v1/keys", "Lists operators' keys.", [], Document::None, [(200, json::<List<KeyView>>())];
    "POST /v1/keys", "Makes an operator's key, which is shown once.", [], of::<asked::Key>(), [(201, json::<NewKeyView>())];
    "DELETE /v1/keys/{key}", "Ends an operator's key.", [], Document::None, [(204, Content::Nothing)];
    "GET /v1/audit", "The whole audit trail, newest first.", ["before", "limit"], Document::None, [(200, json::<List<AuditView>>())];
    "POST /v1/master-key/rotate", "Makes a new master key and seals all secrets again.", [], Document::None, [(200, json::<Rekeyed>())];
    "GET /v1/tenants", "Lists tenants, those that are being removed last.", [], Document::None, [(200, json::<List<TenantView>>())];
    "PUT /v1/tenants/{tenant}", "Makes a tenant or changes its limits.", ["dry_run"], of::<asked::Tenant>(), [(200, json::<Put<TenantView>>()), (201, json::<Put<TenantView>>())];
    "DELETE /v1/tenants/{tenant}", "Removes a tenant with everything, for good.", ["confirm!"], Document::None, [(202, json::<TenantView>())];
    "GET /v1/tenants/{tenant}", "A tenant.", [], Document::None, [(200, json::<TenantView>())];
    "GET /v1/tenants/{tenant}/keys", "Lists a tenant's keys.", [], Document::None, [(200, json::<List<KeyView>>())];
    "POST /v1/tenants/{tenant}/keys", "Makes a key of a tenant, which is shown once.", [], of::<asked::Key>(), [(201, json::<NewKeyView>())];
    "DELETE /v1/tenants/{tenant}/keys/{key}", "Ends a key.", [], Document::None, [(204, Content::Nothing)];
    "GET /v1/tenants/{tenant}/audit", "What was done to a tenant's things, newest first.", ["before", "limit"], Document::None, [(200, json::<List<AuditView>>())];
    "GET /v1/tenants/{tenant}/usage", "What a tenant used, day by day.", ["since@day", "until@day"], Document::None, [(200, json::<List<UsageView>>())];
    "GET /v1/tenants/{tenant}/quotas", "Daily quotas, and what is used of them.", [], Document::None, [(200, json::<List<QuotaView>>())];
    "GET /v1/tenants/{tenant}/secrets", "Lists secrets, without values.", [], Document::None, [(200, json::<List<SecretView>>())];
    "GET /v1/tenants/{tenant}/secrets/{secret}", "A secret, without its value.", [], Document::None, [(200, json::<SecretView>())];
    "PUT /v1/tenants/{tenant}/secrets/{secret}", "Makes or rotates a secret.", ["dry_run"], of::<asked::Secret>(), [(200, json::<Put<SecretView>>()), (201, json::<Put<SecretView>>())];
    "DELETE /v1/tenants/{tenant}/secrets/{secret}", "Removes a secret that nothing names.", [], Document::None, [(204, Content::Nothing)];
    "GET /v1/tenants/{tenant}/sources", "Lists sources.", [], Document::None, [(200, json::<List<SourceView>>())];
    "GET /v1/tenants/{tenant}/sources/{source}", "A source.", [], Document::None, [(200, json::<SourceView>())];
    "PUT /v1/tenants/{tenant}/sources/{source}", "Makes or replaces a source; its URL stays.", ["dry_run", "assume_secrets"], of::<SourceSpec>(), [(200, json::<Put<SourceView>>()), (201, json::<Put<SourceView>>())];
    "DELETE /v1/tenants/{tenant}/sources/{source}", "Removes a source.", [], Document::None, [(204, Content::Nothing)];
    "POST /v1/tenants/{tenant}/sources/{source}/pause", "Lets a source's runs wait.", [], Document::None, [(200, json::<SourceView>())];
    "POST /v1/tenants/{tenant}/sources/{source}/resume", "Lets them go.", [], Document::None, [(200, json::<SourceView>())];
    "POST /v1/tenants/{tenant}/sources/{source}/rotate-token", "Gives a source a new URL.", [], of::<asked::Rotation>(), [(200, json::<SourceView>())];
    "GET /v1/tenants/{tenant}/destinations", "Lists destinations.", [], Document::None, [(200, json::<List<DestinationView>>())];
    "GET /v1/tenants/{tenant}/destinations/{destination}", "A destination.", [], Document::None, [(200, json::<DestinationView>())];
    "PUT /v1/tenants/{tenant}/destinations/{destination}", "Makes or replaces a destination.", ["dry_run", "assume_secrets"], of::<DestinationSpec>(), [(200, json::<Put<DestinationView>>()), (201, json::<Put<DestinationView>>())];
    "DELETE /v1/tenants/{tenant}/destinations/{destination}", "Removes a destination.", [], Document::None, [(204, Content::Nothing)];
    "POST /v1/tenants/{tenant}/destinations/{destination}/pause", "Lets a destination's calls wait.", [], of::<asked::Pause>(), [(200, json::<DestinationView>())];
    "POST /v1/tenants/{tenant}/destinations/{destination}/resume", "Lets them go, and enables it again.", [], Document::None, [(200, json::<DestinationView>())];
    "GET /v1/tenants/{tenant}/notices", "Where notices go.", [], Document::None, [(200, json::<NoticesSpec>())];
    "PUT /v1/tenants/{tenant}/notices", "Names a destination for notices.", ["dry_run"], of::<asked::Notices>(), [(200, json::<Put<NoticesSpec>>()), (201, json::<Put<NoticesSpec>>())];
    "DELETE /v1/tenants/{tenant}/notices", "Tells nothing any more.", [], Document::None, [(204, Content::Nothing)];
    "GET /v1/tenants/{tenant}/plugins", "Lists plugins.", [], Document::None, [(200, json::<List<PluginView>>())];
    "DELETE /v1/tenants/{tenant}/plugins/{plugin}", "Removes a plugin that no route leads to, with its deployments and what it remembers.", [], Document::None, [(204, Content::Nothing)];
    "GET /v1/tenants/{tenant}/plugins/{plugin}", "A plugin.", [], Document::None, [(200, json::<PluginView>())];
    "PUT /v1/tenants/{tenant}/plugins/{plugin}", "Makes a plugin.", [], of::<asked::Plugin>(), [(200, json::<Put<PluginView>>()), (201, json::<Put<PluginView>>())];
    "PUT /v1/tenants/{tenant}/plugins/{plugin}/versions", "Uploads a component, which is checked and compiled.", ["dry_run"], Document::Component, [(200, json::<Put<VersionView>>()), (201, json::<Put<VersionView>>())];
    "GET /v1/tenants/{tenant}/plugins/{plugin}/versions/{digest}", "An upload as it came; 410 when it made room.", [], Document::None, [(200, Content::Bytes)];
    "GET /v1/tenants/{tenant}/plugins/{plugin}/deployments", "Lists deployments, newest first.", [], Document::None, [(200, json::<List<DeploymentView>>())];
    "POST /v1/tenants/{tenant}/plugins/{plugin}/deployments", "Deploys a version with settings and grants.", [], of::<asked::Deployment>(), [(200, json::<Put<DeploymentView>>()), (201, json::<Put<DeploymentView>>())];
    "POST /v1/tenants/{tenant}/plugins/{plugin}/deployments/{number}/activate", "Makes a deployment the active one: rollback, or forward.", [], Document::None, [(200, json::<DeploymentView>())];
    "GET /v1/tenants/{tenant}/plugins/{plugin}/state", "Keys of what a plugin remembers.", ["prefix", "after", "limit"], Document::None, [(200, json::<StateView>())];
    "DELETE /v1/tenants/{tenant}/plugins/{plugin}/state", "Removes a key of it, or all.", ["key", "all"], Document::None, [(200, json::<StateRemovedView>())];
    "GET /v1/tenants/{tenant}/plugins/{plugin}/state/value", "A value of it.", ["key!"], Document::None, [(200, Content::Bytes)];
    "GET /v1/tenants/{tenant}/routes", "Lists routes.", [], Document::None, [(200, json::<List<RouteView>>())];
    "GET /v1/tenants/{tenant}/routes/{route}", "A route.", [], Document::None, [(200, json::<RouteView>())];
    "PUT /v1/tenants/{tenant}/routes/{route}", "Makes or replaces a route.", ["dry_run"], of::<asked::Route>(), [(200, json::<Put<RouteView>>()), (201, json::<Put<RouteView>>())];
    "DELETE /v1/tenants/{tenant}/routes/{route}", "Removes a route.", [], Document::None, [(204, Content::Nothing)];
    "POST /v1/tenants/{tenant}/routes/{route}/pause", "Lets a route's runs wait.", [], Document::None, [(200, json::<RouteView>())];
    "POST /v1/tenants/{tenant}/routes/{route}/resume", "Lets them go.", [], Document::None, [(200, json::<RouteView>())];
    "GET /v1/tenants/{tenant}/events", "Lists events, newest first.", ["source", "kind", "subject", "state@event", "unrouted", "since", "until", "before", "limit"], Document::None, [(200, json::<List<EventLine>>())];
    "GET /v1/tenants/{tenant}/events/{event}", "The whole story of an event.", [], Document::None, [(200, json::<StoryView>())];
    "GET /v1/tenants/{tenant}/events/{event}/body", "An event's own bytes; 410 once they are erased.", [], Document::None, [(200, Content::Bytes)];
    "DELETE /v1/tenants/{tenant}/events/{event}/payload", "Erases what was in an event; its story stays.", [], Document::None, [(200, json::<Erased>())];
    "POST /v1/tenants/{tenant}/events/{event}/replay", "Runs an event once more, or shows what would come of it.", ["dry_run", "deployment", "new_keys"], Document::None, [(200, json::<Rehearsed>()), (202, json::<EventReplayed>())];
    "GET /v1/tenants/{tenant}/feed", "Events with bodies, oldest first, to be followed.", ["source", "after", "limit"], Document::None, [(200, json::<FeedView>())];
    "GET /v1/tenants/{tenant}/runs", "Lists runs, newest first.", ["verdict", "plugin", "dead", "source", "kind", "since", "until", "reason", "before", "limit"], Document::None, [(200, json::<List<RunView>>())];
    "POST /v1/tenants/{tenant}/runs/replay", "Replays dead runs, one step of many.", ["verdict", "plugin", "source", "kind", "since", "until", "reason", "after", "limit", "new_keys"], Document::None, [(200, json::<ReplayStep>())];
    "POST /v1/tenants/{tenant}/runs/{run}/replay", "Runs a run once more, or shows what would come of it.", ["dry_run", "deployment", "new_keys"], Document::None, [(200, json::<Rehearsed>()), (202, json::<Replayed>())];
    "GET /v1/tenants/{tenant}/deliveries", "Lists deliveries, newest first.", ["state", "destination", "source", "kind", "since", "until", "reason", "before", "limit"], Document::None, [(200, json::<List<DeliveryView>>())];
    "POST /v1/tenants/{tenant}/deliveries/replay", "Replays dead deliveries, one step of many.", ["destination", "source", "kind", "since", "until", "reason", "after", "limit", "new_keys"], Document::None, [(200, json::<ReplayStep>())];
    "GET /v1/tenants/{tenant}/deliveries/{delivery}", "A delivery with its history and what it sends.", [], Document::None, [(200, json::<LetterView>())];
    "POST /v1/tenants/{tenant}/deliveries/{delivery}/replay", "Puts a dead delivery into the queue again.", ["new_keys"], Document::None, [(202, json::<ReplayedCall>())];
    "GET /v1/tenants/{tenant}/refusals", "Requests that were not believed, newest first.", ["limit"], Document::None, [(200, json::<List<RefusalView>>())];
}
