/* Every function, used against its rules: an error each time, and no crash. */

#include "check.h"
#include <sys/wait.h>

static actionproxy_action *in_use;
static actionproxy_call *going_on;
static actionproxy_config *known;
static actionproxy_result *earlier;
static int called;

static void log_all(void *user, int32_t stream, const char *bytes, size_t length) {
    actionproxy_result *result = NULL;
    actionproxy_call *call = NULL;
    const char *refused = "called from a log callback";
    (void)stream, (void)bytes, (void)length;
    CHECK(user == &called);
    called++;
    MISUSE(actionproxy_run(in_use, NULL, "{}", 2, &result), refused);
    CHECK(!result);
    MISUSE(actionproxy_init(in_use, NULL, ACTIONPROXY_CODE_NONE, NULL, 0), refused);
    MISUSE(actionproxy_tend(in_use, 0), refused);
    MISUSE(actionproxy_end(in_use), refused);
    MISUSE(actionproxy_close(in_use), refused);
    MISUSE(actionproxy_open(known, &in_use), refused);
    MISUSE(actionproxy_call_new(&call), refused);
    MISUSE(actionproxy_call_free(going_on), refused);
    MISUSE(actionproxy_config_free(known), refused);
    MISUSE(actionproxy_result_free(earlier), refused);
    CHECK(actionproxy_is_initialized(in_use) == -1);
    /* What reads may be called. */
    CHECK(strcmp(actionproxy_result_bytes(earlier, NULL), "{\"first\":1}") == 0);
    CHECK(actionproxy_result_ended(earlier) == 0);
    CHECK(actionproxy_abi_version() == ACTIONPROXY_ABI_VERSION);
}

static void nulls(const char *directory) {
    actionproxy_config *config = (actionproxy_config *)&called;
    actionproxy_action *action;
    actionproxy_result *result;
    actionproxy_call *call;
    MISUSE(actionproxy_config_new(NULL, &config), "`action_dir` is NULL");
    CHECK(!config);
    MISUSE(actionproxy_config_new(directory, NULL), "`config` is NULL");
    MISUSE(actionproxy_config_new("", &config), "`action_dir` is empty");
    MISUSE(actionproxy_config_set_timeout(NULL, 1), "expected a configuration, found NULL");
    MISUSE(actionproxy_open(NULL, &action), "expected a configuration, found NULL");
    CHECK(!action);
    MISUSE(actionproxy_init(NULL, NULL, 0, NULL, 0), "expected an action, found NULL");
    MISUSE(actionproxy_run(NULL, NULL, "{}", 2, &result), "expected an action, found NULL");
    CHECK(!result);
    MISUSE(actionproxy_tend(NULL, 0), "expected an action, found NULL");
    MISUSE(actionproxy_end(NULL), "expected an action, found NULL");
    MISUSE(actionproxy_cancel(NULL), "expected a call, found NULL");
    MISUSE(actionproxy_call_new(NULL), "`call` is NULL");
    MISUSE(actionproxy_call_set_name(NULL, "a"), "expected a call, found NULL");
    CHECK(actionproxy_result_bytes(NULL, NULL) == NULL);
    CHECK(actionproxy_result_ended(NULL) == -1000);
    CHECK(actionproxy_is_initialized(NULL) == -1);
    OK(actionproxy_call_new(&call));
    MISUSE(actionproxy_call_add_env(call, NULL, "v"), "`name` is NULL");
    MISUSE(actionproxy_call_add_env(call, "N", NULL), "`value` is NULL");
    MISUSE(actionproxy_call_set_sha256(call, NULL), "`sha256` is NULL");
    OK(actionproxy_call_free(call));
    /* Nothing to free. */
    OK(actionproxy_config_free(NULL));
    OK(actionproxy_call_free(NULL));
    OK(actionproxy_result_free(NULL));
    OK(actionproxy_close(NULL));
}

static void values(const char *directory) {
    actionproxy_config *config = configured(directory);
    actionproxy_action *action;
    actionproxy_result *result;
    actionproxy_call *call;
    MISUSE(actionproxy_config_set_reinit(config, 2), "`reinit` is 2; expected 0 to 1");
    MISUSE(actionproxy_config_set_verify(config, -1), "`verify` is -1");
    MISUSE(actionproxy_config_set_durability(config, 9), "`durability` is 9");
    MISUSE(actionproxy_config_set_hook(config, 5, "true"), "`hook` is 5; expected 0 to 4");
    MISUSE(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_BUILD, "cc 'a"), "`command` is \"cc 'a\"; expected");
    MISUSE(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_BUILD, ""), "expected a command");
    MISUSE(actionproxy_config_set_build_cache(config, "", 1), "`directory` is empty");
    MISUSE(actionproxy_config_set_core_dumps(config, 2), "`core_dumps` is 2");
    MISUSE(actionproxy_config_set_privileges(config, -2), "`privileges` is -2");
    MISUSE(actionproxy_config_set_view(config, 3), "`view` is 3");
    MISUSE(actionproxy_config_set_log(config, 0, 0, log_all, NULL), "`stream` is 0");
    MISUSE(actionproxy_config_set_log(config, ACTIONPROXY_STDOUT, 2, log_all, NULL), "`form` is 2");
    MISUSE(actionproxy_config_set_source(config, ""), "`path` is empty");
    MISUSE(actionproxy_config_set_keep_jar(config, "a.jar"), "only a resident process");
    MISUSE(actionproxy_config_set_compiler(config, "cc"), "only a resident process");
    MISUSE(actionproxy_config_set_execution_env(config, "a"), "only a resident process");
    action = opened(config);
    MISUSE(actionproxy_init(action, NULL, 4, "a", 1), "`form` is 4");
    MISUSE(actionproxy_init(action, NULL, ACTIONPROXY_CODE_NONE, "a", 1), "`length` is 1");
    MISUSE(actionproxy_init(action, NULL, ACTIONPROXY_CODE_TEXT, NULL, 3), "`code` is NULL, and its length is 3");
    MISUSE(actionproxy_run(action, NULL, NULL, 3, &result), "`argument` is NULL, and its length is 3");
    MISUSE(actionproxy_run(action, NULL, "{}", (size_t)-1, &result), "which nothing can be");
    MISUSE(actionproxy_run(action, NULL, "{}", 2, NULL), "`result` is NULL");
    CHECK(actionproxy_run(action, NULL, "nonsense", 8, &result) == ACTIONPROXY_CALLER);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_BAD_VALUE);
    CHECK(strstr(actionproxy_error_text(), "the argument is no JSON"));
    OK(actionproxy_call_new(&call));
    MISUSE(actionproxy_call_set_sha256(call, "12"), "`sha256` is \"12\"");
    MISUSE(actionproxy_call_add_field(call, "a", "{"), "the field `a` is no JSON");
    MISUSE(actionproxy_call_set_main(call, "\xff"), "`main` is not UTF-8");
    MISUSE(actionproxy_call_set_log(call, 3, 0, NULL, NULL), "`stream` is 3");
    /* What belongs to the other kind of call is refused, and the call can still be used. */
    OK(actionproxy_call_set_main(call, "main"));
    MISUSE(actionproxy_run(action, call, NULL, 0, &result), "the call has a `main`, which is for an init");
    OK(actionproxy_init(action, call, ACTIONPROXY_CODE_TEXT, "#!/bin/sh\necho '{}'\n", 20));
    OK(actionproxy_call_free(call));
    OK(actionproxy_close(action));
}

static void handles(const char *directory) {
    actionproxy_config *config = configured(directory);
    actionproxy_action *action;
    actionproxy_result *result, *kept;
    actionproxy_call *call;
    OK(actionproxy_open(config, &action));
    /* A configuration may go before the action. */
    OK(actionproxy_config_free(config));
    MISUSE(actionproxy_config_free(config), "found a handle that was freed or closed");
    MISUSE(actionproxy_config_set_timeout(config, 1), "found a handle that was freed or closed");
    OK(init_text(action, "#!/bin/sh\necho \"$1\"\n"));

    OK(actionproxy_run(action, NULL, "{\"a\":1}", 7, &result));
    MISUSE(actionproxy_close((actionproxy_action *)result), "expected an action, found a result");
    OK(actionproxy_result_free(result));
    MISUSE(actionproxy_result_free(result), "found a handle that was freed or closed");
    CHECK(actionproxy_result_bytes(result, NULL) == NULL);
    MISUSE(actionproxy_cancel((actionproxy_call *)&call), "which is no handle");

    OK(actionproxy_call_new(&call));
    OK(actionproxy_run(action, call, NULL, 0, &result));
    kept = result;
    MISUSE(actionproxy_cancel(call), "the call has ended");
    MISUSE(actionproxy_run(action, call, NULL, 0, &result), "the call has been used");
    CHECK(!result);
    MISUSE(actionproxy_call_add_env(call, "A", "b"), "the call has been used");
    OK(actionproxy_call_free(call));
    MISUSE(actionproxy_call_free(call), "found a handle that was freed or closed");
    MISUSE(actionproxy_cancel(call), "found a handle that was freed or closed");
    MISUSE(actionproxy_run(action, call, NULL, 0, &result), "found a handle that was freed or closed");

    OK(actionproxy_close(action));
    MISUSE(actionproxy_close(action), "found a handle that was freed or closed");
    MISUSE(actionproxy_run(action, NULL, NULL, 0, &result), "found a handle that was freed or closed");
    MISUSE(actionproxy_init(action, NULL, 0, NULL, 0), "found a handle that was freed or closed");
    MISUSE(actionproxy_tend(action, 0), "found a handle that was freed or closed");
    /* A result outlives its action. */
    CHECK(strcmp(actionproxy_result_bytes(kept, NULL), "{}") == 0);
    OK(actionproxy_result_free(kept));
}

static void callbacks(const char *directory) {
    actionproxy_result *result;
    known = configured(directory);
    OK(actionproxy_config_set_log(known, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, log_all, &called));
    OK(actionproxy_open(known, &in_use));
    OK(init_text(in_use, "#!/bin/sh\n[ \"$1\" = '{\"log\":1}' ] && echo line >&2\necho '{\"first\":1}'\n"));
    OK(actionproxy_run(in_use, NULL, "{}", 2, &earlier));
    CHECK(called == 0);
    OK(actionproxy_call_new(&going_on));
    OK(actionproxy_run(in_use, going_on, "{\"log\":1}", 9, &result));
    CHECK(called == 1);
    OK(actionproxy_result_free(result));
    OK(actionproxy_result_free(earlier));
    OK(actionproxy_call_free(going_on));
    OK(actionproxy_config_free(known));
    OK(actionproxy_close(in_use));
}

static void forks(const char *directory) {
    actionproxy_action *action = opened(configured(directory));
    actionproxy_result *result;
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (actionproxy_run(action, NULL, NULL, 0, &result) != ACTIONPROXY_MISUSE) _exit(1);
        if (!strstr(actionproxy_error_text(), "cannot be used in a fork of it")) _exit(2);
        if (actionproxy_close(action) != ACTIONPROXY_MISUSE) _exit(3);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    OK(actionproxy_close(action));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && chdir(argv[1]) == 0);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_NONE);
    CHECK(strcmp(actionproxy_error_text(), "") == 0);
    nulls("action");
    values("values");
    handles("handles");
    callbacks("callbacks");
    forks("forks");
    puts("done");
    return 0;
}
