/* An invoker on a Unix socket, for several actions at once: a thread for each connection, a line for each
 * request, and one or more lines that answer it.
 *
 *   socket_invoker SOCKET DIRECTORY        ends at TERM or INT
 *
 *   init NAME FILE     ok                  FILE holds the code; the action lives in DIRECTORY/NAME
 *   run NAME ARGUMENT  result JSON         before it, `stdout TEXT` and `stderr TEXT` for each line of its logs
 *   cancel NAME        ok                  ends the run that goes on, which another connection has asked for
 *                      error KIND TEXT     whatever went wrong, with who has to change something */

#include <actionproxy.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 64, MAX_ACTIONS = 64 };

struct named {
    char name[64];
    actionproxy_action *action;
    actionproxy_call *running; /* NULL: nothing runs */
};

struct connection {
    int socket; /* -1: the place is free */
    pthread_t thread;
    FILE *out;
};

/* All below is read and changed with `lock` held. Actions stay until the end. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct named actions[MAX_ACTIONS];
static size_t action_count;
static const char *directory;

static const char *kind(actionproxy_status status) {
    switch (status) {
    case ACTIONPROXY_OK: return "none";
    case ACTIONPROXY_CALLER: return "caller";
    case ACTIONPROXY_ACTION: return "action";
    case ACTIONPROXY_HOST: return "host";
    case ACTIONPROXY_MISUSE: return "misuse";
    }
    return "unknown";
}

static void answer(FILE *out, actionproxy_status status) {
    if (status == ACTIONPROXY_OK)
        fprintf(out, "ok\n");
    else
        fprintf(out, "error %s %s\n", kind(status), actionproxy_error_text());
}

static void log_line(void *out, int32_t stream, const char *bytes, size_t length) {
    fprintf(out, "%s %.*s\n", stream == ACTIONPROXY_STDOUT ? "stdout" : "stderr", (int)length, bytes);
    fflush(out);
}

/* The action of that name, NULL where there is none. Needs the lock. */
static struct named *find(const char *name) {
    size_t i;
    for (i = 0; i < action_count; i++)
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    return NULL;
}

/* Needs the lock, and room for one more. */
static actionproxy_status open_action(const char *name, struct named **found) {
    actionproxy_config *config;
    actionproxy_status status;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    status = actionproxy_config_new(path, &config);
    if (status != ACTIONPROXY_OK) return status;
    if (getenv("PATH")) actionproxy_config_add_env(config, "PATH", getenv("PATH"));
    actionproxy_config_set_reinit(config, ACTIONPROXY_REINIT_ALLOW);
    status = actionproxy_open(config, &actions[action_count].action);
    actionproxy_config_free(config);
    if (status != ACTIONPROXY_OK) return status;
    *found = &actions[action_count++];
    strcpy((*found)->name, name);
    return ACTIONPROXY_OK;
}

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

static void init(FILE *out, const char *name, const char *file) {
    struct named *named;
    actionproxy_status status = ACTIONPROXY_OK;
    size_t length;
    char *code = read_file(file, &length);
    if (!code) {
        fprintf(out, "error caller cannot read %s\n", file);
        return;
    }
    pthread_mutex_lock(&lock);
    named = find(name);
    if (!named && action_count < MAX_ACTIONS) status = open_action(name, &named);
    pthread_mutex_unlock(&lock);
    if (status == ACTIONPROXY_OK && named)
        status = actionproxy_init(named->action, NULL, ACTIONPROXY_CODE_BYTES, code, length);
    free(code);
    if (status == ACTIONPROXY_OK && !named)
        fprintf(out, "error host there are %d actions\n", MAX_ACTIONS);
    else
        answer(out, status);
}

static void run(FILE *out, const char *name, const char *argument) {
    struct named *named;
    actionproxy_call *call;
    actionproxy_result *result = NULL;
    actionproxy_status status = actionproxy_call_new(&call);
    int busy;
    if (status != ACTIONPROXY_OK) {
        answer(out, status);
        return;
    }
    actionproxy_call_set_log(call, ACTIONPROXY_STDOUT, ACTIONPROXY_LINES, log_line, out);
    actionproxy_call_set_log(call, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, log_line, out);
    pthread_mutex_lock(&lock);
    named = find(name);
    busy = named && named->running;
    if (named && !busy) named->running = call;
    pthread_mutex_unlock(&lock);
    if (!named || busy) {
        fprintf(out, "error caller %s %s\n", name, busy ? "runs already" : "is no action");
    } else {
        status = actionproxy_run(named->action, call, argument, strlen(argument), &result);
        if (status == ACTIONPROXY_OK)
            fprintf(out, "result %s\n", actionproxy_result_bytes(result, NULL));
        else
            answer(out, status);
        pthread_mutex_lock(&lock);
        named->running = NULL;
        pthread_mutex_unlock(&lock);
    }
    actionproxy_result_free(result);
    actionproxy_call_free(call);
}

static void cancel(FILE *out, const char *name) {
    struct named *named;
    /* The lock keeps the call from being freed meanwhile. */
    pthread_mutex_lock(&lock);
    named = find(name);
    if (named && named->running)
        answer(out, actionproxy_cancel(named->running));
    else
        fprintf(out, "error caller %s does not run\n", name);
    pthread_mutex_unlock(&lock);
}

static void serve(FILE *out, char *line) {
    char *rest, *verb = strtok_r(line, " \n", &rest), *name = strtok_r(NULL, " \n", &rest);
    size_t letters = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    if (!verb) return;
    rest[strcspn(rest, "\n")] = 0;
    if (letters == 0 || letters >= sizeof actions[0].name || name[letters])
        fprintf(out, "error caller expected a name of small letters and digits\n");
    else if (strcmp(verb, "init") == 0)
        init(out, name, rest);
    else if (strcmp(verb, "run") == 0)
        run(out, name, rest);
    else if (strcmp(verb, "cancel") == 0)
        cancel(out, name);
    else
        fprintf(out, "error caller expected init, run or cancel\n");
}

static void *serve_connection(void *given) {
    struct connection *connection = given;
    int copy = dup(connection->socket);
    FILE *in = copy < 0 ? NULL : fdopen(copy, "r");
    char *line = NULL;
    size_t room = 0;
    connection->out = fdopen(dup(connection->socket), "w");
    while (in && connection->out && getline(&line, &room, in) > 0) {
        serve(connection->out, line);
        if (fflush(connection->out) != 0) break;
    }
    free(line);
    if (in) fclose(in);
    if (connection->out) fclose(connection->out);
    return NULL;
}

int main(int argc, char **argv) {
    static struct connection connections[MAX_CONNECTIONS];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd polled[2];
    size_t i, used = 0;
    sigset_t ends;
    int listener;

    if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: socket_invoker SOCKET DIRECTORY\n");
        return 2;
    }
    directory = argv[2];
    strcpy(address.sun_path, argv[1]);
    /* Threads inherit it; the processes of actions start with nothing blocked. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    /* A client may go before it has its answer. */
    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(argv[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
        perror(argv[1]);
        return 2;
    }
    polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = signalfd(-1, &ends, SFD_CLOEXEC), .events = POLLIN};
    while (poll(polled, 2, -1) >= 0 && !polled[1].revents) {
        int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        if (used == MAX_CONNECTIONS) {
            close(accepted);
            continue;
        }
        connections[used].socket = accepted;
        if (pthread_create(&connections[used].thread, NULL, serve_connection, &connections[used]) == 0)
            used++;
        else
            close(accepted);
    }

    close(listener);
    close(polled[1].fd);
    unlink(argv[1]);
    for (i = 0; i < used; i++) shutdown(connections[i].socket, SHUT_RD);
    pthread_mutex_lock(&lock);
    for (i = 0; i < action_count; i++)
        if (actions[i].running) actionproxy_cancel(actions[i].running);
    pthread_mutex_unlock(&lock);
    for (i = 0; i < used; i++) {
        pthread_join(connections[i].thread, NULL);
        close(connections[i].socket);
    }
    for (i = 0; i < action_count; i++) actionproxy_close(actions[i].action);
    return 0;
}
