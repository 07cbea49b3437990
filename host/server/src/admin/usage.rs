//! What a tenant used, day by day, for bills; and what it may still use today.

use axum::Json;
use axum::extract::State;
use creel_store::contract::UsedDay;
use creel_webhook::clock::Timestamp;
use creel_webhook::quota::{Quota, Quotas, UNLIMITED, renewed_at};

use super::access::Scope;
use super::body;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use crate::api::{List, Moment, QuotaView, UsageView};
use crate::spec::fields::Mistake;

/// Days that are shown when nothing is said: a month's bill.
const DAYS_DEFAULT: u64 = 31;

/// Most days of one question: a year and a day.
const DAYS_MAX: u64 = 366;

const DAY_MS: u64 = 86_400_000;

/// `GET …/usage?since=&until=`: the days (UTC) on which something was used, oldest first; the last 31 unless said
/// otherwise.
pub async fn list(State(desk): State<Desk>, scope: Scope, mut query: Query) -> Result<Json<List<UsageView>>, Refusal> {
    let (since, until) = (day(&mut query, "since"), day(&mut query, "until"));
    query.done()?;
    let until = until.unwrap_or_else(|| desk.now());
    let back = i64::try_from((DAYS_DEFAULT - 1) * DAY_MS).unwrap_or(i64::MAX);
    let since = since.unwrap_or_else(|| Timestamp::from_millis(until.as_millis().saturating_sub(back)));
    if until.since_ms(since) > DAYS_MAX * DAY_MS {
        return Err(Refusal::Query(vec![Mistake::new("?since", format!("at most {DAYS_MAX} days are told at once"))]));
    }
    let days = desk.store().usage_list(scope.tenant.id, since, until).await?;
    Ok(body::list(days.into_iter().map(view).collect()))
}

/// `GET …/quotas`: the daily quotas, and what is used of them since midnight UTC.
pub async fn quotas(State(desk): State<Desk>, scope: Scope) -> Result<Json<List<QuotaView>>, Refusal> {
    let now = desk.now();
    let today = desk.store().usage_list(scope.tenant.id, now, now).await?;
    let used = today.first().map(|day| day.used).unwrap_or_default();
    let quotas = Quotas::from(&desk.ceilings.holds(&scope.tenant.limits));
    let view = |quota: Quota| QuotaView {
        quota,
        used: used.of(quota),
        max: Some(quotas.of(quota)).filter(|max| *max < UNLIMITED),
        renewed_at: Moment(renewed_at(now)),
        beyond: quota.beyond().to_owned(),
    };
    Ok(body::list(Quota::ALL.into_iter().map(view).collect()))
}

fn day(query: &mut Query, name: &'static str) -> Option<Timestamp> {
    query.read(name, |text| {
        let day = text.parse::<jiff::civil::Date>().and_then(|day| day.to_zoned_datetime(jiff::tz::TimeZone::UTC));
        let moment = day.map_err(|_| format!("`{text}` is no day such as 2026-01-31, in UTC"))?;
        Ok(Timestamp::from_millis(moment.timestamp().as_millisecond()))
    })
}

fn view(UsedDay { day, used }: UsedDay) -> UsageView {
    UsageView {
        day: day.to_string().chars().take_while(|c| *c != 'T').collect(),
        events: used.events,
        runs: used.runs,
        fuel: used.fuel,
        bytes_in: used.bytes_in,
        bytes_out: used.bytes_out,
        deliveries: used.deliveries,
    }
}
