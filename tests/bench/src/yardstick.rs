//! The yardstick of `ingest`: the least that any verified endpoint on the same stack does.
//!
//! A bare axum handler that reads the body, checks its HMAC-SHA256 in constant time and answers 202. It keeps nothing,
//! looks nothing up and counts nothing. Same axum, same profile, same number of worker threads as the host.
//!
//! With a component it is the yardstick of `serve`: the body is checked, the component run in the product's sandbox on the
//! thread that serves, and its reply sent.

use std::path::PathBuf;
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
use crate::sandbox::{REPLYING, Sandbox};

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
    /// What answers.
    #[arg(long)]
    component: Option<PathBuf>,
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
    let (key, component) = (Arc::new(options.secret.clone().into_bytes()), options.component.clone());
    runtime.block_on(async move {
        let router = match &component {
            Some(component) => Router::new()
                .route("/in/{token}", post(answer))
                .with_state(Arc::new(Answerer { key, sandbox: Sandbox::read(component, REPLYING).await? })),
            None => Router::new().route("/in/{token}", post(receive)).with_state(key),
        };
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
    if is_genuine(&key, &headers, &body) { StatusCode::ACCEPTED } else { StatusCode::UNAUTHORIZED }
}

fn is_genuine(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| hex::decode(value.as_bytes()).ok());
    signature.is_some_and(|signature| mac(key, body).verify_slice(&signature).is_ok())
}

struct Answerer {
    key: Arc<Vec<u8>>,
    sandbox: Sandbox,
}

async fn answer(
    State(answerer): State<Arc<Answerer>>,
    Path(_token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Bytes), StatusCode> {
    if !is_genuine(&answerer.key, &headers, &body) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let reply = answerer.sandbox.answer(body).await.ok_or(StatusCode::BAD_GATEWAY)?;
    let status = StatusCode::from_u16(reply.status).map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok((status, reply.body.unwrap_or_default()))
}

/// The HMAC-SHA256 of a body.
pub(crate) fn mac(key: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(body);
    mac
}
