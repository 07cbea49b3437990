//! Tokens against a scripted client: one request after another, with the time turned by hand.

use std::collections::VecDeque;

use creel_webhook::clock::ManualClock;
use creel_webhook::secret::SecretBytes;
use futures_util::future::join_all;

use super::*;

/// Answers in order, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(u16, &'static str)>>,
    asked: Mutex<Vec<OutgoingRequest>>,
}

#[async_trait]
impl HttpClient for Script {
    async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, EgressError> {
        // Others come to the same point meanwhile.
        tokio::task::yield_now().await;
        self.asked.lock().unwrap().push(request);
        let (status, body) = self.answers.lock().unwrap().pop_front().unwrap_or((200, "{}"));
        let body = Bytes::from_static(body.as_bytes());
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("for Bearer token-two"));
        Ok(IncomingResponse { status, headers, body, truncated: None })
    }
}

impl Script {
    /// What was asked, in short: the path, and what authorised it.
    fn told(&self) -> Vec<String> {
        let short = |request: &OutgoingRequest| {
            let shown = request.headers.get(AUTHORIZATION).map_or("-", |value| value.to_str().unwrap());
            format!("{} {shown}", request.url.path())
        };
        self.asked.lock().unwrap().drain(..).map(|request| short(&request)).collect()
    }
}

fn grant() -> Grant {
    Grant {
        token_url: "https://login.test/token".parse().unwrap(),
        client_id: "creel app".to_owned(),
        secret: "crm".to_owned(),
        client_secret: SecretBytes::new(b"hunter+2".to_vec()),
        scope: Some("contacts.read contacts.write".to_owned()),
        audience: None,
        in_body: false,
        tls: None,
    }
}

fn request(grant: Option<Grant>) -> OutgoingRequest {
    OutgoingRequest {
        pool: DestinationId::from_bytes([1; 16]),
        method: Method::GET,
        url: "https://crm.test/contacts".parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        connect_timeout_ms: 1_000,
        timeout_ms: 60_000,
        response_bytes_max: 1_000,
        tls: None,
        grant,
    }
}

struct Stage {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    tokens: Tokens,
}

fn stage(answers: &[(u16, &'static str)]) -> Stage {
    let script = Arc::new(Script { answers: Mutex::new(answers.iter().copied().collect()), ..Script::default() });
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000)));
    Stage { tokens: Tokens::new(script.clone(), clock.clone()), script, clock }
}

const ONE: (u16, &str) = (200, r#"{"access_token":"token-one","token_type":"Bearer","expires_in":3600}"#);
const TWO: (u16, &str) = (200, r#"{"access_token":"token-two","token_type":"bearer","expires_in":"40"}"#);
const DONE: (u16, &str) = (200, "done");
const BASIC: &str = "/token Basic Y3JlZWwrYXBwOmh1bnRlciUyQjI=";

#[tokio::test]
async fn a_token_is_fetched_once_and_used_until_shortly_before_its_end() {
    let stage = stage(&[ONE, DONE, DONE, DONE, TWO, DONE, DONE]);
    let send = async || drop(stage.tokens.send(request(Some(grant()))).await.unwrap());
    send().await;
    let form = stage.script.asked.lock().unwrap()[0].body.clone().unwrap();
    assert_eq!(form, "grant_type=client_credentials&scope=contacts.read+contacts.write");
    send().await;
    stage.clock.set(Timestamp::from_secs(1_000 + 3_539));
    send().await;
    let used = "/contacts Bearer token-one";
    assert_eq!(stage.script.told(), [BASIC, used, used, used]);
    stage.clock.set(Timestamp::from_secs(1_000 + 3_540));
    send().await;
    stage.clock.set(Timestamp::from_secs(1_000 + 3_540 + 29));
    send().await;
    let used = "/contacts Bearer token-two";
    assert_eq!(stage.script.told(), [BASIC, used, used]);
}

#[tokio::test]
async fn many_wait_for_one_fetch() {
    let stage = stage(&[ONE]);
    let all = join_all((0..20).map(|_| stage.tokens.send(request(Some(grant()))))).await;
    assert!(all.iter().all(Result::is_ok));
    let told = stage.script.told();
    assert_eq!((told.len(), told.iter().filter(|one| one.starts_with("/token")).count()), (21, 1), "{told:?}");
}

#[tokio::test]
async fn a_receiver_that_does_not_take_it_is_asked_once_more_with_a_new_one() {
    let stage = stage(&[ONE, (401, "expired"), TWO, (200, r#"you sent "token-two", not token-one"#)]);
    let answer = stage.tokens.send(request(Some(grant()))).await.unwrap();
    let (first, second) = ("/contacts Bearer token-one", "/contacts Bearer token-two");
    assert_eq!(stage.script.told(), [BASIC, first, BASIC, second]);
    assert_eq!(answer.body, r#"you sent "[secret]", not [secret]"#);
    assert_eq!(answer.headers["x-echo"], "[secret]");
    // The second no is the answer.
    stage.script.answers.lock().unwrap().extend([(401, "no"), ONE, (401, "no")]);
    assert_eq!(stage.tokens.send(request(Some(grant()))).await.unwrap().status, 401);
    assert_eq!(stage.script.told().len(), 3);
}

#[tokio::test]
async fn another_grant_is_another_token() {
    let stage = stage(&[ONE, DONE, TWO, DONE]);
    stage.tokens.send(request(Some(grant()))).await.unwrap();
    let other = Grant { client_secret: SecretBytes::new(b"new".to_vec()), in_body: true, ..grant() };
    stage.tokens.send(request(Some(other))).await.unwrap();
    let form = stage.script.asked.lock().unwrap()[2].body.clone().unwrap();
    let form = std::str::from_utf8(&form).unwrap();
    assert!(form.ends_with("&client_id=creel+app&client_secret=new"), "{form}");
    assert_eq!(stage.script.told()[2..], ["/token -", "/contacts Bearer token-two"]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_reason_is_told_without_what_is_secret() {
    for (answer, word) in [
        (
            (401, r#"{"error":"invalid_client","error_description":"hunter+2 is wrong"}"#),
            "answered 401 `invalid_client`",
        ),
        ((400, r#"{"error":"<b>hunter+2</b>"}"#), "answered 400;"),
        ((302, ""), "answered 302"),
        ((200, "<html>hunter+2</html>"), "no JSON of a token"),
        ((200, r#"{"token_type":"bearer"}"#), "holds no access token"),
        ((200, r#"{"access_token":"x","token_type":"mac"}"#), "no bearer token"),
    ] {
        let stage = stage(&[answer]);
        let error = stage.tokens.send(request(Some(grant()))).await.unwrap_err();
        let EgressError::NoToken { secret, reason } = &error else { panic!("{error:?}") };
        assert!(secret == "crm" && reason.contains(word) && reason.contains("login.test"), "{reason}");
        assert!(!reason.contains("hunter"), "{reason}");
        assert_eq!(stage.script.told().len(), 1);
    }
    for answer in [(503, ""), (429, "")] {
        let error = stage(&[answer]).tokens.send(request(Some(grant()))).await.unwrap_err();
        assert!(matches!(error, EgressError::Transport(_)), "it is tried again: {error:?}");
    }
}

#[tokio::test]
async fn what_wants_no_token_passes() {
    let stage = stage(&[DONE]);
    stage.tokens.send(request(None)).await.unwrap();
    assert_eq!(stage.script.told(), ["/contacts -"]);
}
