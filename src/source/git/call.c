/* How git is called, and what its failures mean. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "source/git/repo.h"

/* Nothing that lies in a repository may start a program, and nothing may happen behind our back:
 * githooks(5), git-config(1) protocol.allow, core.fsmonitor, maintenance.auto; core.fsync since 2.36. */
static const char *const settings[] = {
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.splitIndex=false",
        "core.fsync=all",
        "core.quotePath=true",
        "core.pager=cat",
        "color.ui=false",
        "protocol.ext.allow=never",
        "submodule.recurse=false",
        "fetch.recurseSubmodules=false",
        "fetch.prune=false",
        "fetch.pruneTags=false",
        "maintenance.auto=false",
        "gc.auto=0",
        "advice.detachedHead=false",
        "transfer.bundleURI=false",
        "diff.ignoreSubmodules=all",
        "status.showUntrackedFiles=no",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
};

/* The owner's own ways of reaching a remote. Only kept when Belay runs as that owner. */
static const char *const kept[] = {
        "SSH_AUTH_SOCK",
        "SSH_AGENT_PID",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSL_CAINFO",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "TZ",
        "BELAY_FAULT",
        "BELAY_FAULT_TRACE",
        "BELAY_EXEC",
};

static void add_home(Strv *env, const Repo *repo) {
        const char *home = repo->as_user ? NULL : getenv("HOME");
        const struct passwd *user = getpwuid(repo->as_user ? repo->uid : geteuid());
        strv_addf(env, "HOME=%s", home && *home ? home : user ? user->pw_dir : "/nonexistent");
        if (user)
                strv_addf(env, "USER=%s", user->pw_name);
        if (user)
                strv_addf(env, "LOGNAME=%s", user->pw_name);
}

/* No prompt may wait for somebody who is not there: not of git, not of ssh (ssh(1), SSH_ASKPASS_REQUIRE). */
static Strv environment_make(const Repo *repo, const RepoCall *call) {
        const char *path = getenv("PATH");
        Strv env = NULL;
        strv_addf(&env, "PATH=%s",
                path && *path ? path
                              : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        strv_add(&env, "LC_ALL=C");
        strv_add(&env, "GIT_TERMINAL_PROMPT=0");
        strv_add(&env, "GIT_OPTIONAL_LOCKS=0");
        strv_add(&env, "GIT_ALLOW_PROTOCOL=https:http:ssh:file");
        strv_add(&env, "GIT_NO_REPLACE_OBJECTS=1");
        strv_add(&env, "GIT_LITERAL_PATHSPECS=1");
        strv_add(&env, "SSH_ASKPASS=/bin/false");
        strv_add(&env, "SSH_ASKPASS_REQUIRE=force");
        if (call->index)
                strv_addf(&env, "GIT_INDEX_FILE=%s", call->index);
        add_home(&env, repo);
        for (size_t i = 0; !repo->as_user && i < COUNT_OF(kept); i++)
                if (getenv(kept[i]))
                        strv_addf(&env, "%s=%s", kept[i], getenv(kept[i]));
        return env;
}

static Strv arguments_make(const Repo *repo, const RepoCall *call) {
        Strv argv = NULL;
        strv_add(&argv, "git");
        for (size_t i = 0; i < COUNT_OF(settings); i++) {
                strv_add(&argv, "-c");
                strv_add(&argv, settings[i]);
        }
        strv_addf(&argv, "--git-dir=%s", repo->dir);
        strv_addf(&argv, "--work-tree=%s", call->work ? call->work : repo->work);
        for (size_t i = 0; call->args[i]; i++)
                strv_add(&argv, call->args[i]);
        return argv;
}

/* What git 2.39, ssh and curl say, and what it means. The first that is found holds. */
static const struct {
        const char *says;
        ErrCode code;
        const char *means, *hint;
} causes[] = {
        {"No space left on device", ERR_NO_SPACE, "the disk is full",
                "Free some space and try again."},
        {"Disk quota exceeded", ERR_NO_SPACE, "the disk quota is used up",
                "Free some space and try again."},
        {"detected dubious ownership", ERR_REFUSED,
                "parts of the repository belong to another user",
                "Give the whole checkout to one user with chown -R."},
        {"not a git repository", ERR_REFUSED, "there is no repository",
                "Check the remote's address with: git remote -v."},
        {"transport 'ext' not allowed", ERR_REFUSED,
                "the remote's address would start a program of its choice",
                "Use an https, ssh or file address."},
        {"HTTP/0.9 when not allowed", ERR_REMOTE, "what answers there does not speak HTTP",
                "Check the remote's address with: git remote -v."},
        {"not allowed", ERR_REFUSED, "the kind of the remote's address is not allowed",
                "Use an https, ssh or file address."},
        {"Could not resolve host", ERR_REMOTE, "the host's name cannot be resolved",
                "Check the network and the remote's address."},
        {"Temporary failure in name resolution", ERR_REMOTE, "the host's name cannot be resolved",
                "Check the network and the remote's address."},
        {"Connection refused", ERR_REMOTE, "the host refuses the connection",
                "Check that the server runs."},
        {"Connection timed out", ERR_REMOTE, "the host does not answer",
                "Check the network, and try again."},
        {"Operation too slow", ERR_REMOTE, "the host sends nothing any more", "Try again later."},
        {"Host key verification failed", ERR_REMOTE, "the host's ssh key is not known",
                "Connect once by hand as the owner of the checkout: git fetch."},
        {"Permission denied (", ERR_REMOTE, "the host does not let us in",
                "Check the ssh key of the owner of the checkout: git fetch must work without a "
                "question."},
        {"Authentication failed", ERR_REMOTE, "the remote does not accept the credentials",
                "Set up a credential helper for the owner of the checkout: git fetch must work "
                "without a question."},
        {"could not read Username", ERR_REMOTE, "the remote wants credentials and none are set up",
                "Set up a credential helper for the owner of the checkout: git fetch must work "
                "without a question."},
        {"could not read Password", ERR_REMOTE, "the remote wants a password and none is set up",
                "Set up a credential helper for the owner of the checkout: git fetch must work "
                "without a question."},
        {"The requested URL returned error: 403", ERR_REMOTE, "the remote forbids it",
                "Check the rights of the credentials."},
        {"epository not found", ERR_REMOTE, "there is no such repository, or we may not see it",
                "Check the remote's address with: git remote -v."},
        {"does not appear to be a git repository", ERR_REMOTE,
                "there is no repository at the remote's address",
                "Check the remote's address with: git remote -v."},
        {"couldn't find remote ref", ERR_REFUSED, "the remote has no such tag or branch",
                "List what it offers with: belay check --all."},
        {"Could not read from remote repository", ERR_REMOTE, "the remote cannot be read",
                "Check the network, the address and the access: git fetch must work without a "
                "question."},
        {"unable to access", ERR_REMOTE, "the remote cannot be reached",
                "Check the network and the address."},
        {"git-lfs: ", ERR_TOOL,
                "the version keeps files in Git LFS, and git-lfs does not work here",
                "Install git-lfs, or try by hand as the owner of the checkout: git lfs pull."},
        {"early EOF", ERR_REMOTE, "the connection broke off", "Try again."},
        {"the remote end hung up", ERR_REMOTE, "the connection broke off", "Try again."},
        {"unable to find remote helper", ERR_REFUSED, "git has no helper for this kind of address",
                "Use an https, ssh or file address."},
        {".lock': File exists", ERR_REFUSED, "another git is at work there, or died there",
                "Wait for it; if no git runs there, remove the lock file that is named."},
        {"bad object", ERR_TOOL, "objects are missing or damaged", "Look with: git fsck."},
        {"is corrupt", ERR_TOOL, "objects are damaged", "Look with: git fsck."},
};

enum { LINES_READ = 8, LINES_SHOWN = 3 };

/* Its last lines, without the advice behind which git hides what is wrong. */
static char *words_of(const ChildResult *result) {
        static const char *const advice[] = {"Please make sure you have the correct access rights",
                "and the repository exists."};
        scoped(free_str) char *text = child_last_lines(result, LINES_READ);
        scoped(strv_freep) Strv lines = strv_split(text, '\n'), left = NULL;
        for (size_t i = 0; lines && lines[i]; i++)
                if (lines[i][0] && !str_equal(lines[i], advice[0]) &&
                        !str_equal(lines[i], advice[1]))
                        strv_add(&left, lines[i]);
        size_t n = strv_count(left);
        scoped(free_str) char *last =
                n ? strv_join(left + (n > LINES_SHOWN ? n - LINES_SHOWN : 0), "\n") : str_copy("");
        return repo_redact(last);
}

static bool call_failed(const RepoCall *call, const ChildResult *result, Err *err) {
        scoped(free_str) char *said = words_of(result);
        for (size_t i = 0; i < COUNT_OF(causes); i++) {
                if (!result->err || !strstr(result->err, causes[i].says))
                        continue;
                err_fail(err, causes[i].code, "%s: %s: %s", call->what, causes[i].means, said);
                return err_hint(err, "%s", causes[i].hint);
        }
        return err_fail(err, ERR_TOOL, "%s failed with status %d: %s", call->what,
                result->exit_status, said);
}

/* What takes too long is the remote, where it is asked. */
static bool not_answered(const RepoCall *call, Err *err) {
        bool asks = str_equal(call->args[0], "ls-remote") || str_equal(call->args[0], "fetch");
        if (!asks || !err || err->code != ERR_TIMEOUT)
                return false;
        return err_hint(err, "The remote does not answer, or too slowly: check the network and "
                             "its address (git remote -v).");
}

bool repo_call(const Repo *repo, const RepoCall *call, ChildResult *ret, Err *err) {
        scoped(strv_freep) Strv argv = arguments_make(repo, call);
        scoped(strv_freep) Strv env = environment_make(repo, call);
        Child child = {
                .argv = argv,
                .directory = repo->work,
                .environment = env,
                .uid = repo->uid,
                .gid = repo->gid,
                .as_user = repo->as_user,
                .input = call->input,
                .timeout_ms = call->timeout_ms ? call->timeout_ms : GIT_LOCAL_MS,
                .what = call->what,
                .mark = repo->context->mark,
                .cancel = repo->context->cancel,
        };
        scoped(child_result_done) ChildResult result = {0};
        if (!child_run(&child, &result, err))
                return not_answered(call, err);
        if (result.exit_status != 0 && result.exit_status != call->also_fine)
                return call_failed(call, &result, err);
        if (result.out_cut)
                return err_fail(
                        err, ERR_REFUSED, "%s: the answer is too long to be read", call->what);
        if (ret) {
                *ret = result;
                result = (ChildResult){0};
        }
        return true;
}

char *repo_redact(const char *text) {
        Str s = {0};
        while (*text) {
                const char *scheme = strstr(text, "://");
                if (!scheme)
                        break;
                const char *host = scheme + 3;
                size_t n = strcspn(host, "/ \t\r\n'\"");
                const char *at = n ? memrchr(host, '@', n) : NULL;
                str_add_n(&s, text, (size_t)(host - text));
                if (at)
                        str_add(&s, "***");
                text = at ? at : host;
        }
        str_add(&s, text);
        return str_take(&s);
}
