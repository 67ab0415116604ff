/* What the test programs share. Each is given a directory of its own. */

#include <actionproxy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold; the last error: %s\n", __FILE__, __LINE__, #holds, \
                    actionproxy_error_text());                                                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define OK(call) CHECK((call) == ACTIONPROXY_OK)

/* It is refused for a use against the rules, with this text in the error. */
#define MISUSE(call, text)                                                                         \
    do {                                                                                           \
        CHECK((call) == ACTIONPROXY_MISUSE);                                                       \
        CHECK(strstr(actionproxy_error_text(), text));                                             \
    } while (0)

static inline actionproxy_config *configured(const char *directory) {
    actionproxy_config *config;
    OK(actionproxy_config_new(directory, &config));
    OK(actionproxy_config_add_env(config, "PATH", "/usr/local/bin:/usr/bin:/bin"));
    return config;
}

static inline actionproxy_action *opened(actionproxy_config *config) {
    actionproxy_action *action;
    OK(actionproxy_open(config, &action));
    OK(actionproxy_config_free(config));
    return action;
}

static inline actionproxy_status init_text(actionproxy_action *action, const char *code) {
    return actionproxy_init(action, NULL, ACTIONPROXY_CODE_TEXT, code, strlen(code));
}

static inline actionproxy_result *run(actionproxy_action *action, actionproxy_call *call, const char *argument) {
    actionproxy_result *result;
    OK(actionproxy_run(action, call, argument, strlen(argument), &result));
    return result;
}

static inline void gives(actionproxy_action *action, actionproxy_call *call, const char *argument, const char *expected) {
    actionproxy_result *result = run(action, call, argument);
    size_t length;
    const char *json = actionproxy_result_bytes(result, &length);
    CHECK(length == strlen(expected) && strcmp(json, expected) == 0);
    OK(actionproxy_result_free(result));
}

static inline void give(const char *file) {
    FILE *made = fopen(file, "w");
    CHECK(made);
    fclose(made);
}
