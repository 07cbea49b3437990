//! Plays the story: sends each scene's request, reads back what came of it, and compares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_store::contract::DeliveryState;
use creel_webhook::clock::{Clock, Timestamp};
use creel_webhook::preset::preset;
use creel_webhook::run::Verdict;
use creel_webhook::signature::sign;
use creel_webhook::signature::sign::Outgoing;

use crate::api::{SourceView, StoryView};
use crate::cli::client::TenantClient;
use crate::system::Entropy;

use super::receiver::Receiver;
use super::story::{Payload, SCENES, Scene, Treatment};
use super::telling::Voice;
use super::told::{Told, ToldCall, ToldRun, ToldScene};

/// The account that the demo's Twilio messages are sent from.
pub(super) const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";

/// How long a scene may take to come to its end: the slowest has one retry and one endless loop.
const SETTLE_MS_MAX: u64 = 20_000;

/// Pause between two looks at an event's story.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The demo's secrets, made anew for each demo.
pub(super) struct Secrets(BTreeMap<&'static str, String>);

impl Secrets {
    pub(super) fn new(entropy: &Entropy) -> Self {
        let webhook_secret = || format!("whsec_{}", STANDARD.encode(entropy.bytes::<32>()));
        let mut secrets: BTreeMap<&'static str, String> =
            ["github", "vapi", "retell", "twilio-token", "crm"].map(|name| (name, entropy.token())).into();
        secrets.insert("orders", webhook_secret());
        secrets.insert("outgoing", webhook_secret());
        Secrets(secrets)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// What is needed to play.
pub(super) struct Performance {
    /// The demo's tenant at the admin API.
    pub(super) client: TenantClient,
    /// Base of the ingress URLs.
    pub(super) ingress_url: String,
    /// What senders sign with.
    pub(super) secrets: Secrets,
    /// Everybody that calls go to.
    pub(super) receiver: Receiver,
    /// The time that requests are signed at.
    pub(super) clock: Arc<dyn Clock>,
}

/// An answer as a sender sees it.
struct Answered {
    status: u16,
    body: String,
    after_ms: u64,
}

impl Performance {
    /// Plays every scene and compares.
    pub(super) async fn play(&self, voice: &mut Voice) -> anyhow::Result<Told> {
        // The client wants a TLS provider even where it only speaks plain HTTP to the loopback interface.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build().context("making the senders' client")?;
        let mut scenes = Vec::new();
        for scene in SCENES {
            let told = self.scene(&http, scene).await.with_context(|| format!("playing `{}`", scene.title))?;
            voice.scene(&told);
            scenes.push(told);
        }
        let mut problems = self.refusal_problems().await?;
        let (received, turned_away) = self.received(&mut problems);
        let ok = problems.is_empty() && scenes.iter().all(|scene| scene.problems.is_empty());
        Ok(Told { ok, scenes, received, turned_away, problems })
    }

    async fn scene(&self, http: &reqwest::Client, scene: &Scene) -> anyhow::Result<ToldScene> {
        let before = self.newest(scene.sender.source).await?;
        let answered = self.send(http, scene).await?;
        let after = self.newest(scene.sender.source).await?;
        let stored = after.filter(|event| before.as_ref() != Some(event));
        let story = match &stored {
            Some(event) => Some(self.settled(event).await?),
            None => None,
        };
        let runs: Vec<ToldRun> = story.iter().flat_map(|story| story.runs.iter().filter_map(told_run)).collect();
        let calls: Vec<ToldCall> = story.iter().flat_map(|story| story.deliveries.iter().map(told_call)).collect();
        let problems = problems(scene, &answered, stored.as_deref(), &runs, &calls);
        Ok(ToldScene {
            title: scene.title,
            source: scene.sender.source,
            shows: scene.shows,
            status: answered.status,
            answered_ms: answered.after_ms,
            event: stored,
            runs,
            calls,
            problems,
        })
    }

    async fn send(&self, http: &reqwest::Client, scene: &Scene) -> anyhow::Result<Answered> {
        let source: SourceView = self.client.get(scene.sender.source).await?;
        let url = format!("{}{}", self.ingress_url, source.path);
        let (content_type, body) = body_of(scene.payload)?;
        let request = self.signed(scene, &url, content_type, &body)?;
        let began = self.clock.now();
        let response = http.execute(request.build(http, &url, content_type, body)?).await?;
        let status = response.status().as_u16();
        let body = response.text().await?;
        Ok(Answered { status, body, after_ms: self.clock.now().since_ms(began) })
    }

    fn signed(&self, scene: &Scene, url: &str, content_type: &str, body: &Bytes) -> anyhow::Result<SignedScene> {
        let secret = match scene.treatment {
            Treatment::Forged => "a guess",
            _ => self.secrets.get(scene.sender.secret),
        };
        let at = match scene.treatment {
            Treatment::Old(seconds) => Timestamp::from_millis(self.clock.now().as_millis() - seconds * 1_000),
            _ => self.clock.now(),
        };
        let preset = preset(scene.sender.preset).context("the scene's preset")?;
        let scheme = preset.scheme(&Default::default())?;
        let out = Outgoing { method: "POST", url, content_type, body, id: scene.id };
        let credentials = sign(&scheme, &out, secret.as_bytes(), at)?;
        let mut headers = credentials.headers;
        headers.extend(scene.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        if scene.sender.preset == "github" {
            headers.push(("x-github-delivery".to_owned(), scene.id.to_owned()));
        }
        Ok(SignedScene { headers })
    }

    async fn newest(&self, source: &str) -> anyhow::Result<Option<String>> {
        let list = self.client.events(&[("source", source.to_owned()), ("limit", "1".to_owned())]).await?;
        Ok(list.items.first().map(|event| event.id.to_string()))
    }

    /// The event's story once every run is decided and every call has ended.
    async fn settled(&self, event: &str) -> anyhow::Result<StoryView> {
        let began = self.clock.now();
        loop {
            let story = self.client.story(event).await?;
            let decided = story.runs.iter().all(|run| run.ended_at.is_some());
            let ended = story.deliveries.iter().all(|call| call.ended_at.is_some());
            if (decided && ended) || self.clock.now().since_ms(began) > SETTLE_MS_MAX {
                return Ok(story);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Each refused scene must be in the operator's record, with the reason that the sender was not told.
    async fn refusal_problems(&self) -> anyhow::Result<Vec<String>> {
        let list = self.client.refusals(&[]).await?;
        let mut reasons: Vec<&str> = list.items.iter().map(|refusal| refusal.reason.as_str()).collect();
        reasons.sort_unstable();
        let expected = ["no_match", "timestamp_too_old"];
        Ok(if reasons == expected {
            Vec::new()
        } else {
            vec![format!("refused requests were recorded as {reasons:?} instead of {expected:?}")]
        })
    }

    fn received(&self, problems: &mut Vec<String>) -> (BTreeMap<String, usize>, usize) {
        let received = self.receiver.received();
        let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
        let mut keys = std::collections::BTreeSet::new();
        for call in received.iter().filter(|call| call.status == 200) {
            *accepted.entry(counted(&call.destination, call.is_look_up)).or_default() += 1;
            if !keys.insert(call.key.clone()) {
                problems.push(format!("the receiver got {} twice", call.path));
            }
        }
        problems.extend(received.iter().filter_map(|call| {
            call.problem.as_ref().map(|problem| format!("the receiver refused {}: {problem}", call.path))
        }));
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        for scene in SCENES {
            for destination in scene.calls {
                *expected.entry(counted(destination, false)).or_default() += 1;
            }
            for destination in scene.look_ups {
                *expected.entry(counted(destination, true)).or_default() += 1;
            }
        }
        if accepted != expected {
            problems.push(format!("the receiver counted {accepted:?} instead of {expected:?}"));
        }
        (accepted, received.len() - received.iter().filter(|call| call.status == 200).count())
    }
}

struct SignedScene {
    headers: Vec<(String, String)>,
}

impl SignedScene {
    fn build(
        self,
        http: &reqwest::Client,
        url: &str,
        content_type: &str,
        body: Bytes,
    ) -> anyhow::Result<reqwest::Request> {
        let mut request = http.post(url).header("content-type", content_type).body(body);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        Ok(request.build()?)
    }
}

fn body_of(payload: Payload) -> anyhow::Result<(&'static str, Bytes)> {
    Ok(match payload {
        Payload::Json(text) => ("application/json", Bytes::from_static(text.as_bytes())),
        Payload::Form(pairs) => {
            let pairs: Vec<(String, String)> = serde_json::from_str(pairs)?;
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            ("application/x-www-form-urlencoded", Bytes::from(form))
        }
        Payload::Bulk(bytes) => ("application/json", Bytes::from(format!("{{\"filler\":\"{}\"}}", "x".repeat(bytes)))),
    })
}

/// What a destination is counted under.
fn counted(destination: &str, is_look_up: bool) -> String {
    if is_look_up { format!("{destination} (asked)") } else { destination.to_owned() }
}

fn told_run(run: &crate::api::RunView) -> Option<ToldRun> {
    Some(ToldRun {
        plugin: run.plugin.clone(),
        verdict: run.verdict?,
        reason: run.reason.clone(),
        fuel: run.usage.fuel,
        cpu_us: run.usage.cpu_us,
        memory_bytes: run.usage.memory_bytes,
        asked: run.fetches.iter().map(|one| (one.destination.clone(), one.status)).collect(),
    })
}

fn told_call(call: &crate::api::DeliveryView) -> ToldCall {
    let state = match call.state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    };
    ToldCall { destination: call.destination.clone(), state, attempts: call.attempts }
}

fn problems(
    scene: &Scene,
    answered: &Answered,
    stored: Option<&str>,
    runs: &[ToldRun],
    calls: &[ToldCall],
) -> Vec<String> {
    let mut problems = Vec::new();
    if answered.status != scene.status {
        problems.push(format!("answered {} instead of {}", answered.status, scene.status));
    }
    if !answered.body.contains(scene.answer) {
        problems.push(format!(
            "the answer lacks `{}`: {}",
            scene.answer,
            answered.body.chars().take(200).collect::<String>()
        ));
    }
    let should_store = !scene.runs.is_empty();
    if stored.is_some() != should_store {
        problems.push(format!("an event was {}stored", if should_store { "not " } else { "" }));
    }
    let got: Vec<(&str, Verdict)> = runs.iter().map(|run| (run.plugin.as_str(), run.verdict)).collect();
    if got != scene.runs {
        let reasons: Vec<&str> = runs.iter().filter_map(|run| run.reason.as_deref()).collect();
        problems.push(format!("runs were {got:?} instead of {:?} ({})", scene.runs, reasons.join("; ")));
    }
    let delivered: Vec<&str> =
        calls.iter().filter(|call| call.state == "delivered").map(|call| call.destination.as_str()).collect();
    if delivered != scene.calls || calls.len() != scene.calls.len() {
        problems.push(format!("calls were {calls:?} instead of {:?}", scene.calls));
    }
    problems
}
