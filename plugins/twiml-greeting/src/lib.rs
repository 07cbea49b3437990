//! Answers a Twilio call: greets the caller, connects known callers to a person and takes a message from the rest.
//!
//! Settings: `greeting` (required), `language`, `vip` (numbers separated by commas), `forward-to`.

use creel_guest::prelude::*;
use creel_guest::twiml::{Record, Response, Say};

/// A message that is longer is not listened to.
const MESSAGE_SECONDS_MAX: u32 = 120;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let form = event.form();
    let from = form.require("From")?;
    let language = config::get("language").unwrap_or_else(|| "en-US".to_owned());

    let answer = Response::new().say(Say::new(config::require("greeting")?).language(language));
    let answer = match config::get("forward-to").filter(|_| is_vip(from)) {
        Some(number) => answer.dial(number),
        None => answer.record(Record::new().max_length(MESSAGE_SECONDS_MAX).beep(true)).hangup(),
    };
    Ok(Outcome::new().reply(answer))
}

fn is_vip(number: &str) -> bool {
    config::get("vip").is_some_and(|list| list.split(',').any(|known| known.trim() == number))
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}
