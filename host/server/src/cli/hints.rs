//! What to type next: a host's advice speaks of its API, and here the same is said in commands.

/// What the API advises, and the command that does it.
const COMMANDS: &[(&str, &str)] = &[
    ("GET …/events lists", "`creel events` lists"),
    ("GET …/runs lists", "`creel runs` lists"),
    ("GET …/deliveries lists", "`creel deliveries` lists"),
    ("GET …/sources lists", "`creel sources` lists"),
    ("GET …/destinations lists", "`creel destinations` lists"),
    ("GET …/deployments lists", "`creel versions PLUGIN` lists"),
    ("GET …/state lists", "`creel state PLUGIN` lists"),
    ("GET …/routes lists", "`creel routes` lists"),
    ("GET …/secrets lists", "`creel secrets` lists"),
    ("GET …/keys lists", "`creel keys` lists"),
    ("GET /v1/tenants lists", "`creel tenants` lists"),
    ("GET /v1/whoami names its own", "without --tenant or CREEL_TENANT it is about its own"),
    ("PUT …/notices names", "`creel notices DESTINATION` names"),
    ("POST /v1/keys makes one", "leave --tenant and CREEL_TENANT out to make one"),
    ("POST …/keys", "`creel keys create`"),
];

/// The advice in a refusal, in commands.
pub fn in_commands(detail: &str) -> String {
    let known = COMMANDS.iter().find(|(api, _)| detail.contains(api));
    if let Some((api, command)) = known {
        return detail.replace(api, command);
    }
    let Some((before, put)) = detail.split_once("PUT …/") else { return detail.to_owned() };
    match put.strip_prefix("plugins/").and_then(|plugin| plugin.strip_suffix(" makes it")) {
        Some(plugin) => format!("{before}`creel deploy {plugin} DIR` makes it"),
        None if put.ends_with(" first") => format!("{before}`creel apply` makes it, from a file that names it"),
        None => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_in_commands() {
        assert_eq!(
            in_commands("there is no event `evt_1`; GET …/events lists them"),
            "there is no event `evt_1`; `creel events` lists them"
        );
        assert_eq!(
            in_commands("there is no plugin `x`; PUT …/plugins/x makes it"),
            "there is no plugin `x`; `creel deploy x DIR` makes it"
        );
        assert_eq!(
            in_commands("there is no secret `s`; PUT …/secrets/s first"),
            "there is no secret `s`; `creel apply` makes it, from a file that names it"
        );
        assert_eq!(in_commands("it is not over yet"), "it is not over yet");
    }
}
