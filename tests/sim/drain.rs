//! The end of a simulation: everything outside is well, and the host works off what there is, as its pumps would.
//!
//! Nobody looks without a reason: a wake-up, or the time at which the store says that something is due. So a wake-up
//! that is lost, a time that is too late and a line that nobody moves on all end the same way: with work that is left.

use creel_store::contract::Store;
use creel_webhook::clock::Timestamp;
use creel_webhook::quota::day_of;

use crate::model::{Check, hold};
use crate::sim::Sim;

/// Looks after which there would have been an end.
const LOOKS_MAX: u32 = 3_000;

/// Midnights that are passed with a tenant's quotas; then it asks for more.
const MIDNIGHTS: i64 = 1;

/// How much later than due something may be looked at, milliseconds.
const PATIENCE_MS: u64 = 1_000;

/// Works until nothing is left.
pub(crate) async fn drain(sim: &mut Sim) -> Check {
    let last_day = day_of(sim.now) + MIDNIGHTS;
    for _ in 0..LOOKS_MAX {
        if day_of(sim.now) > last_day {
            sim.lift().await?;
        }
        // Behind this verb every earlier wake-up has been raised.
        let pinged = sim.store.ping().await;
        sim.known("ping", pinged)?;
        let due = [
            sim.store.run_due(sim.looked[0]).await.map_err(|error| error.to_string())?,
            sim.store.delivery_due(sim.looked[1]).await.map_err(|error| error.to_string())?,
        ];
        let is_due = |work: usize, sim: &Sim| sim.woken[work] || due[work].is_some_and(|at| at <= sim.now);
        if is_due(0, sim) {
            runs(sim).await?;
        } else if is_due(1, sim) {
            calls(sim).await?;
        } else {
            let is_sent = sim.send_rest().await?;
            match due.into_iter().chain([sim.comes_back]).flatten().min() {
                // What was sent just now may be due at once.
                _ if !is_sent && sim.comes_back.is_none() => {}
                Some(at) => wait_until(sim, at).await?,
                None => return nothing_is_left(sim).await,
            }
        }
    }
    Err(format!("after {LOOKS_MAX} looks there is still work"))
}

/// Some workers are alone, and then it shows whose turn it is.
async fn runs(sim: &mut Sim) -> Check {
    sim.woken[0] = false;
    let max = sim.of(&[1, 4, 16]);
    loop {
        let claimed = sim.claim_runs_upto(max).await?;
        // Who is overtaken has something in hand again.
        while !sim.jobs.is_empty() {
            for ticket in sim.take_jobs() {
                sim.finish(&ticket).await?;
            }
        }
        sim.now = sim.now.plus_ms(1);
        if claimed == Some(0) {
            return Ok(());
        }
    }
}

async fn calls(sim: &mut Sim) -> Check {
    sim.woken[1] = false;
    loop {
        let claimed = sim.claim_calls_upto(4).await?;
        sim.finish_calls().await?;
        if claimed == Some(0) {
            return Ok(());
        }
    }
}

async fn wait_until(sim: &mut Sim, at: Timestamp) -> Check {
    let due = sim.model.earliest(sim.at());
    if let Some((due, what)) = due {
        let in_time = at <= due.max(sim.now).plus_ms(PATIENCE_MS);
        hold!(in_time, "{what} is due at {due} and nobody is to look before {at}");
    }
    sim.now = sim.now.max(at);
    sim.tell_waiting().await?;
    if sim.has_forgotten() {
        // What is over by now would go too, and nobody could judge it.
        return Ok(());
    }
    let pruned = sim.store.prune(sim.now).await;
    sim.known("upkeep", pruned).map(|_| ())
}

async fn nothing_is_left(sim: &mut Sim) -> Check {
    let stats = sim.store.stats().await.map_err(|error| error.to_string())?;
    hold!(
        stats.runs_pending == 0 && stats.deliveries_pending == 0,
        "{} runs and {} calls are pending, and nothing is due",
        stats.runs_pending,
        stats.deliveries_pending
    );
    Ok(())
}
