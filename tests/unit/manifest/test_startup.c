/* How the program of a directory is started, by its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/startup_parts.h"
#include "platform/file.h"

static char *dir;

static int make_dir(void **unused) {
        (void)unused;
        scoped(free_str) char *made = str_copy("/tmp/belay-startup-XXXXXX");
        if (!mkdtemp(made))
                return -1;
        dir = file_real(made);
        return 0;
}

static int remove_dir(void **unused) {
        (void)unused;
        bool ok = tree_remove(dir, NULL);
        free(dir);
        return ok ? 0 : -1;
}

static void put(const char *name, const char *text, mode_t mode) {
        scoped(free_str) char *path = path_join(dir, name);
        scoped(free_str) char *parent = path_dirname(path);
        assert_true(dir_make(parent, NULL));
        assert_true(file_write_durable(path, text, strlen(text), mode, NULL));
}

/* "A=b | node server.js | 3000": settings, words, port. */
static char *shown(const Startup *start) {
        Str text = {0};
        for (size_t i = 0; i < start->n_environment; i++)
                str_addf(&text, "%s=%s ", start->environment[i].name, start->environment[i].value);
        scoped(free_str) char *words = strv_join(start->command, "|");
        str_addf(&text, "%s", words);
        if (start->port)
                str_addf(&text, " :%u", start->port);
        return str_take(&text);
}

static void test_lines(void **unused) {
        (void)unused;
        static const struct {
                const char *line, *expected;
        } cases[] = {
                {"node server.js", "node|server.js"},
                {"  exec node 'a b.js' \"c d\" ", "node|a b.js|c d"},
                {"NODE_ENV=production DEBUG= node s.js", "NODE_ENV=production DEBUG= node|s.js"},
                {"env A=1 ./run", "A=1 ./run"},
                {"./s --port $PORT", "./s|--port|${port}"},
                {"./s -b 0.0.0.0:${PORT:-8080}", "./s|-b|0.0.0.0:${port} :8080"},
                {"./s --x=\"${PORT-90}\"", "./s|--x=${port} :90"},
                {"./s '${HOME}'", "./s|$${HOME}"},
                {"./s a\\ b", "./s|a b"},
                {"cd app && ./s", "sh|-c|cd app && ./s"},
                {"A=1 ./s ${HOME} | tee x", "sh|-c|A=1 ./s $${HOME} | tee x"},
                {"./s *.conf", "sh|-c|./s *.conf"},
                {"./s 'no end", "sh|-c|./s 'no end"},
                {"./s $PORTS", "sh|-c|./s $PORTS"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                scoped(startup_done) Startup start = {0};
                assert_true(startup_line(cases[i].line, &start));
                scoped(free_str) char *text = shown(&start);
                assert_string_equal(text, cases[i].expected);
        }
        scoped(startup_done) Startup none = {0};
        assert_false(startup_line("  ", &none));
        assert_false(startup_line("A=b", &none));
}

static void test_port_in_words(void **unused) {
        (void)unused;
        scoped(strv_freep) Strv command =
                strv_split("./8000|8000|--port=8000|h:8000|18000|80000", '|');
        assert_true(startup_name_port(command, 8000));
        scoped(free_str) char *text = strv_join(command, "|");
        assert_string_equal(text, "./8000|${port}|--port=${port}|h:${port}|18000|80000");
        assert_false(startup_name_port(command, 0));
}

static void test_port_in_programs(void **unused) {
        (void)unused;
        static const struct {
                const char *text;
                unsigned port;
        } cases[] = {
                {"const port = process.env.PORT || 3000;", 3000},
                {"app.listen(8080)", 8080},
                {"app.run(host='127.0.0.1', port=5001)", 5001},
                {"int(os.environ.get(\"PORT\", \"8123\"))", 8123},
                {"import x\nsupport = 1.5\nreport = 'a1234'\n", 0},
                {"PORT is 70000", 0},
                {"port\n8000", 0},
                {"import y", 0},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++)
                assert_int_equal(startup_port_in(cases[i].text), cases[i].port);
}

typedef struct File {
        const char *name, *text;
        mode_t mode;
} File;

typedef struct Case {
        const char *what;
        File files[4];
        const char *expected; /* NULL: nothing is found */
        const char *note;     /* a part of one of the notes, or NULL */
} Case;

#define ELF "\177ELF and more"

static const Case cases[] = {
        {"nothing", {{"README.md", "x", 0644}}, NULL, NULL},
        {"Procfile, web before others",
                {{"Procfile", "# x\nworker: ./w\nweb: gunicorn -b :$PORT app:app\n", 0644}},
                "gunicorn|-b|:${port}|app:app", "worker"},
        {"Procfile before package.json",
                {{"Procfile", "web: node a.js\n", 0644},
                        {"package.json", "{\"scripts\":{\"start\":\"node b.js\"}}", 0644}},
                "node|a.js", "node b.js"},
        {"a script",
                {{"package.json", "{\"scripts\":{\"start\":\"NODE_ENV=x node s.js\"}}", 0644},
                        {"s.js", "listen(4000)", 0644}},
                "NODE_ENV=x node|s.js :4000", NULL},
        {"a script for a shell", {{"package.json", "{\"scripts\":{\"start\":\"a && b\"}}", 0644}},
                "npm|start", NULL},
        {"a script for a shell that makes what it starts",
                {{"package.json", "{\"scripts\":{\"start\":\"tsc && node dist/main.js\"}}", 0644}},
                "npm|start", NULL},
        {"a script for another place",
                {{"package.json", "{\"scripts\":{\"start\":\"node dev/x.js\"},\"main\":\"s.js\"}",
                         0644},
                        {"s.js", "createServer()", 0644}},
                "node|s.js", "there is no dev/x.js here"},
        {"a script with one before it",
                {{"package.json", "{\"scripts\":{\"start\":\"node s.js\",\"prestart\":\"x\"}}",
                        0644}},
                "npm|start", NULL},
        {"a script that calls what it brings along",
                {{"package.json", "{\"scripts\":{\"start\":\"(bun x) && node s.js\"}}", 0644},
                        {"node_modules/.bin/bun", "x", 0755}},
                "npm|start", NULL},
        {"a program of a package",
                {{"package.json", "{\"scripts\":{\"start\":\"next start\"}}", 0644},
                        {"node_modules/.bin/next", "#!x\n", 0755}},
                "node_modules/.bin/next|start", NULL},
        {"server.js by default", {{"package.json", "{}", 0644}, {"server.js", "", 0644}},
                "node|server.js", NULL},
        {"bin", {{"package.json", "{\"bin\":{\"x\":\"bin/x\"}}", 0644}, {"bin/x", "#!x\n", 0644}},
                "node|bin/x", NULL},
        {"broken JSON", {{"package.json", "{", 0644}}, NULL, "no JSON"},
        {"Python that starts itself",
                {{"app.py", "ArgumentParser\n'--port', default=8003\nif __name__ == '__main__':\n",
                        0644}},
                "python3|app.py|--port|${port} :8003", NULL},
        {"Flask", {{"app.py", "web = Flask(__name__)\n", 0644}},
                "python3|-m|flask|--app|app:web|run|--port|${port} :5000", NULL},
        {"Django", {{"manage.py", "import django\n", 0644}},
                "python3|manage.py|runserver|--noreload|127.0.0.1:${port} :8000", "migrate"},
        {"a package", {{"shop/__main__.py", "", 0644}}, "python3|-m|shop", NULL},
        {"of several scripts the one that serves",
                {{"pyproject.toml",
                         "[project.scripts]\nshop-cli = \"shop.cli:main\"\n"
                         "shop-server = \"shop.server:main\"\n[x]\na-web = \"b:c\"\n",
                         0644},
                        {"shop/server/__main__.py", "main()\n", 0644},
                        {"shop/cli.py", "if __name__ == '__main__':\n", 0644}},
                "python3|-m|shop.server", NULL},
        {"of several scripts the first that can be started",
                {{"pyproject.toml",
                         "[tool.poetry.scripts]\nshop-a = \"shop.a:main\"\nshop = "
                         "\"shop.__main__:run\"\n",
                         0644},
                        {"shop/a.py", "def main(): pass\n", 0644},
                        {"shop/__main__.py", "port = 8105\n", 0644}},
                "python3|-m|shop :8105", NULL},
        {"its own environment",
                {{"main.py", "x.run(port=81)\n", 0644}, {".venv/bin/python3", "x", 0755}},
                ".venv/bin/python3|main.py :81", NULL},
        {"Makefile",
                {{"Makefile", "PORT ?= 8090\nrunner := x\nbuild:\n\tcc\nrun: build\n\t./x\n",
                        0644}},
                "make|--no-print-directory|run :8090", NULL},
        {"no target", {{"Makefile", "run := x\nall:\n\tcc\n", 0644}}, NULL, NULL},
        {"Dockerfile",
                {{"Dockerfile",
                        "FROM x\nEXPOSE 8100\nENTRYPOINT [\"python\"]\nCMD [\"s.py\", \"${A}\"]\n",
                        0644}},
                "python3|s.py|$${A} :8100", NULL},
        {"the port of the program that a Procfile names",
                {{"Procfile", "web: node --no-warnings server.js\n", 0644},
                        {"server.js", "const port = process.env.PORT || 8101;\n", 0644}},
                "node|--no-warnings|server.js :8101", NULL},
        {"a port that a container exposes",
                {{"Dockerfile", "FROM x\nEXPOSE 8102/tcp 8103\nCMD [\"/app/x\"]\n", 0644},
                        {"shopd", ELF, 0755}},
                "./shopd :8102", NULL},
        {"a port that only a container has",
                {{"Dockerfile", "FROM x\nEXPOSE 80\n", 0644}, {"shopd", ELF, 0755}}, "./shopd",
                NULL},
        {"a program for a command line",
                {{"package.json", "{\"bin\": \"wiki.js\"}", 0644}, {"wiki.js", "run();\n", 0644}},
                "node|wiki.js", "may serve only with arguments"},
        {"one program", {{"shopd", ELF, 0755}, {"install.sh", "#!x\n", 0755}, {"notes", "x", 0755}},
                "./shopd", NULL},
        {"the likely one", {{"bin/start.sh", "#!x\n", 0755}, {"tool", "#!x\n", 0755}},
                "./bin/start.sh", NULL},
        {"several programs", {{"tool", "#!x\n", 0755}, {"other", "#!x\n", 0755}}, NULL,
                "2 executable files"},
        {"a script that starts nothing",
                {{"package.json", "{\"scripts\":{\"start\":\"cross-env A=1\"}}", 0644},
                        {"shopd", ELF, 0755}},
                "./shopd", NULL},
        {"a byte order mark, which no manifest may hold",
                {{"Procfile", "web: ./s \xEF\xBB\xBFx\n", 0644}}, NULL, NULL},
        {"not UTF-8", {{"Procfile", "web: ./\xff\n", 0644}}, NULL, NULL},
        {"a byte order mark",
                {{"package.json", "\xef\xbb\xbf{\"scripts\":{\"start\":\"node s.js\"}}", 0644},
                        {"s.js", "", 0644}},
                "node|s.js", NULL},
        {"a program's name of two lines", {{"a\nb", "#!/bin/sh\n", 0755}}, NULL, NULL},
        {"a program's name with a variable", {{"${version}", "#!/bin/sh\n", 0755}}, NULL, NULL},
};

static void test_directories(void **unused) {
        (void)unused;
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                const Case *at = &cases[i];
                scoped(startup_done) Startup start = {0};
                make_dir(NULL);
                for (size_t f = 0; f < 4 && at->files[f].name; f++)
                        put(at->files[f].name, at->files[f].text, at->files[f].mode);
                bool found = startup_find(dir, &start);
                scoped(free_str) char *text = found ? shown(&start) : NULL;
                scoped(free_str) char *notes = start.notes ? strv_join(start.notes, " ") : NULL;
                remove_dir(NULL);
                if (!str_equal(text, at->expected))
                        fail_msg("%s: %s", at->what, text ? text : "nothing");
                if (at->note && (!notes || !strstr(notes, at->note)))
                        fail_msg("%s: the notes are: %s", at->what, notes ? notes : "none");
        }
}

static void test_a_package_manager_that_is_not_here(void **unused) {
        (void)unused;
        scoped(startup_done) Startup start = {0};
        if (startup_is_installed("bun"))
                skip();
        make_dir(NULL);
        put("package.json", "{\"scripts\":{\"start\":\"bun x && node s.js\"},\"main\":\"s.js\"}",
                0644);
        put("s.js", "createServer()", 0644);
        bool found = startup_find(dir, &start);
        remove_dir(NULL);
        assert_true(found);
        scoped(free_str) char *text = shown(&start);
        assert_string_equal(text, "node|s.js");
        assert_non_null(strstr(start.notes[0], "there is no bun here"));
}

/* What must not be opened (a pipe without a writer would wait for ever), and what is too large. */
static void test_files_that_are_none(void **unused) {
        (void)unused;
        scoped(startup_done) Startup start = {0};
        make_dir(NULL);
        scoped(free_str) char *pipe_path = path_join(dir, "Procfile");
        assert_int_equal(mkfifo(pipe_path, 0644), 0);
        scoped(free_str) char *link = path_join(dir, "package.json");
        assert_int_equal(symlink("nowhere", link), 0);
        scoped(free_str) char *large = mem_new(300 * 1024, 1);
        memset(large, '#', 300 * 1024 - 1);
        put("Makefile", large, 0644);
        assert_false(startup_find(dir, &start));
        remove_dir(NULL);
}

/* A link of the project that leads out of it says nothing of the project, and may lead to what is secret. */
static void test_links_that_lead_out(void **unused) {
        (void)unused;
        scoped(startup_done) Startup start = {0};
        make_dir(NULL);
        put("shop/server", "#!/bin/sh\n", 0755);
        put("shop/etc/Procfile", "web: ./server --inside\n", 0644);
        put("secret", "web: ./server --outside\n", 0600);
        scoped(free_str) char *shop = path_join(dir, "shop");
        scoped(free_str) char *git = path_join(shop, ".git");
        scoped(free_str) char *app = path_join(shop, "app");
        scoped(free_str) char *link = path_join(shop, "Procfile");
        scoped(free_str) char *within = path_join(shop, "app/Procfile");
        assert_int_equal(mkdir(git, 0755), 0);
        assert_int_equal(mkdir(app, 0755), 0);
        assert_int_equal(symlink("../secret", link), 0);
        assert_int_equal(symlink("../etc/Procfile", within), 0);
        assert_null(startup_text(shop, "Procfile"));
        assert_true(startup_find(shop, &start));
        scoped(free_str) char *text = shown(&start);
        scoped(free_str) char *inside = startup_text(app, "Procfile");
        remove_dir(NULL);
        assert_string_equal(text, "./server");
        assert_string_equal(inside, "web: ./server --inside\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_port_in_words),
                cmocka_unit_test(test_port_in_programs),
                cmocka_unit_test(test_directories),
                cmocka_unit_test(test_a_package_manager_that_is_not_here),
                cmocka_unit_test(test_files_that_are_none),
                cmocka_unit_test(test_links_that_lead_out),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
