//! A provider: requests signed as its scheme says, or deliberately not.

use bytes::Bytes;
use creel_server::system::SystemClock;
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::pointer::Params;
use creel_webhook::preset::preset;
use creel_webhook::signature::sign;
use creel_webhook::signature::sign::{Credentials, Outgoing, SignError};

/// What a sender was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The media type, if there was one.
    pub(crate) content_type: Option<String>,
    /// For how long it asks to wait, seconds.
    pub(crate) retry_after_s: Option<u64>,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// Takes the parts of a response that a sender acts on.
    pub(crate) async fn of(response: reqwest::Response) -> Answer {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (content_type, retry_after_s) = (header("content-type"), header("retry-after"));
        let retry_after_s = retry_after_s.map(|text| text.parse().expect("seconds"));
        let status = response.status().as_u16();
        Answer { status, content_type, retry_after_s, body: response.text().await.unwrap() }
    }
}

/// A webhook that is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// How it is signed.
    pub(crate) preset: String,
    /// What with.
    pub(crate) secret: String,
    /// The message id, where the scheme has one.
    pub(crate) id: String,
    /// When it is signed; now, if not said.
    pub(crate) at: Option<Timestamp>,
    /// The body's media type.
    pub(crate) content_type: String,
    /// The body.
    pub(crate) body: Bytes,
    /// Further headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Parameters of its source.
    pub(crate) params: Params,
}

impl Webhook {
    /// An incoming call of Twilio, under this idempotency token.
    pub(crate) fn ringing(id: &str) -> Self {
        let fields = [("CallSid", "CA1"), ("CallStatus", "ringing"), ("From", "+15550100")];
        Webhook::json("twilio", "auth-token", id, "").form(&fields).header("i-twilio-idempotency-token", id)
    }

    /// A JSON event of that preset.
    pub(crate) fn json(preset: &str, secret: &str, id: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = Vec::new();
        if preset == "github" {
            headers.push(("x-github-delivery".to_owned(), id.to_owned()));
            headers.push(("x-github-event".to_owned(), "push".to_owned()));
        }
        Webhook {
            preset: preset.to_owned(),
            secret: secret.to_owned(),
            id: id.to_owned(),
            at: None,
            content_type: "application/json".to_owned(),
            body: body.into(),
            headers,
            params: Params::new(),
        }
    }

    /// The same with a form as its body.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Webhook { content_type: "application/x-www-form-urlencoded".to_owned(), body: body.into(), ..self }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What proves it for a URL; nothing where a credential of the body is all there is.
    pub(crate) fn credentials(&self, url: &str) -> Credentials {
        let scheme = preset(&self.preset).expect("a known preset").scheme(&self.params).unwrap();
        let out = Outgoing { method: "POST", url, content_type: &self.content_type, body: &self.body, id: &self.id };
        let at = self.at.unwrap_or_else(|| SystemClock::new().now());
        match sign(&scheme, &out, self.secret.as_bytes(), at) {
            Err(SignError::Unsupported) => Credentials::default(),
            signed => signed.expect("a secret that fits the scheme"),
        }
    }

    /// The same, signed so many seconds ago.
    pub(crate) fn aged(self, seconds: i64) -> Self {
        let now = SystemClock::new().now();
        Webhook { at: Some(Timestamp::from_millis(now.as_millis() - seconds * 1_000)), ..self }
    }

    /// The signed request for a URL.
    pub(crate) fn request(&self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        let signed = self.credentials(url);
        let mut whole = url::Url::parse(url).expect("an absolute URL");
        if !signed.query.is_empty() {
            whole.query_pairs_mut().extend_pairs(&signed.query);
        }
        let mut request = http.post(whole).header("content-type", &self.content_type).body(self.body.clone());
        for (name, value) in signed.headers.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        request
    }
}
