//! Uploads of a tenant: so many per minute, one at a time.
//!
//! There is one compiler for all. A tenant that uploads a hundred components stands in its line once, and after
//! `uploads_per_minute` of them it is told to wait; so another's upload waits for one of them and not for all.
//!
//! Who waits in its tenant's line has not been read yet: at most one upload of a tenant is in memory, and all of them share
//! `runtime.in_flight_upload_bytes_max`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use creel_webhook::bucket::Account;
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;

use super::problem::Refusal;
use crate::body::BodyBudget;
use crate::lines::{Head, Lines};

/// What may be saved up, milliseconds: a minute, so that a project of many plugins goes up at once.
const SAVED_MS: u64 = 60_000;

/// What uploads have cost, and the lines before the compiler; clones share them.
#[derive(Debug, Clone)]
pub struct Uploads {
    accounts: Arc<Mutex<HashMap<TenantId, Account>>>,
    lines: Lines,
    budget: BodyBudget,
}

impl Uploads {
    /// Uploads that hold at most so many bytes together.
    pub fn new(in_flight_bytes_max: u64) -> Self {
        Uploads { accounts: Arc::default(), lines: Lines::default(), budget: BodyBudget::new(in_flight_bytes_max) }
    }

    /// What all uploads in memory share.
    pub fn budget(&self) -> &BodyBudget {
        &self.budget
    }

    /// Takes one upload of the tenant's minute and waits for its turn.
    ///
    /// # Errors
    /// [`Refusal::OverQuota`] when the minute's are used up.
    pub async fn turn(&self, tenant: TenantId, per_minute: u64, now: Timestamp) -> Result<Head, Refusal> {
        self.charge(tenant, per_minute, now)?;
        Ok(self.lines.stand(tenant).await)
    }

    fn charge(&self, tenant: TenantId, per_minute: u64, now: Timestamp) -> Result<(), Refusal> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has saved up all that he can needs no account.
        accounts.retain(|_, account| account.free_at().plus_ms(SAVED_MS) > now);
        let account = accounts.entry(tenant).or_default();
        let wait_ms = account.debt_ms(now);
        if wait_ms > 0 {
            return Err(Refusal::OverQuota(format!(
                "the tenant has uploaded as many components as it may (uploads_per_minute is {per_minute}); try again in \
                 {} s, or ask the operator to raise uploads_per_minute for this tenant (`creel tenant NAME \
                 --uploads-per-minute N`)",
                wait_ms.div_ceil(1_000)
            )));
        }
        *account = account.charged(60, per_minute, SAVED_MS, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_uploads_go_at_once_and_then_one_by_one() {
        let uploads = Uploads::new(1_024);
        let (tenant, other) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let at = |ms: i64| Timestamp::from_millis(1_000_000 + ms);
        let taken = (0..100).take_while(|_| uploads.charge(tenant, 30, at(0)).is_ok()).count();
        assert_eq!(taken, 31);
        let Err(Refusal::OverQuota(why)) = uploads.charge(tenant, 30, at(0)) else { panic!("it is over") };
        assert!(why.contains("uploads_per_minute is 30") && why.contains("in 2 s"), "{why}");
        assert!(uploads.charge(other, 30, at(0)).is_ok(), "another has its own");
        assert!(uploads.charge(tenant, 30, at(1_999)).is_err() && uploads.charge(tenant, 30, at(2_000)).is_ok());
        assert!(uploads.charge(other, 30, at(200_000)).is_ok());
        assert_eq!(uploads.accounts.lock().unwrap().len(), 1, "who saved everything up is forgotten");
    }
}
