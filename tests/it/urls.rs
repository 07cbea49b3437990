//! The URLs that a whole host gives away lead to it.

use std::sync::Arc;

use creel_server::app::{App, Surroundings};
use creel_server::cli::client::Client;
use creel_server::cli::init;
use creel_server::config::Config;
use creel_server::shutdown::Shutdown;
use creel_server::system::{Entropy, SystemClock};
use serde_json::json;

#[tokio::test]
async fn urls_follow_the_address_that_was_bound() {
    let temp = tempfile::tempdir().unwrap();
    let mut config = Config::in_directory(temp.path());
    config.ingress.listen.set_port(0);
    config.admin.listen.set_port(0);
    config.runtime.concurrent_runs = 1;
    config.runtime.reply_slots = 1;
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(Entropy::seeded(5)));
    let key = init::initialise(&config, &entropy, clock.as_ref()).await.unwrap();
    let app = App::open(config, Surroundings { clock, entropy, client: None, compile_command: None }).await.unwrap();
    let ingress = app.ingress_addr().unwrap();
    let client = Client::new(&format!("http://{}", app.admin_addr().unwrap()), &key).unwrap();
    let shutdown = Shutdown::new();
    let serving = tokio::spawn(app.serve(shutdown.clone()));
    client.tenant_put("acme", &json!({})).await.unwrap();
    let tenant = client.tenant("acme");
    tenant.put::<creel_server::api::SecretView>("s", &json!({ "value": "x" })).await.unwrap();
    let source = json!({ "preset": "vapi-hmac", "secrets": ["s"] });
    let made = tenant.put::<creel_server::api::SourceView>("calls", &source).await.unwrap().resource;
    assert_eq!(made.url, format!("http://{ingress}{}", made.path));
    shutdown.begin();
    serving.await.unwrap().unwrap();
}
