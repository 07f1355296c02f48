/* The keeper: it dies anywhere, it guards a runner, it is left alone. */
#include "lib/runtime_world.h"

/* -- the keeper dies -------------------------------------------------------------------------- */

static void it_survives_its_keeper(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        scoped(runtime_status_done) RuntimeStatus alone = inspect(world);
        assert_true(alone.running);
        assert_false(alone.keeper_present);
        assert_true(world->runtime->ensure(&world->at, NULL));
        scoped(runtime_status_done) RuntimeStatus adopted = inspect(world);
        assert_true(adopted.running && adopted.keeper_present);
        assert_int_equal(adopted.main.pid, first.main.pid);
        assert_int_equal(adopted.restarts, 0);
        must_start(world, "1.0.0");
        usleep(1300000);
        scoped(runtime_status_done) RuntimeStatus same = inspect(world);
        assert_int_equal(same.main.pid, first.main.pid);
        kill(first.main.pid, SIGKILL);
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.running &&then.main.pid != first.main.pid;
        }),
                3000);
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_false(second.last_exit_known);
        assert_int_equal(second.last_exit, -1);
        kill_keeper(world);
        assert_false(must_stop(world, 2000));
        assert_int_equal(count_marked(world), 0);
}

static void a_dead_keeper_s_dead_service_is_started_again(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        kill(first.main.pid, SIGKILL);
        WAIT_FOR(!process_alive(&first.main), 1000);
        scoped(runtime_status_done) RuntimeStatus dead = inspect(world);
        assert_true(!dead.running && dead.wanted_running);
        assert_true(world->runtime->ensure(&world->at, NULL));
        WAIT_FOR(({
                scoped(runtime_status_done) RuntimeStatus then = inspect(world);
                then.running;
        }),
                3000);
}

static void what_nobody_recorded_is_ended_before_a_start(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        edit_record(world, "phase", json_string("starting"));
        edit_record(world, "main", process_to_json(&(ProcessId){0}));
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_int_not_equal(first.main.pid, second.main.pid);
        assert_false(process_alive(&first.main));
        assert_int_equal(count_marked(world), 1);
}

static void a_cut_stop_is_finished_by_the_next_start(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus first = inspect(world);
        kill_keeper(world);
        edit_record(world, "wanted", json_string("stopped"));
        must_start(world, "1.0.0");
        scoped(runtime_status_done) RuntimeStatus second = inspect(world);
        assert_int_not_equal(first.main.pid, second.main.pid);
        assert_true(second.wanted_running && second.running);
        assert_int_equal(count_marked(world), 1);
}

static void another_process_with_its_number_is_not_it(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        WAIT_FOR(keeper_pid(world) == 0, 1000);
        pid_t bystander = fork();
        if (bystander == 0) {
                setsid();
                for (;;)
                        pause();
        }
        ProcessId id;
        assert_true(process_identify(bystander, &id));
        id.start_time--;
        edit_record(world, "main", process_to_json(&id));
        edit_record(world, "wanted", json_string("running"));
        edit_record(world, "phase", json_string("running"));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_false(now.running);
        must_stop(world, 500);
        assert_true(is_alive(bystander));
        kill(bystander, SIGKILL);
        waitpid(bystander, NULL, 0);
}

static void after_a_reboot_it_does_not_run(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        WAIT_FOR(keeper_pid(world) == 0, 1000);
        ProcessId id = process_self();
        snprintf(id.boot_id, sizeof(id.boot_id), "00000000-0000-0000-0000-000000000000");
        edit_record(world, "main", process_to_json(&id));
        edit_record(world, "keeper", process_to_json(&id));
        edit_record(world, "wanted", json_string("running"));
        edit_record(world, "phase", json_string("running"));
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(!now.running && now.wanted_running && !now.keeper_present);
        assert_true(world->runtime->ensure(&world->at, NULL));
        /* Nor does a keeper that is there for something else start it: the boot decides, or the run. */
        ProcessId self = process_self();
        assert_true(world->runtime->guard(&world->at, 7, &self, NULL));
        usleep(1500000);
        assert_int_equal(count_marked(world), 0);
        kill_keeper(world);
        assert_true(world->runtime->ensure(&world->at, NULL));
        usleep(1500000);
        assert_int_equal(count_marked(world), 0);
        must_start(world, "1.0.0");
        assert_int_equal(count_marked(world), 1);
}

/* The keeper dies before or after each change that it makes; whoever asked does not notice. */
static void a_keeper_may_die_anywhere(void **context) {
        World *world = *context;
        static const char *const actions[] = {"die", "after", "torn"};
        serve_mode(world, "plain", NULL);
        unsigned tried = 0;
        for (size_t a = 0; a < COUNT_OF(actions); a++) {
                for (unsigned n = 1; n <= 60; n++) {
                        scoped(free_str) char *rule = str_format("keeper:%s:%u", actions[a], n);
                        setenv("BELAY_FAULT", rule, 1);
                        must_start(world, "1.0.0");
                        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
                        assert_true(now.running);
                        assert_int_equal(count_marked(world), 1);
                        must_stop(world, 3000);
                        assert_int_equal(count_marked(world), 0);
                        unsetenv("BELAY_FAULT");
                        while (waitpid(-1, NULL, WNOHANG) > 0)
                                ;
                        tried++;
                }
        }
        print_message("%u deaths of a keeper\n", tried);
}

/* With one failing call each the answer is a clean no, or everything went well all the same. */
static void a_failing_call_leaves_nothing_half_done(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        for (unsigned n = 1; n <= 40; n++) {
                scoped(free_str) char *rule = str_format("keeper:error:%u:ENOSPC", n);
                setenv("BELAY_FAULT", rule, 1);
                bool started = start(world, "1.0.0", NULL);
                scoped(runtime_status_done) RuntimeStatus now = inspect(world);
                assert_int_equal(count_marked(world), started ? 1 : 0);
                assert_int_equal(now.running, started);
                (void)world->runtime->stop(&world->at, 1000, NULL, NULL);
                unsetenv("BELAY_FAULT");
                must_stop(world, 1000);
                assert_int_equal(count_marked(world), 0);
                WAIT_FOR(keeper_pid(world) == 0, 8000);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
        }
}

/* A full disk must not keep a rollback from starting the old version. */
static void a_full_disk_stops_nobody(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        if (mount("tmpfs", world->state.root, "tmpfs", 0, "size=256k,mode=0700") < 0)
                skip();
        scoped(free_str) char *filler = path_join(world->state.root, "filler");
        must_start(world, "1.0.0");
        must_stop(world, 1000);
        int fd = open(filler, O_WRONLY | O_CREAT, 0600);
        char block[4096] = "";
        while (write(fd, block, sizeof(block)) > 0)
                ;
        close(fd);
        must_start(world, "2.0.0");
        scoped(runtime_status_done) RuntimeStatus full = inspect(world);
        assert_true(full.running);
        assert_string_equal(full.version, "2.0.0");
        must_stop(world, 1000);
        must_start(world, "3.0.0");
        assert_int_equal(unlink(filler), 0);
        /* Written down when there is room again. */
        WAIT_FOR(({
                scoped(js_freep) json_t *record =
                        state_load(&world->state, "notes", "keeper.json", NULL);
                str_equal(js_str(js_get(record, "spec"), "version"), "3.0.0");
        }),
                8000);
        must_stop(world, 1000);
        WAIT_FOR(umount2(world->state.root, 0) == 0, 3000);
}

/* -- the guard -------------------------------------------------------------------------------- */

static pid_t fake_runner(ProcessId *ret) {
        pid_t pid = fork();
        if (pid == 0)
                for (;;)
                        pause();
        assert_true(process_identify(pid, ret));
        return pid;
}

static void end_runner(pid_t pid) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static int resumed(World *world, const char *wanted) {
        scoped(free_str) char *path = path_join(world->state.root, "resumed");
        scoped(free_str) char *text = NULL;
        int n = 0;
        if (!file_read_if(path, 4096, &text, NULL, NULL) || !text)
                return 0;
        for (const char *at = text; (at = strstr(at, wanted)); at++)
                n++;
        return n;
}

static void a_dead_runner_s_run_is_resumed(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        must_stop(world, 1000);
        usleep(200000);
        assert_true(keeper_pid(world) > 0); /* it stays to watch */
        scoped(runtime_status_done) RuntimeStatus guarded = inspect(world);
        assert_int_equal(guarded.guarded_run, 7);
        int64_t began = clock_now_ms();
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes 0\n") == 1, 4000);
        assert_true(clock_now_ms() - began >= 1990);
        /* It ended well: nothing is left to watch. */
        WAIT_FOR(keeper_pid(world) == 0, 2000);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_int_equal(now.guarded_run, 0);
}

/* The resumed run is the keeper's child, as the service's orphans are; it must be able to stop the service. */
static void a_resumed_run_outlives_a_stop(void **context) {
        World *world = *context;
        scoped(free_str) char *slow = path_join(world->state.root, "resume-takes-long");
        scoped(free_str) char *pids = path_join(world->dir, "pids");
        assert_true(file_write_durable(slow, "", 0, 0600, NULL));
        serve_mode(world, "forks", pids);
        must_start(world, "1.0.0");
        WAIT_FOR(nth_pid(pids, 1) > 0, 3000);
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        must_stop(world, 1000);
        assert_false(is_alive(nth_pid(pids, 0)) || is_alive(nth_pid(pids, 1)));
        usleep(300000);
        scoped(runtime_status_done) RuntimeStatus guarded = inspect(world);
        assert_int_equal(guarded.guarded_run, 7); /* lifted when it ends: it has not */
        assert_int_equal(unlink(slow), 0);
        WAIT_FOR(keeper_pid(world) == 0, 3000);
}

static void a_failed_resume_is_tried_again(void **context) {
        World *world = *context;
        scoped(free_str) char *how = path_join(world->state.root, "resume-exits");
        assert_true(file_write_durable(how, "1", 1, 0600, NULL));
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        usleep(1000000);
        assert_int_equal(resumed(world, "7 --yes"), 1);
        WAIT_FOR(resumed(world, "7 --yes") == 2, 5000);
        assert_true(world->runtime->unguard(&world->at, 7, NULL));
}

static void a_lifted_guard_does_nothing(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        assert_true(world->runtime->unguard(&world->at, 6, NULL)); /* another run's */
        scoped(runtime_status_done) RuntimeStatus still = inspect(world);
        assert_int_equal(still.guarded_run, 7);
        assert_true(world->runtime->unguard(&world->at, 7, NULL));
        end_runner(pid);
        setenv("BELAY_NO_KEEPER_RESUME", "1", 1);
        pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        end_runner(pid);
        usleep(2500000);
        assert_int_equal(resumed(world, "--yes"), 0);
}

static void a_guard_survives_the_keeper(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        ProcessId runner;
        pid_t pid = fake_runner(&runner);
        assert_true(world->runtime->guard(&world->at, 7, &runner, NULL));
        kill_keeper(world);
        assert_true(world->runtime->ensure(&world->at, NULL));
        end_runner(pid);
        WAIT_FOR(resumed(world, "7 --yes") == 1, 4000);
        kill_keeper(world);
}

/* -- the keeper itself ------------------------------------------------------------------------ */

static unsigned long switches(pid_t pid) {
        scoped(free_str) char *path = str_format("/proc/%d/status", (int)pid);
        scoped(free_str) char *text = NULL;
        assert_true(file_read(path, 65536, &text, NULL, NULL));
        const char *at = strstr(text, "\nvoluntary_ctxt_switches:");
        return at ? strtoul(at + sizeof("\nvoluntary_ctxt_switches:") - 1, NULL, 10) : 0;
}

static void an_idle_keeper_does_nothing(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        usleep(300000);
        pid_t pid = keeper_pid(world);
        unsigned long before = switches(pid);
        usleep(1500000);
        assert_true(switches(pid) - before <= 1);
        scoped(free_str) char *path = str_format("/proc/%d/fd", (int)pid);
        int open_fds = 0;
        for (int fd = 0; fd < 1024; fd++) {
                scoped(free_str) char *at = str_format("%s/%d", path, fd);
                open_fds += file_exists(at);
        }
        assert_int_equal(open_fds, 7); /* three streams, lock, signals, socket, the program */
}

static void strangers_are_not_heard(void **context) {
        World *world = *context;
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        if (geteuid() != 0)
                skip();
        scoped(free_str) char *dir = state_service_dir(&world->state, "notes");
        scoped(free_str) char *socket_path = path_join(dir, "keeper.sock");
        scoped(free_str) char *services = path_dirname(dir);
        chmod(world->state.root, 0755);
        chmod(services, 0755);
        chmod(dir, 0755);
        chmod(socket_path, 0777);
        pid_t stranger = fork();
        if (stranger == 0) {
                struct sockaddr_un address = {.sun_family = AF_UNIX};
                char room[256];
                snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);
                if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ||
                        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                        _exit(2);
                (void)send(fd, "{\"do\":\"stop\",\"timeout_ms\":0}\n", 29, MSG_NOSIGNAL);
                _exit(recv(fd, room, sizeof(room), 0) > 0 ? 1 : 0);
        }
        int status = 0;
        waitpid(stranger, &status, 0);
        assert_int_equal(status, 0);
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        assert_true(now.running);
}

static void a_long_state_directory_is_fine(void **context) {
        World *world = *context;
        scoped(free_str) char *root = str_format("%s/%0100d/%0100d", world->dir, 1, 2);
        scoped(err_clear) Err err = {0};
        state_done(&world->state);
        assert_true(dir_make(root, &err));
        assert_true(state_open(root, &world->state, &err));
        serve_mode(world, "plain", NULL);
        must_start(world, "1.0.0");
        must_stop(world, 1000);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                TEST(it_survives_its_keeper),
                TEST(a_dead_keeper_s_dead_service_is_started_again),
                TEST(what_nobody_recorded_is_ended_before_a_start),
                TEST(a_cut_stop_is_finished_by_the_next_start),
                TEST(another_process_with_its_number_is_not_it),
                TEST(after_a_reboot_it_does_not_run),
                TEST(a_keeper_may_die_anywhere),
                TEST(a_failing_call_leaves_nothing_half_done),
                TEST(a_full_disk_stops_nobody),
                TEST(a_dead_runner_s_run_is_resumed),
                TEST(a_resumed_run_outlives_a_stop),
                TEST(a_failed_resume_is_tried_again),
                TEST(a_lifted_guard_does_nothing),
                TEST(a_guard_survives_the_keeper),
                TEST(an_idle_keeper_does_nothing),
                TEST(strangers_are_not_heard),
                TEST(a_long_state_directory_is_fine),
        };
        RUNTIME_WORLD_MAIN(tests);
}
