/* Runs an action once: its logs go to stderr line by line, its result to stdout.
 *
 *   run_once DIRECTORY CODE ARGUMENT
 *
 * DIRECTORY is where the action lives, CODE a file: a `#!` script, an ELF executable, a zip or a tar.gz. ARGUMENT
 * is a JSON object or array. The exit status is 0, or the kind of the error. */

#include <actionproxy.h>
#include <stdio.h>
#include <stdlib.h>

static void log_line(void *user, int32_t stream, const char *bytes, size_t length) {
    (void)user;
    fprintf(stderr, "%s: %.*s\n", stream == ACTIONPROXY_STDOUT ? "stdout" : "stderr", (int)length, bytes);
}

/* The whole file, to be freed; NULL where it cannot be read. */
static char *read_file(const char *path, size_t *length) {
    char *bytes = NULL;
    size_t room = 0, got;
    FILE *file = fopen(path, "rb");
    *length = 0;
    if (!file) return NULL;
    do {
        char *more = realloc(bytes, room += 65536);
        if (!more) {
            free(bytes);
            bytes = NULL;
            break;
        }
        bytes = more;
        *length += got = fread(bytes + *length, 1, room - *length, file);
    } while (got > 0);
    if (ferror(file)) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    actionproxy_config *config = NULL;
    actionproxy_action *action = NULL;
    actionproxy_result *result = NULL;
    actionproxy_status status;
    char *code;
    size_t length, argument_length = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: run_once DIRECTORY CODE ARGUMENT\n");
        return 2;
    }
    code = read_file(argv[2], &length);
    if (!code) {
        perror(argv[2]);
        return 2;
    }
    while (argv[3][argument_length]) argument_length++;

    status = actionproxy_config_new(argv[1], &config);
    if (status == ACTIONPROXY_OK)
        status = actionproxy_config_set_log(config, ACTIONPROXY_STDOUT, ACTIONPROXY_LINES, log_line, NULL);
    if (status == ACTIONPROXY_OK)
        status = actionproxy_config_set_log(config, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, log_line, NULL);
    if (status == ACTIONPROXY_OK && getenv("PATH"))
        status = actionproxy_config_add_env(config, "PATH", getenv("PATH"));
    if (status == ACTIONPROXY_OK)
        status = actionproxy_open(config, &action);
    if (status == ACTIONPROXY_OK)
        status = actionproxy_init(action, NULL, ACTIONPROXY_CODE_BYTES, code, length);
    if (status == ACTIONPROXY_OK)
        status = actionproxy_run(action, NULL, argv[3], argument_length, &result);

    if (status == ACTIONPROXY_OK)
        printf("%s\n", actionproxy_result_bytes(result, NULL));
    else
        fprintf(stderr, "error %d: %s\n", (int)status, actionproxy_error_text());

    actionproxy_result_free(result);
    actionproxy_close(action);
    actionproxy_config_free(config);
    free(code);
    return (int)status;
}
