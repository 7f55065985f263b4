//! The vault on a PostgreSQL server: the same stories, and what only a server can do to it.

use crate::cluster::on_postgres;

/// Tests of other modules, word for word, with every vault of theirs on PostgreSQL.
macro_rules! again {
    ($($module:ident: $($test:ident),+;)+) => { $(mod $module { $(
        #[test]
        fn $test() {
            super::on_postgres(crate::$module::$test);
        }
    )+ })+ };
}

again! {
    story: the_whole_story;
    restore:
        an_older_database_releases_nothing_until_a_restart_and_then_only_what_is_still_live,
        a_backup_is_restored_in_one_step,
        what_was_rotated_after_the_backup_is_exposed_again,
        an_older_anchor_does_not_open_and_only_confirmed_grants_are_made_anew,
        a_lost_anchor_is_made_anew_by_the_kit,
        a_lost_machine_is_made_anew_by_the_kit,
        a_restart_that_was_cut_off_still_records_the_gap,
        what_is_refused_changes_nothing,
        a_refused_backup_never_costs_the_database,
        a_whole_machine_put_back_locks_itself_when_a_member_shows_a_newer_head,
        a_backup_made_while_others_write_verifies_when_it_is_restored;
}
