//! Looks something up with `fetch` and replies with what came back, errors included; logs it too, for routes on which
//! nobody waits.
//!
//! Config: `destination`, `method`, `path`, `header` (`name: value`), `body`, `timeout-ms`, `times`; `calls` = `true` for a
//! call to `receiver` with the answers.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let mut answers = Vec::new();
    for _ in 0..config::parse::<u32>("times")?.unwrap_or(1) {
        let answer = match request()?.send() {
            Ok(response) => {
                json!({ "status": response.status, "headers": response.headers, "text": response.text().ok() })
            }
            Err(error) => json!({ "error": error.to_string() }),
        };
        log::info!("{answer}");
        answers.push(answer);
    }
    let outcome = Outcome::new().reply(Reply::json(&answers)?);
    match config::get("calls").as_deref() {
        Some("true") => Ok(outcome.call(Call::to("receiver").path("/told").json(&answers)?)),
        _ => Ok(outcome),
    }
}

fn request() -> Result<fetch::Request, Failure> {
    let destination = config::get("destination").unwrap_or_else(|| "receiver".to_owned());
    let method = config::get("method").unwrap_or_else(|| "GET".to_owned());
    let mut request = fetch::Request::new(&method, destination, config::get("path").unwrap_or_default());
    if let Some((name, value)) = config::get("header").as_deref().and_then(|header| header.split_once(": ")) {
        request = request.header(name, value);
    }
    request.body = config::get("body").map(creel_guest::Body::Text);
    request.timeout = config::parse("timeout-ms")?.map(Duration::from_millis);
    Ok(request)
}
