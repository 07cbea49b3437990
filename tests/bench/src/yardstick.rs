//! The yardstick of `ingest`: the least that any verified endpoint on the same stack does.
//!
//! A bare axum handler that reads the body, checks its HMAC-SHA256 in constant time and answers 202. It keeps nothing,
//! looks nothing up and counts nothing. Same axum, same profile, same number of worker threads as the host.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::child;

/// Header of the signature, hexadecimal.
pub(crate) const SIGNATURE_HEADER: &str = "x-signature";

/// How the yardstick is started.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What requests are signed with.
    #[arg(long)]
    secret: String,
}

/// What it says when it listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where.
    pub(crate) address: String,
}

/// What it says at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {}

/// Serves until standard input ends.
pub(crate) fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    let key = Arc::new(options.secret.clone().into_bytes());
    runtime.block_on(async move {
        let router = Router::new().route("/in/{token}", post(receive)).with_state(key);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("binding")?;
        child::say(&Ready { address: listener.local_addr()?.to_string() })?;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        child::told_to_stop().await;
        serving.abort();
        child::say(&Ended {})
    })
}

async fn receive(
    State(key): State<Arc<Vec<u8>>>,
    Path(_token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| hex::decode(value.as_bytes()).ok());
    let genuine = signature.is_some_and(|signature| mac(&key, &body).verify_slice(&signature).is_ok());
    if genuine { StatusCode::ACCEPTED } else { StatusCode::UNAUTHORIZED }
}

/// The HMAC-SHA256 of a body.
pub(crate) fn mac(key: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(body);
    mac
}
