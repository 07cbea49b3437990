//! Every sample is what its name says, genuine, and new each time.

use std::collections::{BTreeMap, BTreeSet};

use creel_webhook::event::EventDraft;
use creel_webhook::signature::verdict::Material;
use creel_webhook::signature::verify;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const URL: &str = "https://h.test/in/a?x=1";

/// The events of a sample under a preset; it must be genuine.
fn events(sample: &Sample, preset: &'static Preset, seed: u64, keep_ids: bool) -> Vec<EventDraft> {
    // A second one is sent a second later.
    let now = NOW.plus_ms(seed * 1_000);
    let params = trial::params(preset);
    let scheme = preset.scheme(&params).unwrap();
    let trial::Keys { secret, public_keys } = trial::keys(&scheme, &Entropy::seeded(7)).unwrap();
    let wanted =
        Wanted { preset, params: params.clone(), secret: &secret, url: URL, signed_url: None, set: &[], keep_ids };
    let name = format!("{} under {}", sample.event, preset.name);
    let ready =
        sample.request(&wanted, now, &Entropy::seeded(seed)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let secrets = [secret.as_bytes()];
    let public_keys: Vec<&str> = public_keys.iter().map(String::as_str).collect();
    let material = Material { secrets: &secrets, public_keys: &public_keys, urls: &[URL], params: &params };
    let request = ready.raw(now);
    let verified = verify(&scheme, &request, &material, now).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    identify(&preset.provider, &request, &verified, &IdentityRules::default())
}

fn presets_of(sample: &Sample) -> Vec<&'static Preset> {
    presets().filter(|preset| preset.provider.name == sample.provider).collect()
}

#[test]
fn every_sample_is_genuine_and_of_the_type_that_its_name_says() {
    for sample in samples() {
        let presets = presets_of(&sample);
        assert!(!presets.is_empty(), "{sample:?} belongs to no provider");
        for preset in presets {
            let typed = !preset.provider.event.kind.is_empty();
            let draft = events(&sample, preset, 1, false).remove(0);
            let expected = if typed { sample.kind() } else { "" };
            assert_eq!(draft.kind, expected, "{}/{} under {}", sample.provider, sample.event, preset.name);
        }
    }
}

#[test]
fn a_second_sample_is_another_event_and_a_kept_one_is_the_same() {
    for sample in samples() {
        let preset = presets_of(&sample)[0];
        let id = |seed, keep| events(&sample, preset, seed, keep).remove(0).provider_id;
        let name = format!("{}/{}", sample.provider, sample.event);
        assert_eq!(id(1, true), id(2, true), "{name}");
        // A notice of Dropbox says only whose files changed, and so its hash is the same both times.
        if let Some(first) = id(1, false).filter(|_| sample.provider != "dropbox") {
            assert_ne!(Some(first), id(2, false), "{name}");
        }
    }
}

/// The host remembers more than ids: where an id is not signed, the body and its signature too.
#[test]
fn a_second_sample_is_no_repetition_under_any_preset_and_a_kept_one_is() {
    for sample in samples() {
        for preset in presets_of(&sample) {
            let keys = |seed, keep| -> BTreeSet<_> {
                events(&sample, preset, seed, keep).into_iter().flat_map(|draft| draft.dedup_keys).collect()
            };
            let name = format!("{}/{} under {}", sample.provider, sample.event, preset.name);
            assert!(keys(1, false).is_disjoint(&keys(2, false)), "{name}");
            let kept = keys(1, true);
            assert!(kept.is_empty() || !kept.is_disjoint(&keys(2, true)), "{name}");
        }
    }
}

#[test]
fn an_id_is_the_same_wherever_it_stands() {
    let renewed = |provider: &str, event: &str| {
        let sample = sample(provider, event).unwrap();
        let (mut payload, rules) = (sample.payload().unwrap(), &preset_meant(provider).unwrap().provider.event);
        fresh::renew(&mut payload, rules, &sample.telling(), NOW, &Entropy::seeded(1));
        let Payload::Json(body) = payload else { panic!("a JSON sample") };
        body
    };
    let push = renewed("github", "push");
    assert!(push["after"] == push["commits"][1]["id"] && push["before"] == "6113728f27ae82c7b1a177c8d03f9e96e0adf246");
    let ping = renewed("github", "ping");
    assert!(ping["hook_id"].is_u64() && ping["hook_id"] == ping["hook"]["id"], "{ping}");
    let order = renewed("shopify", "orders/create");
    assert_eq!(order["admin_graphql_api_id"], format!("gid://shopify/Order/{}", order["id"]));
    let tweet = renewed("twitter", "tweet_create")["tweet_create_events"][0].take();
    assert_eq!(tweet["id_str"], tweet["id"].to_string());
}

#[test]
fn every_provider_has_two_samples_and_the_voice_providers_all() {
    let mut events: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sample in samples() {
        events.entry(sample.provider.clone()).or_default().insert(sample.event);
    }
    for preset in presets().filter(|preset| preset.provider.name != "aws-sns") {
        let count = events.get(&preset.provider.name).map_or(0, BTreeSet::len);
        assert!(count >= 2, "{} has {count}", preset.provider.name);
    }
    let vapi = "assistant-request tool-calls transfer-destination-request handoff-destination-request \
                knowledge-base-request voice-request call.endpointing.request campaign.predial status-update \
                end-of-call-report hang conversation-update transcript speech-update assistant.started \
                assistant.speechStarted model-output transfer-update user-interrupted language-changed \
                language-change-detected phone-call-control voice-input chat.created chat.deleted session.created \
                session.updated session.deleted call.deleted call.delete.failed call.artifact.upload function-call";
    let retell = "call_started call_ended call_analyzed transcript_updated transfer_started transfer_bridged \
                  transfer_cancelled transfer_ended chat_started chat_ended chat_analyzed call_inbound";
    let elevenlabs = "post_call_transcription post_call_audio call_initiation_failure voice_removal_notice \
                      voice_removal_notice_withdrawn voice_removed";
    for (provider, types) in [("vapi", vapi), ("retell", retell), ("elevenlabs", elevenlabs)] {
        for kind in types.split_whitespace() {
            assert!(events[provider].contains(kind), "{provider} {kind}");
        }
    }
}

#[test]
fn headers_are_those_that_the_providers_own_libraries_look_for() {
    let sent = |provider: &str, event: &str| {
        let preset = preset_meant(provider).unwrap();
        let params = trial::params(preset);
        let secret = trial::keys(&preset.scheme(&params).unwrap(), &Entropy::seeded(7)).unwrap().secret;
        let (set, signed_url, keep_ids) = (&[][..], None, false);
        let wanted = Wanted { preset, params, secret: &secret, url: URL, signed_url, set, keep_ids };
        let ready = sample(provider, event).unwrap().request(&wanted, NOW, &Entropy::seeded(1)).unwrap();
        move |name: &str| ready.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone())
    };
    // LiveKit's receiver takes a token with `Bearer` before it, but LiveKit sends none and its SDK takes none.
    let token = sent("livekit", "room_started")("authorization").unwrap();
    assert!(!token.contains(' ') && token.split('.').count() == 3, "{token}");
    for (provider, prefix) in [("shopify", "x-shopify-"), ("shopify-events", "shopify-")] {
        let header = sent(provider, "orders/create");
        for name in ["shop-domain", "api-version", "event-id", "webhook-id", "topic"] {
            assert!(header(&format!("{prefix}{name}")).is_some_and(|value| !value.is_empty()), "{prefix}{name}");
        }
    }
}

#[test]
fn values_can_be_set() {
    let sample = sample("stripe", "invoice.paid").unwrap();
    let mut payload = sample.payload().unwrap();
    fresh::set(&mut payload, "/data/object/amount_paid", "7").unwrap();
    fresh::set(&mut payload, "/data/object/note", "it's new").unwrap();
    assert!(fresh::set(&mut payload, "/nowhere/at/all", "1").unwrap_err().to_string().contains("`/nowhere/at`"));
    assert!(fresh::set(&mut payload, "data", "1").is_err());
    let Payload::Json(body) = payload else { panic!("a JSON sample") };
    assert_eq!(
        (&body["data"]["object"]["amount_paid"], &body["data"]["object"]["note"]),
        (&7.into(), &"it's new".into())
    );
    let mut form = Payload::Form(vec![("A".into(), "1".into())]);
    fresh::set(&mut form, "/A", "2").unwrap();
    fresh::set(&mut form, "/B", "3").unwrap();
    assert_eq!(form.bytes(), "A=2&B=3");
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let error = sample("slack", "nonsense").unwrap_err().to_string();
    assert!(error.contains("app_mention, message"), "{error}");
    assert!(sample("aws-sns", "Notification").unwrap_err().to_string().contains("no samples"));
    assert_eq!(preset_meant("vapi").unwrap().name, "vapi-hmac");
    assert!(preset_meant("nobody").is_err());
}
