/*
 * A rollback that a person asks for, days after an update: the same steps towards the version before, with its
 * data from the backup that is linked to it when that is wanted. What is there now is backed up first and
 * comes back when the old version does not verify.
 */
#include "base/own.h"
#include "update/around.h"
#include "update/steps.h"
#include "update/stories.h"

static const Step *const rollback_steps[] = {
        &step_preflight,
        &step_fetch,
        &step_build,
        &step_backup,
        &step_prove,
        &step_prepare_data,
        &step_reserve,
        &step_stop,
        &step_second_pass,
        &step_config,
        &step_place,
        &step_swap_data,
        &step_start,
        &step_verify,
        &step_merge,
        &step_monitor,
        &step_record,
        &step_publish,
        &step_tidy,
        &step_prune,
        &step_verify_old,
        &step_publish_old,
        &step_tidy_old,
        &step_busy,
        HOOK_STEPS,
};

const Story rollback_story = {
        .kind = "rollback",
        .steps = rollback_steps,
        .n_steps = COUNT_OF(rollback_steps),
        .decide = decide_rollback,
        .end_leftovers = end_leftovers,
        .armed = tell_keeper,
        .beyond_cancel = let_finish,
};

/* `belay backup restore`: the data of a backup under the version that is installed. */
static const Step *const restore_steps[] = {
        &step_backup,
        &step_prove,
        &step_prepare_data,
        &step_reserve,
        &step_stop,
        &step_second_pass,
        &step_swap_data,
        &step_start,
        &step_verify,
        &step_merge,
        &step_publish,
        &step_tidy,
        &step_verify_old,
        &step_publish_old,
        &step_tidy_old,
        &step_busy,
        HOOK_STEPS,
};

const Story restore_story = {
        .kind = "restore",
        .steps = restore_steps,
        .n_steps = COUNT_OF(restore_steps),
        .decide = decide_rollback,
        .end_leftovers = end_leftovers,
        .armed = tell_keeper,
        .beyond_cancel = let_finish,
};
