//! The admin API from outside: one method per verb, answers in the shapes of [`crate::api`].
//!
//! Nothing is printed here. A refusal arrives as the [`Problem`] that the host sent, with all its mistakes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use creel_webhook::plugin::{Digest, Grants};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::hints::in_commands;
use super::plain::{self, plain};
use crate::api::probed::ProbeView;
use crate::api::rehearsed::Rehearsed;
use crate::api::remembered::{StateRemovedView, StateView};
use crate::api::{
    DeliveryView, DeploymentView, DestinationView, Erased, EventLine, LetterView, List, NewKeyView, PluginView,
    Problem, Put, QuotaView, RefusalView, ReplayStep, RouteView, RunView, SecretView, SourceView, StoryView,
    TenantView, UsageView, VersionView, WhoAmI,
};
use crate::fed::FeedView;
use crate::spec::notices::NoticesSpec;
use crate::tls;

/// A host on this machine answers a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the host answers from its store, and an event with all its bodies over a slow line.
const TIMEOUT: Duration = Duration::from_secs(120);

/// An upload is compiled before it is answered. The host ends that itself, at its `runtime.compile_deadline_ms` (10 minutes
/// at most); whoever stands in line behind such a one waits as long again.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// What stands unescaped in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why the host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It said no, and why.
    #[error("{}", problem_text(.0))]
    Refused(Box<Problem>),
    /// It could not be reached.
    #[error(
        "no host answers at {url}: {reason}\nstart one with `creel serve`, or name another with --url or CREEL_URL"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// What answered is no Creel, or of another version.
    #[error("{url} answered {status}, but not as a Creel host would: {reason}")]
    Strange {
        /// Who answered.
        url: String,
        /// Its HTTP status.
        status: u16,
        /// What was odd.
        reason: String,
    },
    /// The client itself cannot be made.
    #[error("{0}")]
    Setup(String),
}

/// A problem for people: what, and each mistake on a line.
pub fn problem_text(problem: &Problem) -> String {
    let mut text =
        format!("{} ({}): {}", plain(&problem.title), problem.status, plain::lines(&in_commands(&problem.detail)));
    if problem.errors.len() > 1 {
        for mistake in &problem.errors {
            let _ = write!(text, "\n  {}: {}", plain(&mistake.pointer), plain::lines(&in_commands(&mistake.detail)));
        }
    }
    text
}

/// What a call gives.
pub type ClientResult<T> = Result<T, ClientError>;

/// A host's admin API, with a key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    /// A client of the host at `url`.
    ///
    /// # Errors
    /// When the URL is none or TLS cannot be set up.
    pub fn new(url: &str, key: &str) -> ClientResult<Self> {
        Client::trusting(url, key, None)
    }

    /// A client that trusts the certificates in a file, in PEM, and no others; without a file, Mozilla's roots.
    ///
    /// # Errors
    /// When the URL is none, the file is of no use or TLS cannot be set up.
    pub fn trusting(url: &str, key: &str, ca_file: Option<&Path>) -> ClientResult<Self> {
        let parsed = Url::parse(url).ok().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
        let parsed = parsed.ok_or_else(|| {
            let example = "http://127.0.0.1:8081, the default";
            ClientError::Setup(format!(
                "`{url}` is no address of a host such as {example}; it begins with http:// or https://"
            ))
        })?;
        let http = http_client(&parsed, ca_file)?;
        Ok(Client { http, base: url.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// The host's address.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn whoami(&self) -> ClientResult<WhoAmI> {
        self.get("/v1/whoami").await
    }

    /// An address on the public listener that tells what arrives there; for operators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn probe(&self) -> ClientResult<ProbeView> {
        self.send(Method::POST, "/v1/probes", None::<&Value>).await
    }

    /// All tenants; for operators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenants(&self) -> ClientResult<List<TenantView>> {
        self.get("/v1/tenants").await
    }

    /// Makes a tenant, or changes its limits; for operators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenant_put(&self, name: &str, spec: &Value) -> ClientResult<Put<TenantView>> {
        self.send(Method::PUT, &format!("/v1/tenants/{}", part(name)), Some(spec)).await
    }

    /// What [`Client::tenant_put`] would do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenant_would_put(&self, name: &str, spec: &Value) -> ClientResult<Put<TenantView>> {
        self.send(Method::PUT, &format!("/v1/tenants/{}?dry_run=true", part(name)), Some(spec)).await
    }

    /// Begins to remove a tenant with everything that it has; for operators.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenant_delete(&self, name: &str) -> ClientResult<TenantView> {
        let name = part(name);
        self.send(Method::DELETE, &format!("/v1/tenants/{name}?confirm={name}"), None::<&Value>).await
    }

    /// The things of one tenant.
    pub fn tenant(&self, name: &str) -> TenantClient {
        TenantClient { client: self.clone(), prefix: format!("/v1/tenants/{}", part(name)) }
    }

    /// Any address of the API, read as `T`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> ClientResult<T> {
        self.send(Method::GET, path, None::<&Value>).await
    }

    /// POST of any address.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, document: &Value) -> ClientResult<T> {
        self.send(Method::POST, path, Some(document)).await
    }

    /// DELETE of any address.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, path: &str) -> ClientResult<()> {
        self.send(Method::DELETE, path, None::<&Value>).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> ClientResult<T> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, bytes) = self.exchange(request).await?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
        serde_json::from_slice(&bytes).map_err(|error| self.strange(status, error.to_string()))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> ClientResult<(StatusCode, Bytes)> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            url: self.base.clone(),
            reason: innermost(&error.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok((status, bytes));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) if bytes.is_empty() => {
                let reason =
                    "it says nothing; is it where webhooks arrive? The API has an address of its own, `admin.listen`";
                Err(self.strange(status, reason.to_owned()))
            }
            Err(error) => Err(self.strange(status, format!("no problem document: {error}"))),
        }
    }

    fn strange(&self, status: StatusCode, reason: String) -> ClientError {
        ClientError::Strange { url: self.base.clone(), status: status.as_u16(), reason }
    }
}

/// Kinds of things that can be put and listed by name.
pub trait Resource: DeserializeOwned {
    /// What the API calls them.
    const PLURAL: &'static str;
}

macro_rules! resources {
    ($($view:ident $plural:literal;)*) => {
        $(impl Resource for $view { const PLURAL: &'static str = $plural; })*
    };
}

resources! {
    SecretView "secrets";
    SourceView "sources";
    DestinationView "destinations";
    PluginView "plugins";
    RouteView "routes";
}

/// One tenant's part of the API.
#[derive(Clone)]
pub struct TenantClient {
    client: Client,
    prefix: String,
}

impl TenantClient {
    /// Where its part of the API begins.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The tenant itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn about(&self) -> ClientResult<TenantView> {
        self.client.get(&self.prefix).await
    }

    /// All things of a kind.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list<R: Resource>(&self) -> ClientResult<Vec<R>> {
        let list: List<R> = self.client.get(&self.path(&[R::PLURAL])).await?;
        Ok(list.items)
    }

    /// One thing by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<R: Resource>(&self, name: &str) -> ClientResult<R> {
        self.client.get(&self.path(&[R::PLURAL, name])).await
    }

    /// Makes or replaces a thing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put<R: Resource>(&self, name: &str, spec: &impl Serialize) -> ClientResult<Put<R>> {
        self.client.send(Method::PUT, &self.path(&[R::PLURAL, name]), Some(spec)).await
    }

    /// What [`TenantClient::put`] would do once these secrets are there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn would_put<R: Resource>(
        &self,
        name: &str,
        spec: &impl Serialize,
        secrets: &BTreeSet<String>,
    ) -> ClientResult<Put<R>> {
        let mut path = format!("{}?dry_run=true", self.path(&[R::PLURAL, name]));
        if !secrets.is_empty() {
            let names: Vec<&str> = secrets.iter().map(String::as_str).collect();
            path.push_str("&assume_secrets=");
            path.extend(form_urlencoded::byte_serialize(names.join(",").as_bytes()));
        }
        self.client.send(Method::PUT, &path, Some(spec)).await
    }

    /// Removes a thing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<R: Resource>(&self, name: &str) -> ClientResult<()> {
        self.client.send(Method::DELETE, &self.path(&[R::PLURAL, name]), None::<&Value>).await
    }

    /// Where notices go; `None` when no destination is named.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn notices(&self) -> ClientResult<Option<NoticesSpec>> {
        match self.client.get(&self.path(&["notices"])).await {
            Ok(spec) => Ok(Some(spec)),
            Err(ClientError::Refused(problem)) if problem.status == 404 => self.about().await.map(|_| None),
            Err(error) => Err(error),
        }
    }

    /// Names where notices go.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn notices_put(&self, spec: &impl Serialize) -> ClientResult<Put<NoticesSpec>> {
        self.client.send(Method::PUT, &self.path(&["notices"]), Some(spec)).await
    }

    /// Has none sent any more; says whether any were.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn notices_delete(&self) -> ClientResult<bool> {
        match self.client.send(Method::DELETE, &self.path(&["notices"]), None::<&Value>).await {
            Ok(()) => Ok(true),
            Err(ClientError::Refused(problem)) if problem.status == 404 => self.about().await.map(|_| false),
            Err(error) => Err(error),
        }
    }

    /// Makes a key of this tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_create(&self, name: &str) -> ClientResult<NewKeyView> {
        self.client.send(Method::POST, &self.path(&["keys"]), Some(&json!({ "name": name }))).await
    }

    /// Uploads a component; with `dry_run` the gate looks at it and nothing is kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload(&self, plugin: &str, component: Bytes, dry_run: bool) -> ClientResult<Put<VersionView>> {
        let mut path = self.path(&["plugins", plugin, "versions"]);
        if dry_run {
            path.push_str("?dry_run=true");
        }
        let request = self.client.request(Method::PUT, &path).timeout(UPLOAD_TIMEOUT);
        let request = request.header("content-type", "application/wasm");
        let (status, bytes) = self.client.exchange(request.body(component)).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.client.strange(status, error.to_string()))
    }

    /// An uploaded version as it came.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn component(&self, plugin: &str, digest: &str) -> ClientResult<Bytes> {
        let request = self.client.request(Method::GET, &self.path(&["plugins", plugin, "versions", digest]));
        Ok(self.client.exchange(request).await?.1)
    }

    /// Makes a deployment of an uploaded version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy(&self, plugin: &str, wanted: &NewVersion) -> ClientResult<Put<DeploymentView>> {
        self.client.send(Method::POST, &self.path(&["plugins", plugin, "deployments"]), Some(wanted)).await
    }

    /// All deployments of a plugin, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deployments(&self, plugin: &str) -> ClientResult<Vec<DeploymentView>> {
        let list: List<DeploymentView> = self.client.get(&self.path(&["plugins", plugin, "deployments"])).await?;
        Ok(list.items)
    }

    /// Makes an earlier (or later) deployment the active one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn activate(&self, plugin: &str, number: u32) -> ClientResult<DeploymentView> {
        let number = number.to_string();
        let path = self.path(&["plugins", plugin, "deployments", &number, "activate"]);
        self.client.send(Method::POST, &path, None::<&Value>).await
    }

    /// Gives a source a new URL; the one before leads to it for so long, a day when not said.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rotate_url(&self, source: &str, overlap_hours: Option<u64>) -> ClientResult<SourceView> {
        let overlap_ms = overlap_hours.map(|hours| hours.saturating_mul(3_600_000));
        let path = self.path(&["sources", source, "rotate-token"]);
        self.client.send(Method::POST, &path, Some(&json!({ "overlap_ms": overlap_ms }))).await
    }

    /// Pauses a source, route or destination.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pause<R: Resource>(&self, name: &str) -> ClientResult<R> {
        self.client.send(Method::POST, &self.path(&[R::PLURAL, name, "pause"]), None::<&Value>).await
    }

    /// Resumes it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume<R: Resource>(&self, name: &str) -> ClientResult<R> {
        self.client.send(Method::POST, &self.path(&[R::PLURAL, name, "resume"]), None::<&Value>).await
    }

    /// What a plugin remembers, without values.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn state(&self, plugin: &str, filter: &[(&str, String)]) -> ClientResult<StateView> {
        self.client.get(&self.state_path(&["plugins", plugin, "state"], filter)).await
    }

    /// One value of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn state_value(&self, plugin: &str, key: &str) -> ClientResult<Bytes> {
        let path = self.state_path(&["plugins", plugin, "state", "value"], &[("key", key.to_owned())]);
        Ok(self.client.exchange(self.client.request(Method::GET, &path)).await?.1)
    }

    /// Removes a key of it, or all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn state_delete(&self, plugin: &str, key: Option<&str>) -> ClientResult<StateRemovedView> {
        let filter = key.map_or(("all", "true".to_owned()), |key| ("key", key.to_owned()));
        let path = self.state_path(&["plugins", plugin, "state"], &[filter]);
        self.client.send(Method::DELETE, &path, None::<&Value>).await
    }

    fn state_path(&self, parts: &[&str], filter: &[(&str, String)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filter).finish();
        format!("{}?{query}", self.path(parts))
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, filter: &[(&str, String)]) -> ClientResult<List<EventLine>> {
        self.client.get(&self.filtered("events", filter)).await
    }

    /// Events with their payloads, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn feed(&self, filter: &[(&str, String)]) -> ClientResult<FeedView> {
        self.client.get(&self.filtered("feed", filter)).await
    }

    /// The whole story of one event.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn story(&self, event: &str) -> ClientResult<StoryView> {
        self.client.get(&self.path(&["events", event])).await
    }

    /// The body of one event.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn event_body(&self, event: &str) -> ClientResult<Bytes> {
        let request = self.client.request(Method::GET, &self.path(&["events", event, "body"]));
        Ok(self.client.exchange(request).await?.1)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn runs(&self, filter: &[(&str, String)]) -> ClientResult<List<RunView>> {
        self.client.get(&self.filtered("runs", filter)).await
    }

    /// Replays one thing of the kind `what` (`runs`, `events`, `deliveries`); the answer is the kind's own.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay(&self, what: &str, id: &str, new_keys: bool) -> ClientResult<Value> {
        let path = format!("{}?new_keys={new_keys}", self.path(&[what, id, "replay"]));
        self.client.send(Method::POST, &path, None::<&Value>).await
    }

    /// What a replay of a run or an event (`what`: `runs`, `events`) would do; nothing is sent or stored.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rehearse(
        &self,
        what: &str,
        id: &str,
        new_keys: bool,
        deployment: Option<u32>,
    ) -> ClientResult<Rehearsed> {
        let deployment = deployment.map(|number| format!("&deployment={number}")).unwrap_or_default();
        let path = format!("{}?dry_run=true&new_keys={new_keys}{deployment}", self.path(&[what, id, "replay"]));
        self.client.send(Method::POST, &path, None::<&Value>).await
    }

    /// One step through dead letters of the kind `what` (`runs`, `deliveries`), replaying those that the filter wants.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay_step(&self, what: &str, filter: &[(&str, String)]) -> ClientResult<ReplayStep> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filter).finish();
        let path = format!("{}?{query}", self.path(&[what, "replay"]));
        self.client.send(Method::POST, &path, None::<&Value>).await
    }

    /// One delivery and what it sends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn letter(&self, delivery: &str) -> ClientResult<LetterView> {
        self.client.get(&self.path(&["deliveries", delivery])).await
    }

    /// Erases an event's payload.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn erase(&self, event: &str) -> ClientResult<Erased> {
        self.client.send(Method::DELETE, &self.path(&["events", event, "payload"]), None::<&Value>).await
    }

    /// What the tenant used, day by day.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn usage(&self, filter: &[(&str, String)]) -> ClientResult<List<UsageView>> {
        self.client.get(&self.filtered("usage", filter)).await
    }

    /// The tenant's daily quotas, and what is used of them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quotas(&self) -> ClientResult<List<QuotaView>> {
        self.client.get(&self.path(&["quotas"])).await
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deliveries(&self, filter: &[(&str, String)]) -> ClientResult<List<DeliveryView>> {
        self.client.get(&self.filtered("deliveries", filter)).await
    }

    /// Requests that were not believed, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refusals(&self, filter: &[(&str, String)]) -> ClientResult<List<RefusalView>> {
        self.client.get(&self.filtered("refusals", filter)).await
    }

    fn path(&self, parts: &[&str]) -> String {
        parts.iter().fold(self.prefix.clone(), |path, one| format!("{path}/{}", part(one)))
    }

    fn filtered(&self, what: &str, filter: &[(&str, String)]) -> String {
        let path = self.path(&[what]);
        if filter.is_empty() {
            return path;
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filter).finish();
        format!("{path}?{query}")
    }
}

/// What a deployment is made of.
#[derive(Debug, Clone, Serialize)]
pub struct NewVersion {
    /// The uploaded version.
    pub digest: Digest,
    /// Plain settings.
    pub config: std::collections::BTreeMap<String, String>,
    /// What it may ask for.
    pub grants: Grants,
    /// Make it the active one.
    pub activate: bool,
}

/// The parameters of a query that were given.
pub fn given(wanted: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
    wanted.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect()
}

/// A part of a path, with what has no place there escaped.
pub fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// What went wrong in the first place, without what tells of it.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// TLS over the roots that browsers trust, with the one cryptography of this program.
/// A client for one URL that follows no redirect.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client(url: &Url, ca_file: Option<&Path>) -> ClientResult<reqwest::Client> {
    let roots = match ca_file {
        Some(file) => tls::roots_of(file).map_err(|error| ClientError::Setup(format!("--ca-file: {error}")))?,
        None => tls::public_roots(),
    };
    let tls = tls::client(roots).map_err(|error| ClientError::Setup(error.to_string()))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    // A proxy of the environment can't reach this machine's own loopback, and must not see the key.
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| ClientError::Setup(error.to_string()))
}
