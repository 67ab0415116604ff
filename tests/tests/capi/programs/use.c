/* What the functions do when they are used by their rules: settings, logs, errors, results. */

#include "check.h"

struct text {
    char bytes[200000];
    size_t length, calls;
};

static void keep(void *user, int32_t stream, const char *bytes, size_t length) {
    struct text *text = user;
    (void)stream;
    text->calls++;
    CHECK(text->length + length < sizeof text->bytes);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

/* Each line in brackets. */
static void keep_line(void *user, int32_t stream, const char *bytes, size_t length) {
    keep(user, stream, stream == ACTIONPROXY_STDOUT ? "o[" : "e[", 2);
    keep(user, stream, bytes, length);
    keep(user, stream, "]", 1);
}

static void fails(actionproxy_action *action, actionproxy_call *call, actionproxy_status status, actionproxy_reason reason) {
    actionproxy_result *result;
    CHECK(actionproxy_run(action, call, NULL, 0, &result) == status);
    CHECK(actionproxy_error_reason() == reason);
    CHECK(!result);
}

static struct text stdout_text, stderr_text, lines;

static void logs(void) {
    actionproxy_config *config = configured("logs");
    actionproxy_action *action;
    actionproxy_call *call;
    OK(actionproxy_config_set_log(config, ACTIONPROXY_STDOUT, ACTIONPROXY_CHUNKS, keep, &stdout_text));
    OK(actionproxy_config_set_log(config, ACTIONPROXY_STDERR, ACTIONPROXY_CHUNKS, keep, &stderr_text));
    action = opened(config);
    OK(init_text(action, "#!/bin/sh\necho one; printf 'tw'; printf 'o\\n'; echo three >&2; printf 'rest' >&2\necho '{}'\n"));
    gives(action, NULL, "{}", "{}");
    CHECK(strcmp(stdout_text.bytes, "one\ntwo\n") == 0);
    CHECK(strcmp(stderr_text.bytes, "three\nrest\n") == 0);
    /* The call's own callback goes before, for the stream that has one. */
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_log(call, ACTIONPROXY_STDOUT, ACTIONPROXY_LINES, keep_line, &lines));
    gives(action, call, "{}", "{}");
    OK(actionproxy_call_free(call));
    CHECK(strcmp(lines.bytes, "o[one]o[two]") == 0);
    CHECK(strcmp(stdout_text.bytes, "one\ntwo\n") == 0);
    CHECK(strcmp(stderr_text.bytes, "three\nrest\nthree\nrest\n") == 0);
    OK(actionproxy_close(action));
}

/* A line of any length costs no more memory than a piece of it. */
static void long_lines(void) {
    actionproxy_action *action = opened(configured("long_lines"));
    actionproxy_call *call;
    lines.length = lines.calls = 0;
    OK(init_text(action, "#!/bin/sh\nprintf '%0131080d\\n' 0 >&2\necho '{}'\n"));
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_log(call, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, keep_line, &lines));
    gives(action, call, "{}", "{}");
    /* 65536, 65536 and 8. */
    CHECK(lines.calls == 9 && lines.length == 131080 + 9);
    OK(actionproxy_call_free(call));
    OK(actionproxy_close(action));
}

static void environment(void) {
    actionproxy_config *config = configured("environment");
    actionproxy_action *action;
    actionproxy_call *call;
    OK(actionproxy_config_add_env(config, "A", "config"));
    OK(actionproxy_config_add_env(config, "B", "config"));
    OK(actionproxy_config_add_env(config, "C", "config"));
    action = opened(config);
    CHECK(actionproxy_is_initialized(action) == 0);
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_add_env(call, "B", "init"));
    OK(actionproxy_call_add_env(call, "C", "init"));
    OK(actionproxy_call_set_name(call, "environment"));
    OK(actionproxy_call_set_main(call, "main"));
    OK(actionproxy_call_add_field(call, "annotations", "{\"a\":[1]}"));
    {
        const char *code = "#!/bin/sh\necho \"{\\\"abc\\\":\\\"$A $B $C\\\"}\"\n";
        OK(actionproxy_init(action, call, ACTIONPROXY_CODE_TEXT, code, strlen(code)));
    }
    OK(actionproxy_call_free(call));
    CHECK(actionproxy_is_initialized(action) == 1);
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_add_env(call, "C", "run"));
    gives(action, call, "{}", "{\"abc\":\"config init run\"}");
    OK(actionproxy_call_free(call));
    gives(action, NULL, "{}", "{\"abc\":\"config init init\"}");
    OK(actionproxy_close(action));
}

static void arguments(void) {
    actionproxy_action *action = opened(configured("arguments"));
    OK(init_text(action, "#!/bin/sh\nread -r line; [ \"$line\" = \"$1\" ] && echo \"$line\"\n"));
    gives(action, NULL, "", "{}");
    gives(action, NULL, "[1,\n 2]\n", "[1, 2]");
    OK(actionproxy_close(action));
}

static void stub(void) {
    actionproxy_config *config = configured("stub");
    actionproxy_action *action;
    OK(actionproxy_config_set_stub(config, "#!/bin/sh\necho '{\"stub\":true}'\n"));
    action = opened(config);
    gives(action, NULL, "{}", "{\"stub\":true}");
    CHECK(actionproxy_is_initialized(action) == 0);
    OK(actionproxy_close(action));
}

static void inits(void) {
    actionproxy_config *config = configured("inits");
    actionproxy_action *action;
    actionproxy_call *call;
    OK(actionproxy_open(config, &action));
    /* What no init has brought. */
    fails(action, NULL, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_NOT_INITIALIZED);
    CHECK(actionproxy_init(action, NULL, ACTIONPROXY_CODE_BASE64, "UEs=", 4) == ACTIONPROXY_ACTION);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_BAD_CODE);
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_sha256(call, "0000000000000000000000000000000000000000000000000000000000000000"));
    CHECK(actionproxy_init(action, call, ACTIONPROXY_CODE_TEXT, "#!/bin/sh\n", 10) == ACTIONPROXY_ACTION);
    CHECK(strstr(actionproxy_error_text(), "checksum of `code` does not match"));
    OK(actionproxy_call_free(call));
    /* Base64 of `#!/bin/sh` and `echo '{"b":64}'`. */
    {
        const char *code = "IyEvYmluL3NoCmVjaG8gJ3siYiI6NjR9Jwo=";
        OK(actionproxy_init(action, NULL, ACTIONPROXY_CODE_BASE64, code, strlen(code)));
    }
    gives(action, NULL, "{}", "{\"b\":64}");
    CHECK(init_text(action, "#!/bin/sh\n") == ACTIONPROXY_CALLER);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_ALREADY_INITIALIZED);
    OK(actionproxy_close(action));
    /* With what is there. */
    OK(actionproxy_config_set_reinit(config, ACTIONPROXY_REINIT_ALLOW));
    OK(actionproxy_config_set_verify(config, ACTIONPROXY_VERIFY_PERMISSION));
    OK(actionproxy_config_set_durability(config, ACTIONPROXY_DURABILITY_POWER_LOSS));
    action = opened(config);
    gives(action, NULL, "{}", "{\"b\":64}");
    OK(init_text(action, "#!/bin/sh\necho '[2]'\n"));
    OK(init_text(action, "#!/bin/sh\necho '[3]'\n"));
    gives(action, NULL, "{}", "[3]");
    OK(actionproxy_close(action));
}

static void failures(void) {
    actionproxy_config *config = configured("failures");
    actionproxy_action *action;
    actionproxy_call *call;
    OK(actionproxy_config_set_max_result(config, 30));
    OK(actionproxy_config_set_kill_grace(config, 100));
    OK(actionproxy_config_set_reinit(config, ACTIONPROXY_REINIT_ALLOW));
    action = opened(config);
    OK(init_text(action, "#!/bin/sh\necho nonsense\n"));
    fails(action, NULL, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_NO_RESULT);
    CHECK(strstr(actionproxy_error_text(), "JSON"));
    OK(init_text(action, "#!/bin/sh\necho '{\"long\":\"012345678901234567890123456789\"}'\n"));
    fails(action, NULL, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_RESULT_TOO_LARGE);
    CHECK(unlink("failures/exec") == 0);
    fails(action, NULL, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_NOT_RUNNABLE);
    CHECK(strstr(actionproxy_error_text(), "there is no executable at "));
    OK(init_text(action, "#!/bin/sh\necho '{}'\nexit 3\n"));
    {
        actionproxy_result *result = run(action, NULL, "{}");
        CHECK(actionproxy_result_ended(result) == 3);
        OK(actionproxy_result_free(result));
    }
    OK(init_text(action, "#!/bin/sh\necho '{}'\nkill -USR1 $$\n"));
    {
        actionproxy_result *result = run(action, NULL, "{}");
        CHECK(actionproxy_result_ended(result) < 0);
        OK(actionproxy_result_free(result));
    }
    OK(init_text(action, "#!/bin/sh\nexec sleep 1000\n"));
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_time_limit(call, 50));
    fails(action, call, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_TIMED_OUT);
    CHECK(strstr(actionproxy_error_text(), "time limit of 50 ms"));
    OK(actionproxy_call_free(call));
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_deadline(call, 50));
    fails(action, call, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_TIMED_OUT);
    CHECK(strstr(actionproxy_error_text(), "deadline of 50 ms"));
    OK(actionproxy_call_free(call));
    OK(actionproxy_close(action));

    /* A directory that cannot be. */
    config = configured("failures/exec/below-a-file");
    CHECK(actionproxy_open(config, &action) == ACTIONPROXY_HOST);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_HOST && !action);
    OK(actionproxy_config_free(config));
}

/* Names and limits of the configuration reach core. */
static void settings(void) {
    actionproxy_config *config = configured("settings");
    actionproxy_action *action;
    OK(actionproxy_config_set_source(config, "program.sh"));
    OK(actionproxy_config_set_executable(config, "program.sh"));
    OK(actionproxy_config_set_max_unpacked(config, 20));
    OK(actionproxy_config_set_max_entries(config, 1));
    OK(actionproxy_config_set_max_depth(config, 1));
    OK(actionproxy_config_set_linger(config, ACTIONPROXY_NO_LIMIT));
    OK(actionproxy_config_set_late_result(config, ACTIONPROXY_NO_LIMIT));
    OK(actionproxy_config_set_kill_grace(config, 50));
    OK(actionproxy_config_set_resident(config, 5));
    OK(actionproxy_config_set_keep_jar(config, "a.jar"));
    OK(actionproxy_config_set_keep_jar(config, NULL));
    OK(actionproxy_config_set_execution_env(config, NULL));
    OK(actionproxy_config_set_process(config));
    OK(actionproxy_open(config, &action));
    OK(init_text(action, "#!/bin/sh\nexec sleep 1000\n"));
    CHECK(access("settings/program.sh", X_OK) == 0);
    OK(actionproxy_close(action));
    /* Not before: it holds for an init too. */
    OK(actionproxy_config_set_timeout(config, 20));
    action = opened(config);
    fails(action, NULL, ACTIONPROXY_ACTION, ACTIONPROXY_REASON_TIMED_OUT);
    CHECK(strstr(actionproxy_error_text(), "time limit of 20 ms"));
    OK(actionproxy_close(action));
}

/* Hooks as commands, and what a build leaves for the next init of the same code. */
static void hooks(void) {
    actionproxy_config *config = configured("hooks");
    actionproxy_action *action;
    int i;
    OK(actionproxy_config_set_log(config, ACTIONPROXY_STDOUT, ACTIONPROXY_LINES, keep_line, &lines));
    OK(actionproxy_config_set_reinit(config, ACTIONPROXY_REINIT_ALLOW));
    OK(actionproxy_config_set_source(config, "source"));
    OK(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_PREINIT, "echo preinit"));
    OK(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_EPILOGUE, "sh -c 'echo \"echo [1]\" >>$ACTION_SOURCE'"));
    OK(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_BUILD,
                                   "sh -c '! grep bad source || exit 3; echo build; cp source exec; chmod +x exec'"));
    OK(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_VERIFY, "test -x exec"));
    OK(actionproxy_config_set_hook(config, ACTIONPROXY_HOOK_ENV, "echo HOOKED=yes"));
    OK(actionproxy_config_set_build_cache(config, "cache", 1 << 20));
    action = opened(config);
    lines.length = 0;
    for (i = 0; i < 2; i++) {
        OK(init_text(action, "#!/bin/sh\necho $HOOKED\n"));
        gives(action, NULL, "{}", "[1]");
    }
    CHECK(strcmp(lines.bytes, "o[preinit]o[build]o[yes]o[preinit]o[yes]") == 0);
    CHECK(init_text(action, "bad\n") == ACTIONPROXY_ACTION);
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_HOOK);
    CHECK(strstr(actionproxy_error_text(), "build failed"));
    OK(actionproxy_close(action));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && chdir(argv[1]) == 0);
    CHECK(actionproxy_abi_version() == ACTIONPROXY_ABI_VERSION);
    CHECK(strchr(actionproxy_version(), '.'));
    logs();
    long_lines();
    environment();
    arguments();
    stub();
    inits();
    failures();
    settings();
    hooks();
    puts("done");
    return 0;
}
