//! Whether the host is reached: its API with the key, and its public URL by the way that providers take.
//!
//! For the second the host is asked for an address that nobody else knows, and tells what arrived there. Signatures
//! cover bodies, queries and URLs byte for byte, so whatever a proxy changes is told.

use std::net::IpAddr;

use reqwest::Method;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::finding::Finding;
use super::patient::Patient;
use crate::api::probed::{ArrivalView, ProbeView};
use crate::cli::client::{Client, ClientError, http_client};
use crate::config::Config;

/// What a meddling proxy would change: line ends, a zero byte, letters beyond ASCII, spaces at the end.
const BODY: &[u8] = b"{\"creel\": \"\xc3\xbc\"}\r\n\n\0 \t ";

/// The same for queries: escapes that could be undone or done otherwise.
const QUERY: &str = "a=%2F&b=c+d%20e&a=%C3%BC&empty=&B=%7e";

/// Headers of the kinds that providers prove themselves by.
const HEADERS: [(&str, &str); 5] = [
    ("x-hub-signature-256", "sha256=00"),
    ("x-twilio-signature", "AAAA/+=="),
    ("webhook-signature", "v1,AAAA v1,BBBB"),
    ("stripe-signature", "t=1,v1=00"),
    ("authorization", "Bearer creel-doctor"),
];

/// Looks at both. `runs`: a host works in the data directory.
pub(super) async fn examine(patient: &Patient, runs: bool, config: &Config, found: &mut Vec<Finding>) {
    let Some(key) = &patient.key else {
        let says = "no key is given, so neither the API nor the public URL was looked at";
        found.push(Finding::warn("key", says, "set CREEL_KEY or give --key-file, with an operator's key"));
        return;
    };
    let client = match Client::trusting(&patient.url, key, patient.ca_file.as_deref()) {
        Ok(client) => client,
        Err(error) => return found.push(Finding::no("key", error.to_string(), "mend --url or --ca-file")),
    };
    let who = match client.whoami().await {
        Ok(who) => who,
        Err(error) => return found.push(not_let_in(error, runs, config)),
    };
    let role = who.role.as_str();
    let probe = match client.probe().await {
        Ok(probe) => probe,
        Err(_) => {
            let says = format!("it works, as {role}; the public URL can't be looked at with it");
            return found.push(Finding::warn("key", says, "give an operator's key to have that looked at too"));
        }
    };
    found.push(if runs {
        Finding::ok("key", format!("it works, as {role}"))
    } else {
        let says = format!("it works, as {role}, at {}; but no host works in the data directory above", patient.url);
        Finding::warn(
            "key",
            says,
            "what follows is about that host; name this one with --url or CREEL_URL, or start it",
        )
    });
    public_url(&probe, patient, config, found).await;
}

fn not_let_in(error: ClientError, runs: bool, config: &Config) -> Finding {
    match error {
        ClientError::Refused(problem) => Finding::no(
            "key",
            format!("the host does not take the key: {}", problem.detail),
            "give another one; an operator makes keys with POST /v1/keys",
        ),
        error @ ClientError::Unreachable { .. } if runs => Finding::no(
            "api",
            error.to_string().lines().next().unwrap_or_default().to_owned(),
            format!("name the API with --url; by this configuration it is at {}", config.admin.listen),
        ),
        ClientError::Unreachable { .. } => Finding::warn(
            "api",
            "no host runs, so neither the key nor the public URL was looked at",
            "start it with `creel serve` and run this again",
        ),
        error => Finding::no("api", error.to_string(), "name the API of a host with --url or CREEL_URL"),
    }
}

async fn public_url(probe: &ProbeView, patient: &Patient, config: &Config, found: &mut Vec<Finding>) {
    let todo = "see that its name leads here, that firewalls let it through, and that its certificate holds";
    match sent(probe, patient).await {
        Err(why) => found.push(Finding::no("public_url", format!("{} is not reached: {why}", probe.url), todo)),
        Ok(Answer::Arrived(arrived)) => compare(probe, &arrived, config, found),
        Ok(Answer::Other { status, location }) => found.push(not_ours(probe, status, location.as_deref())),
    }
}

enum Answer {
    Arrived(Box<ArrivalView>),
    Other { status: u16, location: Option<String> },
}

async fn sent(probe: &ProbeView, patient: &Patient) -> Result<Answer, String> {
    let url = Url::parse(&format!("{}{}?{QUERY}", probe.url, probe.path)).map_err(|error| error.to_string())?;
    let http = http_client(&url, patient.ca_file.as_deref()).map_err(|error| error.to_string())?;
    let mut request = http.request(Method::POST, url).header("content-type", "application/json").body(BODY);
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| reason_of(&error.without_url()))?;
    let status = answer.status().as_u16();
    let location = answer.headers().get("location").and_then(|place| place.to_str().ok()).map(str::to_owned);
    Ok(match answer.json().await {
        Ok(arrived) if status == 200 => Answer::Arrived(Box::new(arrived)),
        _ => Answer::Other { status, location },
    })
}

/// The innermost reason says what happened; the outer ones only say that something did.
fn reason_of(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(error.source(), |error| error.source()).last();
    innermost.map_or_else(|| error.to_string(), ToString::to_string)
}

fn not_ours(probe: &ProbeView, status: u16, location: Option<&str>) -> Finding {
    let url = &probe.url;
    match location {
        Some(place) if (300..400).contains(&status) => Finding::no(
            "public_url",
            format!("{url} redirects to {place}, and providers do not follow"),
            "set `public_url` to where it leads, or have the proxy pass requests on",
        ),
        _ => Finding::no(
            "public_url",
            format!("{url} leads to somebody who answered {status}, not to `/in/…` of this host"),
            "have the proxy pass what comes below that URL on to `ingress.listen`, its own path prefix cut off",
        ),
    }
}

/// Everything that did not arrive as it was sent.
fn compare(probe: &ProbeView, arrived: &ArrivalView, config: &Config, found: &mut Vec<Finding>) {
    let before = found.len();
    let pass_on = "have the proxy pass it on as it comes: providers sign it byte for byte";
    let mut changed = |what: &str, sent: &str, came: &str| {
        if sent != came {
            let says = format!("the {what} is changed on the way: `{sent}` was sent, `{came}` arrived");
            found.push(Finding::no("public_url", says, pass_on));
        }
    };
    changed("method", "POST", &arrived.method);
    changed("path", &probe.path, &arrived.path);
    changed("query", QUERY, &arrived.query);
    if arrived.body_sha256 != hex::encode(Sha256::digest(BODY)) {
        found.push(Finding::no("public_url", "the body is changed on the way", pass_on));
    }
    let is_there = |name: &str, value: &str| arrived.headers.iter().any(|(had, came)| had == name && came == value);
    let lost = HEADERS.into_iter().filter(|(name, value)| !is_there(name, value));
    let lost: Vec<String> = lost.map(|(name, _)| format!("`{name}`")).collect();
    if !lost.is_empty() {
        let says = format!("headers are changed or lost on the way: {}", lost.join(", "));
        found.push(Finding::no("public_url", says, "have the proxy pass all headers on as they come"));
    }
    if found.len() == before {
        found.push(Finding::ok("public_url", format!("{} leads here, and nothing is changed on the way", probe.url)));
    }
    found.extend(in_plain(&probe.url));
    found.extend(of_proxies(arrived, config));
}

fn in_plain(url: &str) -> Option<Finding> {
    let url = Url::parse(url).ok()?;
    let here = url.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
    (url.scheme() == "http" && !here).then(|| {
        let says = "the public URL is not encrypted: payloads and tokens can be read on the way";
        Finding::warn("public_url", says, "put TLS before ingress, or set `ingress.tls`; then `public_url` to https")
    })
}

/// Headers by which proxies are known, and whether their word counts.
fn of_proxies(arrived: &ArrivalView, config: &Config) -> Option<Finding> {
    let added = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let by: Vec<&str> = added.into_iter().filter(|name| arrived.headers.iter().any(|(had, _)| had == name)).collect();
    let hop: IpAddr = arrived.hop;
    if by.is_empty() {
        return None;
    }
    if config.ingress.proxies.contains(hop) {
        let says =
            format!("one at {hop} adds {}; it is trusted, and senders are known as {}", by.join(", "), arrived.sender);
        return Some(Finding::ok("proxies", says));
    }
    Some(Finding::warn(
        "proxies",
        format!("one at {hop} adds {}, and is not trusted: all senders are one to the host", by.join(", ")),
        format!("set `ingress.trusted_proxies = [\"{hop}\"]`, or its network"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use creel_webhook::clock::Timestamp;

    fn probe(url: &str) -> ProbeView {
        ProbeView { path: "/in/probe-1".to_owned(), url: url.to_owned(), expires_at: Timestamp::default() }
    }

    fn intact() -> ArrivalView {
        ArrivalView {
            method: "POST".to_owned(),
            path: "/in/probe-1".to_owned(),
            query: QUERY.to_owned(),
            headers: HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body_sha256: hex::encode(Sha256::digest(BODY)),
            hop: IpAddr::from([10, 0, 0, 1]),
            sender: IpAddr::from([192, 0, 2, 1]),
        }
    }

    /// What is said of an arrival, without what is well.
    fn said(url: &str, change: impl FnOnce(&mut ArrivalView)) -> Vec<(State, String)> {
        let mut arrived = intact();
        change(&mut arrived);
        let (mut found, config) = (Vec::new(), Config::in_directory(std::path::Path::new("x")));
        compare(&probe(url), &arrived, &config, &mut found);
        let unwell: Vec<_> = found.into_iter().filter(|one| one.state != State::Ok).collect();
        assert!(unwell.iter().all(|one| one.todo.is_some()));
        unwell.into_iter().map(|one| (one.state, one.says)).collect()
    }

    #[test]
    fn each_change_on_the_way_is_told() {
        let url = "https://hooks.example.com";
        assert_eq!(said(url, |_| {}), []);
        let one = |change: fn(&mut ArrivalView)| {
            let mut said = said(url, change);
            assert_eq!((said.len(), said[0].0), (1, State::No), "{said:?}");
            said.remove(0).1
        };
        assert!(one(|arrived| arrived.method = "GET".to_owned()).contains("`POST` was sent, `GET` arrived"));
        assert!(one(|arrived| arrived.path = "/hooks/in/probe-1".to_owned()).contains("the path is changed"));
        assert!(one(|arrived| arrived.query = "a=/".to_owned()).contains("the query is changed"));
        assert!(one(|arrived| arrived.body_sha256.clear()).contains("the body is changed"));
        let lost = one(|arrived| arrived.headers.retain(|(name, _)| name != "x-twilio-signature"));
        assert!(lost.ends_with("`x-twilio-signature`"), "{lost}");
        assert!(one(|arrived| arrived.headers[4].1 = "Basic x".to_owned()).contains("`authorization`"));
    }

    #[test]
    fn what_could_be_better_is_told_too() {
        let plain = said("http://hooks.example.com", |_| {});
        assert!(plain[0].0 == State::Warn && plain[0].1.contains("not encrypted"), "{plain:?}");
        assert_eq!(said("http://127.0.0.1:8080", |_| {}), []);
        let behind = said("https://hooks.example.com", |arrived| {
            arrived.headers.push(("x-forwarded-for".to_owned(), "192.0.2.1".to_owned()));
        });
        assert!(behind[0].0 == State::Warn && behind[0].1.contains("10.0.0.1 adds x-forwarded-for"), "{behind:?}");
    }

    #[test]
    fn who_answers_instead_is_told() {
        let moved = not_ours(&probe("https://a"), 301, Some("https://b/"));
        assert!(moved.says.contains("redirects to https://b/") && moved.todo.unwrap().contains("`public_url`"));
        let other = not_ours(&probe("https://a"), 404, None);
        assert!(other.says.contains("answered 404") && other.todo.unwrap().contains("path prefix"));
    }
}
