//! What every store must do: the definition of [`crate::contract::Store`], written as stories.
//!
//! Each story gets a store of its own from a factory and goes through the trait's door only, so that a second
//! implementation goes under it unchanged: `conformance::all(|| async { … }).await`. Time is an argument; nothing
//! sleeps. A story panics with a sentence when a promise is broken.

mod accepting;
mod asking;
mod counting;
mod crowding;
mod delivering;
mod feeding;
mod following;
mod keeping;
mod limiting;
mod listing;
mod noticing;
mod passing;
mod racing;
mod rationing;
mod remembering;
mod removing;
mod replaying;
mod retaining;
mod running;
mod sharing;
mod waiting;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::contract::Store;

pub use world::{START, World};

/// Makes an empty store.
pub type Factory<'a> = &'a (dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Store>>>> + 'a);

macro_rules! stories {
    ($($module:ident :: $story:ident),* $(,)?) => {
        /// The stories by name, in reading order.
        pub const STORIES: &[&str] = &[$(stringify!($story)),*];

        /// Tells all stories, each to a store of its own.
        pub async fn all(factory: Factory<'_>) {
            $({
                let world = World::new(factory().await).await;
                $module::$story(&world).await;
                world.store.close().await.expect("a store closes");
            })*
        }
    };
}

stories! {
    feeding::followed_events_come_once_and_in_order,
    feeding::a_page_of_large_bodies_is_short,
    running::a_plugin_that_nothing_can_run_is_removed_with_all_that_is_its_own,
    limiting::resuming_a_destination_lets_go_what_its_answers_held,
    limiting::what_waits_for_its_next_attempt_goes_when_a_person_says_so,
    accepting::an_accepted_request_is_there_with_all_that_follows,
    accepting::a_repetition_is_told_what_the_first_was_told,
    accepting::parallel_repetitions_store_one_event,
    accepting::a_batch_stores_only_what_is_new,
    accepting::a_batch_that_begins_with_a_repetition_is_told_what_its_first_was_told,
    accepting::an_expired_key_is_new_again,
    accepting::a_full_tenant_is_refused_and_others_are_not,
    accepting::a_full_tenant_keeps_what_a_waiting_sender_sent,
    accepting::one_bad_item_does_not_spoil_the_others,
    accepting::nothing_of_a_bad_item_stays,
    accepting::tenants_do_not_see_each_other,
    accepting::a_reply_is_decided_once,
    accepting::a_repetition_of_a_waiting_event_waits_too,
    accepting::without_a_slot_the_fallback_is_decided_at_once,
    accepting::a_paused_route_answers_with_the_fallback_and_runs_nothing,
    accepting::an_ended_run_decides_no_other_runs_reply,
    listing::a_page_of_events_looks_at_so_many_and_says_where_the_next_begins,
    listing::events_are_found_by_when_they_came,
    listing::an_event_says_what_became_of_it,
    waiting::a_run_says_what_it_waits_for,
    waiting::a_run_behind_one_that_failed_says_when_it_may_pass,
    waiting::a_tenant_that_used_up_what_it_has_is_what_its_work_waits_for,
    waiting::a_call_says_what_its_lane_waits_for,
    waiting::a_call_behind_an_open_breaker_or_another_call_says_so,
    counting::what_is_used_is_counted_by_days,
    rationing::events_beyond_a_days_quota_are_refused_until_midnight,
    rationing::bytes_beyond_a_days_quota_are_refused,
    rationing::runs_beyond_a_days_quota_wait_until_midnight,
    rationing::fuel_beyond_a_days_quota_holds_what_follows,
    rationing::calls_beyond_a_days_quota_wait_until_midnight,
    running::claims_do_not_overlap,
    running::items_of_a_batch_are_claimed_with_their_own_bytes,
    running::a_stale_commit_changes_nothing,
    running::an_expired_lease_is_due_again,
    running::what_the_latest_try_read_is_kept,
    running::the_limit_that_the_latest_try_would_have_gone_beyond_is_kept,
    running::five_lost_claims_end_a_run,
    running::failures_of_the_host_are_counted_apart,
    running::a_released_claim_was_never_made,
    running::runs_of_a_key_are_decided_one_after_the_other,
    running::a_paused_route_or_source_holds_its_runs,
    running::tenants_take_turns,
    running::a_clock_that_goes_back_does_not_matter,
    running::a_late_outcome_loses_its_calls_unless_kept,
    running::a_reply_run_past_its_deadline_is_not_run,
    running::a_replay_is_a_new_run,
    running::a_removed_route_ends_its_runs,
    asking::a_run_is_claimed_by_whoever_waits_when_it_is_accepted,
    asking::a_call_is_claimed_by_whoever_waits_when_it_is_decided,
    asking::whoever_waits_is_recalled_with_what_time_has_made_due,
    asking::whoever_waits_hears_of_what_is_due_later,
    asking::whoever_asks_again_takes_the_place_of_the_first,
    sharing::a_tenant_holds_as_many_claims_as_it_may,
    sharing::nobody_holds_more_than_is_left_free,
    sharing::used_fuel_delays_what_follows_until_it_is_paid_for,
    sharing::what_ends_by_its_time_or_a_trap_is_charged_for_its_time,
    sharing::a_raised_budget_counts_from_then_on,
    sharing::replies_have_an_account_of_their_own,
    delivering::calls_become_deliveries_with_the_decision,
    delivering::deliveries_of_a_key_go_one_after_the_other,
    limiting::an_open_breaker_holds_the_lane_and_half_open_lets_ever_more_try,
    limiting::what_left_before_a_breaker_opened_does_not_close_it,
    limiting::a_full_receiver_holds_the_lane_as_long_as_it_asks,
    limiting::a_full_receiver_says_nothing_about_the_breaker,
    passing::a_call_that_fails_holds_those_behind_it_only_so_long,
    passing::a_call_that_ends_lets_the_next_go_at_once,
    passing::who_has_passed_is_held_by_nobody_and_holds_the_next,
    passing::a_run_that_fails_holds_those_behind_it_only_so_long,
    passing::a_configured_time_holds_for_what_fails_from_then_on,
    limiting::concurrency_and_rate_bound_a_lane,
    crowding::a_full_queue_makes_room_for_the_newest,
    crowding::what_is_on_its_way_makes_no_room,
    crowding::who_makes_room_in_a_line_lets_nobody_pass,
    crowding::a_head_that_makes_room_lets_the_next_go,
    crowding::a_lowered_limit_is_reached_bit_by_bit,
    crowding::what_made_room_is_reported_and_comes_back_when_there_is_some,
    delivering::a_held_delivery_waits_for_the_resume,
    delivering::a_missing_secret_pauses_until_it_is_saved,
    delivering::a_disabled_destination_gets_dead_letters,
    delivering::an_expired_call_is_not_sent,
    delivering::a_lost_delivery_is_given_up_after_five_claims,
    delivering::a_destination_that_is_stopped_already_is_no_change,
    delivering::control_moves_on_with_every_change,
    keeping::components_that_nothing_uses_make_room_for_new_ones,
    keeping::what_is_active_leaves_room_or_none,
    replaying::dead_runs_are_walked_in_windows,
    replaying::a_dead_run_is_replayed_once,
    replaying::a_replay_of_runs_keeps_to_the_quota,
    replaying::an_event_is_replayed_on_all_its_routes_or_on_none,
    replaying::a_dead_call_comes_back_as_itself,
    racing::delivery_claims_do_not_overlap,
    racing::a_lease_that_expires_during_a_commit_has_one_winner,
    racing::a_lease_that_expires_during_a_deliverys_commit_has_one_winner,
    racing::a_stale_delivery_commit_changes_nothing,
    racing::a_decision_right_behind_its_accept_finds_the_claim_that_came_with_it,
    racing::a_clock_that_goes_back_neither_sends_early_nor_shortens_a_lease,
    following::the_end_of_a_call_is_an_event_for_its_plugin,
    following::only_the_wanted_end_is_reported,
    following::a_call_that_dies_unsent_is_reported_too,
    following::keys_of_a_follow_up_outlive_a_replay,
    following::a_report_stands_in_the_line_of_its_run,
    noticing::who_names_no_destination_is_told_nothing,
    noticing::what_goes_wrong_is_told_with_it,
    noticing::what_was_never_run_is_told_too,
    noticing::a_breaker_is_told_when_it_opens_and_when_it_closes,
    noticing::the_like_is_told_once_in_a_while_and_then_how_often,
    noticing::no_notice_is_about_a_notice,
    noticing::a_notice_that_has_no_room_is_counted,
    noticing::the_destination_of_notices_stays,
    noticing::a_silent_source_is_told_once_per_silence,
    noticing::notices_go_with_the_records_of_their_time,
    remembering::what_a_run_writes_is_there_with_its_decision,
    remembering::nobody_sees_the_state_of_another,
    remembering::a_run_that_was_overtaken_is_not_committed,
    remembering::what_came_or_went_was_overtaken_too,
    remembering::who_only_writes_is_never_overtaken,
    remembering::what_is_tried_again_anyway_is_not_looked_at,
    remembering::a_late_outcome_loses_its_writes_unless_kept,
    remembering::a_plugin_holds_no_more_than_it_may,
    remembering::people_see_and_remove_what_is_remembered,
    removing::a_removed_tenant_is_seen_by_nobody_and_its_name_comes_free,
    removing::what_is_under_way_when_its_tenant_goes_changes_nothing,
    retaining::bodies_go_before_records_and_what_is_pending_stays,
    retaining::a_batch_keeps_its_body_while_one_of_its_events_is_pending,
    retaining::a_repetition_is_known_after_its_event_is_gone,
    retaining::an_erased_event_keeps_its_story_without_its_payload,
    retaining::an_erasure_takes_the_reports_of_earlier_ends_too,
    retaining::what_is_pending_is_not_erased,
    retaining::an_erased_event_of_a_batch_leaves_the_others,
}
