//! Answers every provider that waits, with the SDK's builders and with something that only the event tells.
//!
//! Config: `iterations` (turns to burn first, as `late` does; none by default).

use creel_guest::prelude::*;
use creel_guest::{discord, elevenlabs, plivo, retell, slack, twiml, vapi, vonage};

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    burn(config::parse("iterations")?.unwrap_or(0));
    let reply = match event.scheme() {
        "twilio" => twilio(&event)?,
        "plivo" => plivo(&event)?,
        "vonage" => vonage(&event)?,
        "vapi-hmac" => vapi(&event)?,
        "retell" => retell(&event)?,
        "elevenlabs-initiation" => elevenlabs(&event)?,
        "slack" => slack(&event)?,
        "discord" => discord(&event)?,
        other => return Err(Failure::reject(format!("`{other}` does not wait"))),
    };
    Ok(Outcome::new().reply(reply))
}

fn burn(iterations: u64) {
    let mut value = iterations;
    for turn in 0..iterations {
        value = std::hint::black_box(value.rotate_left(7) ^ turn);
    }
}

fn twilio(event: &Event) -> Result<Reply, Failure> {
    let form = event.form();
    if form.get("MessageSid").is_some() {
        return Ok(twiml::Response::new().message(format!("You said: {}", form.require("Body")?)).into());
    }
    let from = form.require("From")?;
    let menu = twiml::Gather::new(twiml::Input::Digits).digits(1).action("/menu").say("Press one & wait");
    let answer = twiml::Response::new().gather(menu).dial(twiml::Dial::number("+15125550100").caller_id(from));
    Ok(answer.hangup().into())
}

fn plivo(event: &Event) -> Result<Reply, Failure> {
    let form = event.form();
    let menu =
        plivo::GetInput::new(plivo::Input::Digits, "https://creel.test/menu").digits(1).speak("Press one & wait");
    Ok(plivo::Response::new().get_input(menu).dial(form.require("From")?).hangup().into())
}

fn vonage(event: &Event) -> Result<Reply, Failure> {
    let call: Value = event.json()?;
    let from = call["from"].as_str().ok_or("the call has no `from`")?;
    let menu = vonage::Input::digits("https://creel.test/menu").max_digits(1);
    let to = vonage::Connect::to(vonage::Endpoint::phone(from));
    Ok(vonage::Ncco::new().talk("Press one").input(menu).connect(to).into())
}

fn vapi(event: &Event) -> Result<Reply, Failure> {
    let message = event.json::<Value>()?["message"].take();
    let caller = message["customer"]["number"].as_str().or(message["call"]["customer"]["number"].as_str());
    let caller = caller.unwrap_or("nobody");
    Ok(match event.kind() {
        "assistant-request" => vapi::Assistant::id("asst-1").variable("caller", caller).into(),
        "tool-calls" => tools(&message).into(),
        "transfer-destination-request" => {
            vapi::Transfer::to(vapi::Destination::number(caller)).while_waiting("One moment.").into()
        }
        "handoff-destination-request" => vapi::Handoff::to_named("Billing").result(caller).into(),
        "knowledge-base-request" => vapi::Documents::new().document(caller, 0.5).into(),
        "voice-request" => vapi::Speech::pcm(message["text"].as_str().unwrap_or_default().as_bytes().to_vec()).into(),
        "call.endpointing.request" => vapi::Endpointing::after(Duration::from_millis(250)).into(),
        "campaign.predial" => vapi::Predial::Call.into(),
        _ => vapi::Error::new("not a question").into(),
    })
}

fn tools(message: &Value) -> vapi::ToolResults {
    let calls = message["toolCallList"].as_array().cloned().unwrap_or_default();
    calls.iter().fold(vapi::ToolResults::new(), |results, call| {
        let text = |key: &str| call[key].as_str().unwrap_or_default();
        results.result(text("id"), text("name"), "a colleague\nwas told")
    })
}

fn retell(event: &Event) -> Result<Reply, Failure> {
    let body: Value = event.json()?;
    Ok(match event.kind() {
        "call_inbound" => {
            let from = body["call_inbound"]["from_number"].as_str().unwrap_or_default();
            retell::Inbound::new().agent("agent_1").variable("caller", from).into()
        }
        name => retell::FunctionResult::json(json!({ "function": name, "booked": true })).into(),
    })
}

fn elevenlabs(event: &Event) -> Result<Reply, Failure> {
    let call: Value = event.json()?;
    let caller = call["caller_id"].as_str().unwrap_or_default();
    Ok(elevenlabs::Initiation::new().variable("caller", caller).first_message("Hello").into())
}

fn slack(event: &Event) -> Result<Reply, Failure> {
    let form = event.form();
    let Some(command) = form.get("command") else { return Ok(Reply::status(200)) };
    Ok(slack::Message::ephemeral(format!("{command}: {}", slack::escape(form.require("text")?))).into())
}

fn discord(event: &Event) -> Result<Reply, Failure> {
    let interaction: Value = event.json()?;
    Ok(match event.kind() {
        "2" => {
            let team = interaction["data"]["options"][0]["value"].as_str().unwrap_or_default();
            discord::Message::new(format!("{team} @everyone")).ephemeral().into()
        }
        _ => discord::Deferred::Update.into(),
    })
}
