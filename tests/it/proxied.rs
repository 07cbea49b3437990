//! A proxy, a tunnel or a move stands between providers and the host: who is the sender, and which URL was signed.

use std::sync::Arc;

use creel_server::config::Config;
use creel_server::forwarded::{ForwardedHeader, TrustedProxies};
use creel_webhook::clock::{ManualClock, Timestamp};
use serde_json::json;

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

fn forged() -> Webhook {
    Webhook::json("standard-webhooks", "whsec_YSBndWVzcw==", "msg_1", "{}")
}

/// Of whom the newest refusal was, when the host trusts nobody or this machine.
async fn sender_seen(trusts: bool, header: ForwardedHeader, headers: &[(&str, &str)]) -> String {
    let host = Host::with(move |config| {
        let networks: &[_] = if trusts { &["127.0.0.0/8".parse().unwrap()] } else { &[] };
        config.ingress.proxies = TrustedProxies::new(networks, header);
    })
    .await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let with = |webhook: Webhook, (name, value): &(&str, &str)| webhook.header(name, value);
    assert_eq!(host.send(&source, &headers.iter().fold(forged(), with)).await.status, 401);
    let peer = tenant.refusals().await.remove(0).peer;
    host.finish().await;
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_is_believed_who_the_sender_is() {
    let forwarded = [("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("forwarded", "for=192.0.2.8")];
    let (usual, standard) = (ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded);
    assert_eq!(sender_seen(false, usual, &forwarded).await, "127.0.0.1");
    assert_eq!(sender_seen(true, usual, &forwarded).await, "192.0.2.7");
    assert_eq!(sender_seen(true, standard, &forwarded).await, "192.0.2.8");
    assert_eq!(sender_seen(true, usual, &forwarded[1..]).await, "127.0.0.1", "the other header is anybody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_through_a_proxy_is_its_senders_alone() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_767_225_600)));
    let few = |config: &mut Config| {
        (config.ingress.refusals_burst, config.ingress.refusals_per_second) = (2, 1);
        config.ingress.proxies =
            TrustedProxies::new(&["127.0.0.1/32".parse().unwrap()], ForwardedHeader::XForwardedFor);
    };
    let host = Home::new(few).with_clock(clock.clone()).serve(Arc::new(Receiver::start().await)).await;
    let tenant = host.tenant("shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let told = async |of: &str, webhook: Webhook| {
        let webhook = Webhook { at: Some(Timestamp::from_secs(1_767_225_600)), ..webhook };
        host.send(&source, &webhook.header("x-forwarded-for", of)).await.status
    };
    let mut flood = Vec::new();
    for _ in 0..4 {
        flood.push(told("192.0.2.66", forged()).await);
    }
    assert_eq!(flood, [401, 401, 429, 429]);
    let genuine = Webhook { secret: SECRET.to_owned(), ..forged() };
    assert_eq!(told("192.0.2.7", genuine).await, 200, "another sender through the same proxy");
    host.finish().await;
}

/// Posts what Twilio signed for one URL to the host, as a proxy with these headers would.
async fn signed_for(host: &Host, source: &str, url: &str, headers: &[(&str, &str)]) -> u16 {
    let call = Webhook::json("twilio", "twilio-token", "", "").form(&[("CallSid", "CA1"), ("CallStatus", "ringing")]);
    let call = call.header("i-twilio-idempotency-token", url);
    let mut request = host.http().post(host.url(source)).header("content-type", &call.content_type);
    for (name, value) in call.credentials(url).headers.iter().chain(&call.headers) {
        request = request.header(name, value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(call.body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_for_any_of_a_hosts_urls_is_believed() {
    let host = Host::with(|config| {
        config.public_url = Some("https://hooks.example.com".to_owned());
        config.public_url_aliases =
            vec!["https://old.example.com:8443/creel".into(), "https://x.tunnel.example".into()];
    })
    .await;
    let tenant = host.tenant("calls").await;
    let source = tenant.source("twilio", "twilio", "twilio-token").await;
    for base in [
        "https://hooks.example.com",
        // The back end of Twilio is of two minds about ports.
        "https://hooks.example.com:443",
        "https://old.example.com:8443/creel",
        "https://old.example.com/creel",
        "https://x.tunnel.example",
    ] {
        assert_eq!(signed_for(&host, &source, &format!("{base}{source}"), &[]).await, 200, "{base}");
    }
    // What a request says of itself makes no URL ours.
    let elsewhere = format!("https://evil.example{source}");
    let says = [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")];
    assert_eq!(signed_for(&host, &source, &elsewhere, &says).await, 401);
    assert_eq!(signed_for(&host, &source, &format!("http://hooks.example.com{source}"), &[]).await, 401);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_have_urls_of_its_own() {
    let host = Host::with(|config| config.public_url = Some("https://hooks.example.com".to_owned())).await;
    let tenant = host.tenant("calls").await;
    let urls = ["https://voice.example/twilio", "https://a1b2.tunnel.example/twilio"];
    let source = tenant.source_with("twilio", "twilio", "twilio-token", json!({ "public_urls": urls })).await;
    for url in urls {
        assert_eq!(signed_for(&host, &source, url, &[]).await, 200, "{url}");
    }
    let general = format!("https://hooks.example.com{source}");
    assert_eq!(signed_for(&host, &source, &general, &[]).await, 401, "its own instead of the host's");
    host.finish().await;
}
