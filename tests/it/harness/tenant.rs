//! What an operator and a tenant do over the admin API, and what they look at afterwards.

use bytes::Bytes;
use creel_server::api::{DeliveryView, EventLine, List, Problem, RefusalView, RunView, StoryView};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::guests::guest;
use super::host::Host;
use super::wait::until;

/// The admin API with one key.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    /// With this key.
    pub(crate) fn new(http: reqwest::Client, base: String, key: String) -> Self {
        Api { http, base, key }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// A request that is not sent yet.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }

    /// The status and the text of an answer.
    pub(crate) async fn ask(&self, method: Method, path: &str, document: Option<&Value>) -> (u16, String) {
        let mut request = self.request(method, path);
        if let Some(document) = document {
            request = request.json(document);
        }
        let response = request.send().await.expect("the admin API answers");
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// An answer that must be a success.
    pub(crate) async fn done<T: DeserializeOwned>(&self, method: Method, path: &str, document: Option<&Value>) -> T {
        let (status, text) = self.ask(method.clone(), path, document).await;
        assert!((200..300).contains(&status), "{method} {path} with {document:?}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{method} {path}: {error} in {text}"))
    }

    /// A refusal as a document.
    pub(crate) async fn refused(&self, method: Method, path: &str, document: &Value) -> Problem {
        let (status, text) = self.ask(method, path, Some(document)).await;
        let problem: Problem = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}"));
        assert_eq!(problem.status, status);
        problem
    }

    /// GET.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.done(Method::GET, path, None).await
    }

    /// PUT.
    pub(crate) async fn put(&self, path: &str, document: Value) -> Value {
        self.done(Method::PUT, path, Some(&document)).await
    }

    /// POST.
    pub(crate) async fn post(&self, path: &str, document: Value) -> Value {
        self.done(Method::POST, path, Some(&document)).await
    }

    /// The items of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        self.get::<List<Value>>(path).await.items
    }
}

/// A tenant with a key of its own.
#[derive(Clone)]
pub(crate) struct Tenant {
    /// The admin API as this tenant.
    pub(crate) api: Api,
    /// Its name.
    pub(crate) name: String,
}

impl Tenant {
    /// Makes it, with its first key.
    pub(crate) async fn make(host: &Host, name: &str) -> Tenant {
        Tenant::make_over(&host.api, name).await
    }

    /// Makes it over this operator's API.
    pub(crate) async fn make_over(operator: &Api, name: &str) -> Tenant {
        Tenant::make_within(operator, name, json!({})).await
    }

    /// Makes it with limits of its own.
    pub(crate) async fn make_within(operator: &Api, name: &str, limits: Value) -> Tenant {
        operator.put(&format!("/v1/tenants/{name}"), json!({ "limits": limits })).await;
        let key = operator.post(&format!("/v1/tenants/{name}/keys"), json!({ "name": "first" })).await;
        let key = key["key"].as_str().expect("a key is shown once").to_owned();
        Tenant { api: Api { key, ..operator.clone() }, name: name.to_owned() }
    }

    /// The same tenant over the API of a process that was started again.
    pub(crate) fn over(&self, operator: &Api) -> Tenant {
        Tenant { api: Api { key: self.api.key.clone(), ..operator.clone() }, name: self.name.clone() }
    }

    /// The same tenant at a host that was opened again.
    pub(crate) fn at(&self, host: &Host) -> Tenant {
        Tenant { api: Api { key: self.api.key.clone(), ..host.api.clone() }, name: self.name.clone() }
    }

    /// An address under the tenant.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}/{rest}", self.name)
    }

    /// A secret that only verifies.
    pub(crate) async fn secret(&self, name: &str, value: &str) {
        self.api.put(&self.path(&format!("secrets/{name}")), json!({ "value": value })).await;
    }

    /// A secret that may be sent to one origin.
    pub(crate) async fn secret_for(&self, name: &str, value: &str, origin: &str) {
        let document = json!({ "value": value, "origins": [origin] });
        self.api.put(&self.path(&format!("secrets/{name}")), document).await;
    }

    /// A source with a secret of its own; gives the path of its URL.
    pub(crate) async fn source(&self, name: &str, preset: &str, secret: &str) -> String {
        self.source_with(name, preset, secret, json!({})).await
    }

    /// A source with further settings.
    pub(crate) async fn source_with(&self, name: &str, preset: &str, secret: &str, more: Value) -> String {
        let mut document = json!({ "preset": preset });
        if !secret.is_empty() {
            self.secret(&format!("{name}-secret"), secret).await;
            document["secrets"] = json!([format!("{name}-secret")]);
        }
        merge(&mut document, more);
        let put = self.api.put(&self.path(&format!("sources/{name}")), document).await;
        put["resource"]["path"].as_str().expect("a source has a path").to_owned()
    }

    /// A destination.
    pub(crate) async fn destination(&self, name: &str, document: Value) {
        self.api.put(&self.path(&format!("destinations/{name}")), document).await;
    }

    /// The destination `receiver`, a receiver of webhooks that is tried again at once.
    pub(crate) async fn receiver(&self, host: &Host) {
        let document = json!({ "url": host.receiver.url(""), "kind": "webhook", "retry_ms": [0, 1, 1] });
        self.destination("receiver", document).await;
    }

    /// Uploads bytes to a plugin, which is made if need be.
    pub(crate) async fn upload(&self, plugin: &str, bytes: Bytes) -> (u16, Value) {
        self.upload_with(plugin, "", bytes).await
    }

    /// The same with a query.
    pub(crate) async fn upload_with(&self, plugin: &str, query: &str, bytes: Bytes) -> (u16, Value) {
        self.api.put(&self.path(&format!("plugins/{plugin}")), json!({})).await;
        let request = self.api.request(Method::PUT, &self.path(&format!("plugins/{plugin}/versions{query}")));
        let response = request.header("content-type", "application/wasm").body(bytes).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Deploys a fixture that may call `receiver`, with settings.
    pub(crate) async fn deploy(&self, plugin: &str, fixture: &str, config: Value) {
        self.deploy_granting(plugin, fixture, config, &["receiver"]).await;
    }

    /// Deploys a fixture with grants of its own.
    pub(crate) async fn deploy_granting(&self, plugin: &str, fixture: &str, config: Value, destinations: &[&str]) {
        self.deploy_component(plugin, guest(fixture), config, destinations).await;
    }

    /// Deploys a component.
    pub(crate) async fn deploy_component(&self, plugin: &str, bytes: Bytes, config: Value, destinations: &[&str]) {
        self.deploy_with(plugin, bytes, config, json!({ "destinations": destinations })).await;
    }

    /// Deploys a component with any grants; gives what was answered.
    pub(crate) async fn deploy_with(&self, plugin: &str, bytes: Bytes, config: Value, grants: Value) -> Value {
        let (status, version) = self.upload(plugin, bytes).await;
        assert!(status < 300, "{version}");
        let document = json!({ "digest": version["resource"]["digest"], "config": config, "grants": grants });
        self.api.post(&self.path(&format!("plugins/{plugin}/deployments")), document).await
    }

    /// A route by the plugin's name that takes everything and does not let the sender wait.
    pub(crate) async fn route(&self, source: &str, plugin: &str) {
        self.route_with(source, plugin, json!({})).await;
    }

    /// A route on which the sender waits.
    pub(crate) async fn reply_route(&self, source: &str, plugin: &str) {
        self.route_with(source, plugin, json!({ "mode": "reply" })).await;
    }

    /// A route with further settings.
    pub(crate) async fn route_with(&self, source: &str, plugin: &str, more: Value) {
        let mut document = json!({ "source": source, "plugin": plugin });
        merge(&mut document, more);
        self.api.put(&self.path(&format!("routes/{source}-{plugin}")), document).await;
    }

    /// All events, newest first.
    pub(crate) async fn events(&self) -> Vec<EventLine> {
        self.api.get::<List<EventLine>>(&self.path("events?limit=200")).await.items
    }

    /// All requests that were not believed, newest first.
    pub(crate) async fn refusals(&self) -> Vec<RefusalView> {
        self.api.get::<List<RefusalView>>(&self.path("refusals?limit=200")).await.items
    }

    /// The stories of all events, oldest first, once there are so many and every run and call in them is over.
    pub(crate) async fn stories(&self, count: usize) -> Vec<StoryView> {
        let all = || async {
            let mut stories = Vec::new();
            for event in self.events().await.iter().rev() {
                stories.push(self.api.get::<StoryView>(&self.path(&format!("events/{}", event.id))).await);
            }
            stories
        };
        until("the end of all events", all, |all| all.len() == count && all.iter().all(is_over)).await
    }

    /// The story of the newest event as it stands.
    pub(crate) async fn story(&self) -> StoryView {
        let newest = self.events().await.into_iter().next().expect("an event was stored");
        self.api.get(&self.path(&format!("events/{}", newest.id))).await
    }

    /// The story of the newest event once every run is decided and every call has ended.
    pub(crate) async fn settled(&self) -> StoryView {
        until("the event's end", || self.story(), is_over).await
    }

    /// The one run of the newest event, decided.
    pub(crate) async fn decided(&self) -> RunView {
        let mut runs = self.settled().await.runs;
        assert_eq!(runs.len(), 1, "{runs:#?}");
        runs.remove(0)
    }

    /// The one call of the newest event, ended.
    pub(crate) async fn delivered(&self) -> DeliveryView {
        let mut calls = self.settled().await.deliveries;
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.remove(0)
    }

    /// Runs a run once more and waits for the new one's end.
    pub(crate) async fn replay(&self, run: &RunView) -> RunView {
        let path = self.path(&format!("runs/{}/replay", run.id));
        let replayed = self.api.post(&path, json!({})).await;
        let id = replayed["run"].as_str().expect("the new run's id").to_owned();
        let story = self.settled().await;
        story.runs.into_iter().find(|run| run.id.to_string() == id).expect("the new run is part of the story")
    }
}

/// Whether every run is decided and every call has ended.
fn is_over(story: &StoryView) -> bool {
    story.runs.iter().all(|run| run.ended_at.is_some()) && story.deliveries.iter().all(|call| call.ended_at.is_some())
}

fn merge(document: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("settings are an object") };
    document.as_object_mut().expect("a document is an object").extend(more);
}
