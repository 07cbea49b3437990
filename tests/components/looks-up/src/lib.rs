//! Looks something up with `fetch` and replies with what came back, errors included.
//!
//! Config: `destination`, `method`, `path`, `timeout-ms`, `times`.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(_: Event) -> Result<Outcome, Failure> {
    let mut answers = Vec::new();
    for _ in 0..config::parse::<u32>("times")?.unwrap_or(1) {
        let destination = config::get("destination").unwrap_or_else(|| "receiver".to_owned());
        let method = config::get("method").unwrap_or_else(|| "GET".to_owned());
        let mut request = fetch::Request::new(&method, destination, config::get("path").unwrap_or_default());
        request.timeout = config::parse("timeout-ms")?.map(Duration::from_millis);
        answers.push(match request.send() {
            Ok(response) => json!({ "status": response.status, "text": response.text().ok() }),
            Err(error) => json!({ "error": error.to_string() }),
        });
    }
    Ok(Outcome::new().reply(Reply::json(&answers)?))
}
