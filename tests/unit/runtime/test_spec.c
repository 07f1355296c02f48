#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "runtime/process/spec.h"

static Service service_new(void) {
        Service service = {.name = str_copy("notes"),
                .process = {.directory = str_copy("/tmp"), .port = 8000}};
        strv_add(&service.process.command, "./server");
        strv_add(&service.process.command, "--port=${port}");
        strv_add(&service.process.command, "--was=${previous_version}");
        return service;
}

static void command_and_environment_are_expanded(void **context) {
        (void)context;
        scoped(service_done) Service service = service_new();
        service.process.environment = NEW_ARRAY(Pair, 1);
        service.process.environment[0] =
                (Pair){str_copy("RELEASE"), str_copy("${service} ${version} ${commit}")};
        service.process.n_environment = 1;
        const StartRequest request = {
                .version = "1.1.0", .commit = "c0ffee", .directory = "/", .env_file = "/srv/.env"};
        scoped(start_spec_done) StartSpec spec = {0};
        assert_true(start_spec_make(&service, &request, &spec, NULL));
        assert_string_equal(spec.argv[1], "--port=8000");
        assert_string_equal(spec.argv[2], "--was=");
        assert_string_equal(spec.environment[0], "RELEASE=notes 1.1.0 c0ffee");
        assert_string_equal(spec.directory, "/");
        assert_string_equal(spec.env_file, "/srv/.env");
        assert_int_equal(spec.port, 8000);
}

static void what_cannot_be_expanded_is_an_error(void **context) {
        (void)context;
        scoped(service_done) Service service = service_new();
        str_replace_owned(&service.process.command[1], str_copy("${nonsense}"));
        scoped(start_spec_done) StartSpec spec = {0};
        scoped(err_clear) Err err = {0};
        assert_false(start_spec_make(&service, &(StartRequest){0}, &spec, &err));
        assert_int_equal(err.code, ERR_MANIFEST);
        assert_non_null(strstr(err.message, "nonsense"));
        assert_null(spec.argv);
}

static void the_user_is_named_or_the_owner(void **context) {
        (void)context;
        scoped(service_done) Service service = service_new();
        scoped(account_done) Account owner = {0}, named = {0}, none = {0};
        scoped(err_clear) Err err = {0};
        if (geteuid() != 0)
                skip();
        assert_true(account_find(&service.process, "/tmp", &owner, NULL));
        assert_string_equal(owner.name, "root");
        service.process.user = str_copy("daemon");
        assert_true(account_find(&service.process, "/tmp", &named, NULL));
        assert_int_equal(named.uid, 1);
        assert_int_equal(named.gid, 1);
        assert_true(named.n_groups >= 1);
        str_replace_owned(&service.process.user, str_copy("no-such-user"));
        assert_false(account_find(&service.process, "/tmp", &none, &err));
        assert_int_equal(err.code, ERR_REFUSED);
}

static void only_root_becomes_another(void **context) {
        (void)context;
        scoped(service_done) Service service = service_new();
        scoped(account_done) Account account = {0};
        scoped(err_clear) Err err = {0};
        uid_t before = geteuid();
        if (before == 0)
                assert_int_equal(seteuid(65534), 0);
        service.process.user = str_copy("daemon");
        bool found = account_find(&service.process, "/tmp", &account, &err);
        if (before == 0)
                assert_int_equal(seteuid(0), 0);
        assert_false(found);
        assert_int_equal(err.code, ERR_REFUSED);
        assert_non_null(strstr(err.message, "daemon"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(command_and_environment_are_expanded),
                cmocka_unit_test(what_cannot_be_expanded_is_an_error),
                cmocka_unit_test(the_user_is_named_or_the_owner),
                cmocka_unit_test(only_root_becomes_another),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
