//! The recipes in the plugins' pages: each is a file that `creel apply` takes, for a component that the plugin's own crate
//! is named after.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::desk::Desk;
use crate::harness::guests::checkout;

/// The recipe in a page.
fn recipe(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("```toml\n")?;
    Some(rest.split_once("```")?.0)
}

/// The variables that a recipe takes secrets from.
fn variables(recipe: &str) -> Vec<&str> {
    let named = recipe.lines().filter_map(|line| line.strip_prefix("value_env = \""));
    named.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// `creel --json apply --yes` on a file, with a value for each of its variables.
async fn applied(url: &str, key: &str, file: &Path, variables: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(["--json", "apply", "--yes"]).arg(file).env_clear().env("CREEL_URL", url).env("CREEL_KEY", key);
    let output = command.envs(variables.iter().map(|name| (*name, "a secret"))).stdin(Stdio::null()).output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn every_plugins_page_holds_a_recipe_that_can_be_applied() {
    let mut pages = 0;
    for entry in std::fs::read_dir(checkout().join("plugins")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "guest-sdk" || !folder.join("Cargo.toml").is_file() {
            continue;
        }
        let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let recipe = recipe(&page).unwrap_or_else(|| panic!("{name} has no recipe"));
        let desk = Desk::new().await;
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let router = desk.router.clone();
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        let file = desk.directory.path().join("recipe.toml");
        // What a reader has to fill in.
        std::fs::write(&file, recipe.replace('…', "filled-in")).unwrap();
        std::fs::write(desk.directory.path().join(format!("{name}.wasm")), "component").unwrap();

        let plan = applied(&url, &desk.operator, &file, &variables(recipe)).await;
        let steps = plan["steps"].as_array().unwrap();
        let has = |kind: &str, wanted: &dyn Fn(&str) -> bool| {
            steps.iter().any(|step| step["kind"] == kind && step["name"].as_str().is_some_and(wanted))
        };
        assert!(has("plugin", &|plugin| plugin == name), "{name}: {plan}");
        assert!(has("source", &|_| true) && has("route", &|_| true), "{name}: {plan}");
        pages += 1;
    }
    assert!(pages > 0, "no plugin was found");
}
