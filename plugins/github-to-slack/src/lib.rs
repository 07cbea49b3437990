//! Announces GitHub pushes in Slack. The smallest plugin: the README walks through it.

use creel_guest::prelude::*;
use creel_guest::slack::escape;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let push: Push = event.json()?;
    let (who, repository) = (push.pusher.name, push.repository.full_name);
    let text = match push.commits.as_slice() {
        [] => return Ok(Outcome::new()),
        [only] => format!("{who} pushed to {repository}: {}", escape(&only.message)),
        all => format!("{who} pushed {} commits to {repository}: <{}|compare>", all.len(), push.compare),
    };
    Ok(Outcome::new().call(Call::to("slack").json(&json!({ "text": text }))?))
}

#[derive(serde::Deserialize)]
struct Push {
    compare: String,
    pusher: Pusher,
    repository: Repository,
    commits: Vec<Commit>,
}

#[derive(serde::Deserialize)]
struct Pusher {
    name: String,
}

#[derive(serde::Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(serde::Deserialize)]
struct Commit {
    message: String,
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}
