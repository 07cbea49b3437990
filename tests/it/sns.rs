//! Amazon SNS: its certificate is fetched, its subscriptions are confirmed, and only what is listed is taken.
//!
//! The messages in `tests/cases/sns` are signed with a key that nobody has any more; its certificate is served here, by
//! a local server that stands in for Amazon's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use creel_server::egress::{Egress, EgressError, HttpClient, IncomingResponse, OutgoingRequest};
use creel_server::guard::Guard;
use creel_webhook::clock::{Clock as _, ManualClock, Timestamp};
use serde_json::json;

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Answer;
use crate::harness::tenant::Tenant;

const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:MyTopic";
const CERTIFICATE: &str = "/sns.us-west-2.amazonaws.com/SimpleNotificationService-made.pem";
const CONFIRM: &str = "/sns.us-west-2.amazonaws.com/";

fn case(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/sns");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The live way out, with Amazon's hosts as folders of the local server.
struct Elsewhere {
    egress: Egress,
    server: SocketAddr,
}

#[async_trait]
impl HttpClient for Elsewhere {
    async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, EgressError> {
        assert_eq!(request.url.scheme(), "https", "{}", request.url);
        let text = request.url.as_str().replacen("https://", &format!("http://{}/", self.server), 1);
        self.egress.send(OutgoingRequest { url: text.parse().unwrap(), ..request }).await
    }
}

/// A host whose Amazon is a local server, at a time that the story sets.
async fn host(clock: &Arc<ManualClock>) -> Host {
    let amazon = Arc::new(Receiver::start().await);
    let guard = Guard::new(vec![amazon.address().to_string().parse().unwrap()], true);
    let client = Elsewhere { egress: Egress::new(Arc::new(guard)).unwrap(), server: amazon.address() };
    Home::new(|_| {}).with_clock(clock.clone()).with_client(Arc::new(client)).serve(amazon).await
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(1_767_225_600)))
}

async fn source(tenant: &Tenant, topics: &str) -> String {
    tenant.source_with("alarms", "aws-sns", "", json!({ "params": { "topic_arns": topics } })).await
}

async fn post(host: &Host, source: &str, body: String) -> Answer {
    let request = host.http().post(host.url(source)).header("content-type", "text/plain; charset=UTF-8").body(body);
    Answer::of(request.send().await.unwrap()).await
}

async fn reasons(tenant: &Tenant) -> Vec<String> {
    tenant.refusals().await.into_iter().map(|refusal| refusal.reason).collect()
}

/// Paths that were asked for.
fn fetched(host: &Host) -> Vec<String> {
    host.receiver.arrived().into_iter().map(|call| call.request.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_and_its_messages_are_taken() {
    let host = host(&clock()).await;
    let tenant = host.tenant("ops").await;
    let source = source(&tenant, &format!("arn:aws:sns:us-west-2:123456789012:Other, {TOPIC}")).await;
    host.receiver.answer(CERTIFICATE, 200, &[], &case("certificate.pem"));

    assert_eq!(post(&host, &source, case("subscription.json")).await.status, 200);
    assert_eq!(fetched(&host), [CERTIFICATE, CONFIRM]);
    let confirmed = host.receiver.arrived()[1].request.clone();
    let query = format!("Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37");
    assert_eq!((confirmed.method.as_str(), confirmed.query.as_deref()), ("GET", Some(query.as_str())));
    assert!(tenant.events().await.is_empty(), "a greeting is no event");

    assert_eq!(post(&host, &source, case("notification.json")).await.status, 200);
    let events = tenant.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].subject.as_deref(), Some(TOPIC));
    let forged = case("notification.json").replace("\"made\"", "\"forged\"");
    assert_eq!(post(&host, &source, forged).await.status, 401);
    assert_eq!(reasons(&tenant).await, ["no_match"]);
    assert_eq!(fetched(&host).len(), 2, "the certificate is kept");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_source_takes_topics_that_it_does_not_list() {
    let host = host(&clock()).await;
    let tenant = host.tenant("ops").await;
    for topics in [json!({}), json!({ "topic_arns": " " })] {
        let document = json!({ "preset": "aws-sns", "params": topics });
        let problem = tenant.api.refused(reqwest::Method::PUT, &tenant.path("sources/alarms"), &document).await;
        assert_eq!(problem.status, 422);
        assert!(format!("{problem:?}").contains("topic_arns"), "{problem:?}");
    }
    let source = source(&tenant, "arn:aws:sns:us-west-2:999999999999:MyTopic").await;
    for message in ["subscription.json", "notification.json"] {
        assert_eq!(
            post(&host, &source, case(message)).await,
            Answer { status: 401, content_type: None, retry_after_s: None, body: String::new() }
        );
    }
    assert_eq!(reasons(&tenant).await, ["not_allowed", "not_allowed"]);
    assert!(fetched(&host).is_empty(), "nobody is asked on behalf of a stranger");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_believed_without_the_certificate_and_nothing_is_lost() {
    let clock = clock();
    let host = host(&clock).await;
    let tenant = host.tenant("ops").await;
    let source = source(&tenant, TOPIC).await;
    host.receiver.answers(CERTIFICATE, &[500]);
    assert_eq!(post(&host, &source, case("notification.json")).await.status, 503, "Amazon tries again");
    assert_eq!(post(&host, &source, case("notification.json")).await.status, 503);
    assert_eq!(fetched(&host).len(), 1, "not once for each message");
    let refusal = tenant.refusals().await.remove(0);
    assert_eq!(refusal.reason, "key_unavailable");
    assert!(refusal.detail.contains("sns.us-west-2.amazonaws.com") && refusal.detail.contains("500"), "{refusal:?}");
    assert!(tenant.events().await.is_empty());

    clock.set(clock.now().plus_ms(10_000));
    host.receiver.answer(CERTIFICATE, 200, &[], &case("certificate.pem"));
    assert_eq!(post(&host, &source, case("notification.json")).await.status, 200);
    assert_eq!(tenant.events().await.len(), 1);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_can_not_be_confirmed_is_asked_for_again() {
    let host = host(&clock()).await;
    let tenant = host.tenant("ops").await;
    let source = source(&tenant, TOPIC).await;
    host.receiver.answer(CERTIFICATE, 200, &[], &case("certificate.pem"));
    host.receiver.answers(CONFIRM, &[403]);
    assert_eq!(post(&host, &source, case("subscription.json")).await.status, 503);
    assert_eq!(post(&host, &source, case("subscription.json")).await.status, 200);
    assert_eq!(
        post(&host, &source, case("subscription-elsewhere.json")).await.status,
        401,
        "genuine, but not Amazon's URL"
    );
    assert_eq!(reasons(&tenant).await, ["not_allowed", "confirmation_failed"]);
    assert_eq!(fetched(&host), [CERTIFICATE, CONFIRM, CONFIRM]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_fetched_under_the_guard() {
    // A name server of somebody's own that says that Amazon is next door.
    let lookup: creel_server::egress::Lookup =
        Arc::new(|_, port| Box::pin(async move { Ok(vec![SocketAddr::from(([10, 0, 0, 5], port))]) }));
    let client = Egress::with_lookup(Arc::new(Guard::new(Vec::new(), true)), lookup).unwrap();
    let home = Home::new(|_| {}).with_clock(clock()).with_client(Arc::new(client));
    let host = home.serve(Arc::new(Receiver::start().await)).await;
    let tenant = host.tenant("ops").await;
    let source = source(&tenant, TOPIC).await;
    assert_eq!(post(&host, &source, case("notification.json")).await.status, 503);
    let refusal = tenant.refusals().await.remove(0);
    assert!(refusal.reason == "key_unavailable" && refusal.detail.contains("private"), "{refusal:?}");
    host.finish().await;
}
