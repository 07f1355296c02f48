#include "lib/runtime_world.h"

/* -- the service ------------------------------------------------------------------------------ */

static volatile sig_atomic_t asked_to_end;
static void on_term(int signal) { asked_to_end = signal; }

static int serve_until_asked(void) {
        sigset_t term, before;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, &before);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        while (!asked_to_end)
                sigsuspend(&before);
        printf("ending\n");
        return 0;
}

_Noreturn static void serve_for_ever(void) {
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        for (;;)
                pause();
}

static void note_pid(const char *path) {
        FILE *file = fopen(path, "a");
        if (file) {
                fprintf(file, "%d\n", (int)getpid());
                fclose(file);
        }
}

/* A grandchild in a session of its own, whose parent is gone; with `bare` without any environment. */
static void fork_away(const char *pid_file, bool bare) {
        pid_t child = fork();
        if (child > 0) {
                waitpid(child, NULL, 0);
                return;
        }
        setsid();
        if (fork() != 0)
                _exit(0);
        note_pid(pid_file);
        char *argv[] = {(char[]){"service"}, (char[]){"serve"}, (char[]){"stubborn"}, NULL};
        char *nothing[] = {NULL};
        execve("/proc/self/exe", argv, bare ? nothing : environ);
        _exit(1);
}

static int serve_port(const char *port) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        struct sockaddr_in address = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                .sin_addr = {htonl(INADDR_LOOPBACK)}};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 5) < 0) {
                perror("listen");
                return 1;
        }
        return serve_until_asked();
}

static int serve_environment(void) {
        for (char **at = environ; *at; at++)
                printf("env %s\n", *at);
        char directory[4096];
        printf("cwd %s\n", getcwd(directory, sizeof(directory)));
        gid_t groups[64];
        int n = getgroups(64, groups);
        printf("user %u %u %d\n", getuid(), getgid(), n);
        return serve_until_asked();
}

_Noreturn static void serve_chatter(void) {
        for (unsigned i = 0;; i++) {
                printf("line %u .....................................................\n", i);
                fflush(stdout);
                usleep(200);
        }
}

static int serve(int argc, char **argv) {
        const char *mode = argv[2], *more = argc > 3 ? argv[3] : "";
        if (strcmp(mode, "stubborn") == 0)
                serve_for_ever();
        if (strcmp(mode, "crash") == 0) {
                note_pid(more);
                return 3;
        }
        if (strcmp(mode, "done") == 0)
                return 0;
        if (strcmp(mode, "forks") == 0) {
                fork_away(more, false);
                fork_away(more, true);
        }
        if (strcmp(mode, "port") == 0)
                return serve_port(more);
        if (strcmp(mode, "environment") == 0)
                return serve_environment();
        if (strcmp(mode, "chatter") == 0)
                serve_chatter();
        return serve_until_asked();
}

/* -- the other programs ----------------------------------------------------------------------- */

static int keep(char **argv) {
        State state = {.root = argv[3]};
        return keeper_main(&state, argv[5]);
}

/* Stands in for `belay --state DIR resume RUN --yes`: notes that it was called, and ends as told. */
static int resume(char **argv) {
        scoped(free_str) char *path = path_join(argv[2], "resumed");
        scoped(free_str) char *how = path_join(argv[2], "resume-exits");
        scoped(free_str) char *text = NULL;
        FILE *file = fopen(path, "a");
        fprintf(file, "%s %s %d\n", argv[4], argv[5], getenv("BELAY_RUN") != NULL);
        fclose(file);
        scoped(free_str) char *long_one = path_join(argv[2], "resume-takes-long");
        for (int i = 0; i < 100 && file_exists(long_one); i++)
                usleep(100000);
        return file_read_if(how, 100, &text, NULL, NULL) && text ? (int)strtol(text, NULL, 10) : 0;
}

/* -- the test's world ------------------------------------------------------------------------- */

int runtime_world_setup(void **context) {
        World *world = NEW(World);
        char template[] = "/tmp/belay-runtime-XXXXXX";
        world->dir = str_copy(mkdtemp(template));
        scoped(free_str) char *own = process_own_path();
        world->program = path_join(world->dir, "service-program");
        scoped(free_str) char *root = path_join(world->dir, "state");
        char *work = path_join(world->dir, "work");
        mkdir(work, 0755);
        chmod(world->dir, 0755);
        assert_true(file_copy_durable(own, world->program, NULL));
        world->service.name = str_copy("notes");
        world->service.directory = str_copy(work);
        world->service.process = (ProcessSpec){.directory = work, .restart = RESTART_ON_FAILURE};
        scoped(err_clear) Err err = {0};
        assert_true(state_open(root, &world->state, &err));
        world->at = (RuntimeContext){.service = &world->service, .state = &world->state};
        *context = world;
        return 0;
}

void serve_mode(World *world, const char *mode, const char *more) {
        strv_free(world->service.process.command);
        world->service.process.command = NULL;
        strv_add(&world->service.process.command, world->program);
        strv_add(&world->service.process.command, "serve");
        strv_add(&world->service.process.command, mode);
        if (more)
                strv_add(&world->service.process.command, more);
        world->runtime = runtime_for(&world->service);
}

RuntimeStatus inspect(World *world) {
        RuntimeStatus status = {0};
        scoped(err_clear) Err err = {0};
        if (!world->runtime->inspect(&world->at, &status, &err))
                fail_msg("%s", err.message);
        return status;
}

/* Written down when the stop has been answered already. */
int last_exit(World *world) {
        scoped(runtime_status_done) RuntimeStatus now = inspect(world);
        return now.last_exit;
}

bool start(World *world, const char *version, Err *err) {
        const StartRequest request = {.version = version, .commit = version, .tag = version};
        return world->runtime->start(&world->at, &request, err);
}

void must_start(World *world, const char *version) {
        scoped(err_clear) Err err = {0};
        if (!start(world, version, &err))
                fail_msg("%s", err.message);
}

bool must_stop(World *world, int64_t timeout_ms) {
        scoped(err_clear) Err err = {0};
        bool forced = false;
        if (!world->runtime->stop(&world->at, timeout_ms, &forced, &err))
                fail_msg("%s", err.message);
        return forced;
}

pid_t keeper_pid(World *world) {
        scoped(js_freep) json_t *record = state_load(&world->state, "notes", "keeper.json", NULL);
        ProcessId id = {0};
        process_from_json(js_get(record, "keeper"), &id);
        return process_alive(&id) ? id.pid : 0;
}

static char *log_text(World *world) {
        scoped(free_str) char *path = world->runtime->log_path(&world->at);
        char *text = NULL;
        return file_read_if(path, 64 * 1024 * 1024, &text, NULL, NULL) && text ? text
                                                                               : str_copy("");
}

bool log_has(World *world, const char *wanted) {
        scoped(free_str) char *text = log_text(world);
        return strstr(text, wanted) != NULL;
}

/* Every process of the service under test, by its marker, except keepers, which have none. */
int count_marked(World *world) {
        char hex[65];
        ProcessId found[64];
        sha256_hex(world->state.root, strlen(world->state.root), hex);
        scoped(free_str) char *mark = str_format("%.16s/notes", hex);
        return process_find_marked("BELAY_SERVICE", mark, found, 64, NULL);
}

void kill_keeper(World *world) {
        pid_t pid = keeper_pid(world);
        assert_true(pid > 0);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        WAIT_FOR(keeper_pid(world) == 0, 2000);
}

int runtime_world_teardown(void **context) {
        World *world = *context;
        unsetenv("BELAY_FAULT");
        unsetenv("BELAY_LOG_LIMIT");
        unsetenv("BELAY_NO_KEEPER_RESUME");
        if (world->runtime) {
                scoped(err_clear) Err err = {0};
                world->runtime->unguard(&world->at, 7, &err);
                assert_true(world->runtime->stop(&world->at, 500, NULL, &err));
                WAIT_FOR(keeper_pid(world) == 0, 8000);
                while (waitpid(-1, NULL, WNOHANG) > 0)
                        ;
                assert_int_equal(count_marked(world), 0);
        }
        (void)umount2(world->state.root, MNT_DETACH);
        tree_remove(world->dir, NULL);
        service_done(&world->service);
        state_done(&world->state);
        free(world->dir);
        free(world->program);
        free(world);
        return 0;
}

/* Changes the keeper's record behind its back, as a crash or a reboot would leave it. */
void edit_record(World *world, const char *key, json_t *value) {
        scoped(js_freep) json_t *record = state_load(&world->state, "notes", "keeper.json", NULL);
        js_set(record, key, value);
        assert_true(state_save(&world->state, "notes", "keeper.json", record, NULL));
}

pid_t nth_pid(const char *path, int n) {
        scoped(free_str) char *text = NULL;
        if (!file_read_if(path, 4096, &text, NULL, NULL) || !text)
                return 0;
        scoped(strv_freep) Strv lines = strv_split(text, '\n');
        return (int)strv_count(lines) > n ? (pid_t)strtol(lines[n], NULL, 10) : 0;
}

bool is_alive(pid_t pid) {
        ProcessId id;
        return pid > 0 && process_identify(pid, &id);
}

void runtime_world_find_helper(const char *own) {
        scoped(free_str) char *found = process_helper_path();
        scoped(free_str) char *dir = path_dirname(own);
        scoped(free_str) char *beside = path_join(dir, "../belay-exec");
        if (access(found, X_OK) < 0 && access(beside, X_OK) == 0)
                setenv("BELAY_EXEC", beside, 1);
}

bool runtime_world_other(int argc, char **argv, int *ret_status) {
        if (argc > 2 && strcmp(argv[1], "serve") == 0)
                *ret_status = serve(argc, argv);
        else if (argc > 5 && strcmp(argv[1], "keeper") == 0)
                *ret_status = keep(argv);
        else if (argc > 5 && strcmp(argv[3], "resume") == 0)
                *ret_status = resume(argv);
        else
                return false;
        return true;
}
