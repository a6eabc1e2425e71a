//! The `Store` port's contract, run against SQLite and PostgreSQL alike, and what is special to
//! each.

mod appending;
mod backend;
mod cursors;
mod direct;
mod groups;
mod memory;
mod opening;
mod orders;
mod outages;
mod outbox;
mod reading;
mod searching;
mod uploads;
mod waiting;

/// One test per function and database.
macro_rules! suite {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$module::$name(super::backend::Backend::sqlite()).await;
                }
            )+)+
        }
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$module::$name(super::backend::Backend::postgres().await).await;
                }
            )+)+
        }
    };
}

suite! {
    appending:
        numbers_messages_without_gaps_under_concurrent_senders,
        returns_what_was_committed,
        honours_a_client_id_sequentially,
        honours_a_client_id_concurrently,
        honours_a_client_id_over_two_stores,
        honours_a_client_id_after_reopening,
        refuses_a_client_id_of_another_conversation,
        settles_a_race_for_one_client_id_between_conversations,
        refuses_strangers_and_those_removed,
        refuses_unknown_and_deleted_conversations,
        one_bad_message_does_not_fail_the_others,
        a_taken_message_id_is_a_conflict,
        keeps_every_text,
        survives_without_closing,
        commits_what_is_queued_when_closing,
        refuses_everything_after_closing;
    memory:
        names_who_takes_part_at_each_commit,
        believes_the_database_over_its_memory;
    cursors:
        move_forward_only_and_within_the_conversation,
        reading_is_receiving,
        concurrent_moves_settle_on_the_highest,
        the_senders_own_move_with_the_message,
        refuse_outsiders_and_deleted_conversations;
    direct:
        opens_the_conversation_of_an_id_for_its_two_users_only,
        the_first_direct_conversation_is_the_one_without_an_id,
        concurrent_openings_make_one_conversation,
        a_named_receiver_must_take_part;
    waiting:
        what_was_not_received_waits,
        pages_follow_one_another;
    groups:
        are_made_with_their_roles,
        refuse_a_taken_id,
        take_in_members_once,
        are_bounded,
        lose_members_and_take_them_back,
        never_remain_without_an_admin,
        end_with_their_last_member,
        are_renamed,
        direct_is_unique_for_a_pair,
        direct_is_made_once_by_many,
        direct_does_not_change,
        deleting_frees_the_pair,
        deleting_tells_who_took_part,
        membership_and_messages_do_not_deadlock;
    reading:
        pages_of_messages_in_both_directions,
        messages_need_a_participant,
        gaps_last_seqs_and_places,
        the_list_is_ordered_and_paged,
        the_list_counts_and_shows,
        users_keep_what_tokens_told,
        last_seen_never_goes_back,
        contacts_share_a_conversation,
        what_is_gone_is_not_found;
    outbox:
        holds_each_message_until_it_is_published,
        leases_what_it_hands_out,
        hands_each_row_to_one_claimer,
        clears_without_further_traffic;
    orders:
        are_read_by_version,
        are_extended_until_they_end,
        are_forgotten_after_their_end,
        become_visible_in_order,
        of_kinds_to_come_are_passed_over,
        tell_who_takes_no_part_any_more;
    searching:
        words_are_found_however_they_are_written,
        phrases_beginnings_and_exclusions,
        only_those_present_find_anything,
        hostile_queries_mean_words_only,
        pages_begin_where_they_are_told,
        many_conversations_are_searched_at_once,
        contents_of_any_kind_can_be_sent;
    uploads:
        exist_once_they_are_complete,
        are_kept_with_the_message,
        of_others_or_unknown_are_refused,
        are_shared_with_those_present,
        without_a_message_are_given_up,
        are_not_given_up_while_being_attached;
}
