/* What the tests of backup/ share: a place of their own, a service in it, and a whole backup in one call. */
#ifndef BELAY_TESTS_BACKUP_FIXTURE_H
#define BELAY_TESTS_BACKUP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "backup/backup.h"
#include "backup/restore.h"
#include "backup/retention.h"
#include "backup/session.h"
#include "base/own.h"
#include "client/sqlite.h"
#include "platform/clock.h"
#include "platform/file.h"

typedef struct Fixture {
        char *root, *store, *data, *notes;
        Service service;
        Content contents[4];
        char id[33];
        unsigned marks;
} Fixture;

#define OK(call)                                                                                   \
        do {                                                                                       \
                scoped(err_clear) Err ok_err = {0};                                                \
                Err *err = &ok_err;                                                                \
                if (!(call))                                                                       \
                        fail_msg("%s: %s", #call, ok_err.message);                                 \
        } while (0)
#define FAILS(expected, call)                                                                      \
        do {                                                                                       \
                scoped(err_clear) Err ok_err = {0};                                                \
                Err *err = &ok_err;                                                                \
                if (call)                                                                          \
                        fail_msg("%s should have failed", #call);                                  \
                if (ok_err.code != (expected))                                                     \
                        fail_msg("%s: %s: %s", #call, err_name(ok_err.code), ok_err.message);      \
        } while (0)

static inline Fixture *fixture_new(void) {
        Fixture *f = NEW(Fixture);
        /* In memory where there is room for it: these tests sync a lot. */
        char in_memory[] = "/dev/shm/belay-backup-XXXXXX", on_disk[] = "/tmp/belay-backup-XXXXXX";
        char *dir = mkdtemp(in_memory) ? in_memory : mkdtemp(on_disk);
        assert_non_null(dir);
        f->root = str_copy(dir);
        f->store = path_join(dir, "store");
        f->data = path_join(dir, "srv/data");
        f->notes = path_join(dir, "notes");
        OK(dir_make(f->data, err));
        OK(dir_make(f->notes, err));
        f->service.name = str_copy("notes");
        f->service.backup.contents = f->contents;
        return f;
}

static inline void fixture_add(Fixture *f, ContentKind kind, const char *name, const char *slug) {
        scoped(free_str) char *srv = path_join(f->root, "srv");
        Content *content = &f->contents[f->service.backup.n_contents++];
        *content = (Content){.kind = kind, .path = path_join(srv, name), .slug = str_copy(slug)};
}

static inline void fixture_freep(Fixture **f) {
        if (!*f)
                return;
        OK(tree_remove((*f)->root, err));
        for (size_t i = 0; i < (*f)->service.backup.n_contents; i++) {
                free((*f)->contents[i].path);
                free((*f)->contents[i].slug);
        }
        free((*f)->service.name);
        free((*f)->root);
        free((*f)->store);
        free((*f)->data);
        free((*f)->notes);
        free(*f);
        *f = NULL;
}

static inline char *in_data(const Fixture *f, const char *name) { return path_join(f->data, name); }

static inline void put_file(const char *path, const void *bytes, size_t n) {
        FILE *out = fopen(path, "w");
        if (!out)
                fail_msg("%s: %s", path, errno_text(errno));
        assert_int_equal(fwrite(bytes, 1, n, out), n);
        assert_int_equal(fclose(out), 0);
}

static inline void put_text(const Fixture *f, const char *name, const char *text) {
        scoped(free_str) char *path = in_data(f, name);
        put_file(path, text, strlen(text));
}

static inline void text_is(const Fixture *f, const char *name, const char *text) {
        scoped(free_str) char *path = in_data(f, name);
        scoped(free_str) char *has = NULL;
        size_t n;
        OK(file_read(path, 1 << 20, &has, &n, err));
        assert_string_equal(has, text);
}

/* Waits until what was written is old enough to be trusted by its times. */
static inline void settle_times(void) { clock_sleep_ms(2100); }

static inline BackupRequest request_of(Fixture *f) {
        BackupRequest r = {.service = &f->service,
                .store = f->store,
                .version = "1.0.0",
                .reason = "update",
                .run = 44};
        memcpy(r.id, f->id, sizeof(r.id));
        return r;
}

static inline Backup *first_pass(Fixture *f) {
        BackupPlan plan = {0};
        Backup *b = NULL;
        backup_new_id(f->id);
        BackupRequest r = request_of(f);
        OK(backup_plan(&r, &plan, err));
        OK(backup_begin(&r, &plan, &b, err));
        OK(backup_first_pass(b, err));
        OK(backup_prove(b, 2, err));
        backup_plan_done(&plan);
        return b;
}

static inline char *finish(Backup **b) {
        PassStats stats = {0};
        Published published = {0};
        OK(backup_second_pass(*b, &stats, err));
        OK(backup_merge_publish(*b, &published, err));
        char *dir = str_copy(published.dir);
        published_done(&published);
        pass_stats_done(&stats);
        backup_freep(b);
        return dir;
}

static inline char *whole_backup(Fixture *f) {
        Backup *b = first_pass(f);
        return finish(&b);
}

static inline RestoreRequest restore_of(Fixture *f, const char *mark) {
        return (RestoreRequest){.store = f->store,
                .service = "notes",
                .backup = f->id,
                .mark = mark,
                .run = 44,
                .note_dir = f->notes};
}

static inline void restore_all(Fixture *f) {
        char mark[16];
        snprintf(mark, sizeof(mark), "%u", ++f->marks);
        RestoreRequest r = restore_of(f, mark);
        OK(tree_remove(f->notes, err));
        OK(dir_make(f->notes, err));
        OK(restore_prepare(&r, err));
        OK(restore_swap(&r, err));
}

/* Runs a program; its exit status. */
static inline int run_program(const char *directory, char *const *argv) {
        pid_t pid = fork();
        if (pid == 0) {
                if (directory && chdir(directory) != 0)
                        _exit(126);
                int null = open("/dev/null", O_RDWR);
                dup2(null, 1);
                execvp(argv[0], argv);
                _exit(127);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* A line for each file below `dir`: type, mode, owner, size, time, sum, link target, xattrs. Owned. */
static inline char *tree_text(const char *dir) {
        static const char script[] =
                "import os,sys,hashlib,stat\n"
                "root=os.fsencode(sys.argv[1]); first={}\n"
                "def one(p,r):\n"
                "  s=os.lstat(p); k=stat.S_IFMT(s.st_mode); extra=''\n"
                "  if k==stat.S_IFREG:\n"
                "    h=hashlib.sha256()\n"
                "    with open(p,'rb') as f:\n"
                "      while b:=f.read(1<<20): h.update(b)\n"
                "    extra=h.hexdigest()+' '+str(s.st_size)\n"
                "    if s.st_nlink>1: extra+=' same-as '+repr(first.setdefault(s.st_ino,r))\n"
                "  if k==stat.S_IFLNK: extra=repr(os.readlink(p))\n"
                "  xs=sorted((x,os.getxattr(p,x,follow_symlinks=False)) for x in "
                "os.listxattr(p,follow_symlinks=False))\n"
                "  print(repr(r),oct(s.st_mode),s.st_uid,s.st_gid,s.st_mtime_ns,extra,xs)\n"
                "one(root,b'.')\n"
                "for d,ds,fs in os.walk(root):\n"
                "  ds.sort()\n"
                "  for n in sorted(ds+fs):\n"
                "    p=os.path.join(d,n); one(p,os.path.relpath(p,root))\n";
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
                dup2(pipe_fds[1], 1);
                close(pipe_fds[0]);
                execl("/usr/bin/python3", "python3", "-c", script, dir, (char *)NULL);
                _exit(127);
        }
        close(pipe_fds[1]);
        Str text = {0};
        char buffer[4096];
        ssize_t n;
        while ((n = read(pipe_fds[0], buffer, sizeof(buffer))) > 0)
                str_add_n(&text, buffer, (size_t)n);
        close(pipe_fds[0]);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        return str_take(&text);
}

static inline void sql(const char *path, const char *text) {
        scoped(database_close) sqlite3 *db = NULL;
        OK(database_open(path, DATABASE_CREATE, &db, err));
        OK(database_run(db, text, err));
}

static inline int64_t sql_int(const char *path, const char *text) {
        scoped(database_close) sqlite3 *db = NULL;
        int64_t n = -1;
        OK(database_open(path, DATABASE_READ_WRITE, &db, err));
        OK(database_int(db, text, &n, err));
        return n;
}

static inline void make_note_table(const char *path, const char *mode) {
        scoped(free_str) char *text = str_format(
                "PRAGMA journal_mode=%s; CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);"
                "INSERT INTO note(text) VALUES ('a'), ('b'), ('c')",
                mode);
        sql(path, text);
}

#endif
