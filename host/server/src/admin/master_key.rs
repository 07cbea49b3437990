//! The master key: a new one, while everything goes on.

use axum::Json;
use axum::extract::State;

use super::problem::Refusal;
use super::state::Desk;
use crate::api::Rekeyed;
use crate::rekeying;

/// `POST /v1/master-key/rotate`: makes a new key in the file of the old one and seals all secrets again.
pub async fn rotate(State(desk): State<Desk>) -> Result<Json<Rekeyed>, Refusal> {
    let Some(file) = desk.admin.master_key_file.clone() else {
        let detail = "the master key comes from CREEL_MASTER_KEY, and a host does not change its environment; write that key \
            into a file named by `master_key.file` (64 hexadecimal digits, mode 0600), start the host without CREEL_MASTER_KEY, \
            and rotate then";
        return Err(Refusal::Conflict(detail.to_owned()));
    };
    let _turn = desk.turn().await;
    let admin = &desk.admin;
    match rekeying::rotate(desk.store(), &admin.master, &file, &admin.entropy).await {
        Ok(secrets) => Ok(Json(Rekeyed { secrets })),
        Err(rekeying::RekeyError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "the master key was not rotated");
            Err(Refusal::Conflict(
                "the new key's file could not be written; the host's log says why. Nothing is lost: \
                mend that and rotate again"
                    .to_owned(),
            ))
        }
    }
}
