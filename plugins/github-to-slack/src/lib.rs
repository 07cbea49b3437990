//! Announces new and merged GitHub pull requests in Slack. The smallest plugin: the README walks through it.

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let hook: Hook = event.json()?;
    let verb = match (hook.action.as_str(), hook.pull_request.merged) {
        ("opened", _) => "opened",
        ("closed", true) => "merged",
        _ => return Ok(Outcome::new()),
    };
    let PullRequest { html_url, title, user, .. } = hook.pull_request;
    let text = format!("{} {verb} <{html_url}|{}>", user.login, escape(&title));
    Ok(Outcome::new().call(Call::to("slack").json(&json!({ "text": text }))?))
}

/// Slack reads three characters as markup; a title must not become a link or a mention of everybody.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[derive(serde::Deserialize)]
struct Hook {
    action: String,
    pull_request: PullRequest,
}

#[derive(serde::Deserialize)]
struct PullRequest {
    html_url: String,
    title: String,
    user: User,
    merged: bool,
}

#[derive(serde::Deserialize)]
struct User {
    login: String,
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        creel_guest::testing::cases::check("cases", super::handle);
    }
}
