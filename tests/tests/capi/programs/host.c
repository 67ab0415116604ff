/* What is the host's stays as it is: signals, children, threads, descriptors, directory, environment. */

#include "check.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

extern char **environ;

static volatile sig_atomic_t children, broken_pipes;

static void on_child(int signal) {
    (void)signal;
    children++;
}

static void on_pipe(int signal) {
    (void)signal;
    broken_pipes++;
}

static int entries(const char *path) {
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

/* The bits of every signal that is blocked, and what is done at each. */
struct signals {
    sigset_t blocked;
    void *done[65];
    int flags[65];
};

static struct signals signals(void) {
    struct signals found;
    struct sigaction action;
    int i;
    memset(&found, 0, sizeof found);
    pthread_sigmask(SIG_SETMASK, NULL, &found.blocked);
    for (i = 1; i < 65; i++) {
        if (sigaction(i, NULL, &action) != 0) continue;
        found.done[i] = (void *)action.sa_sigaction;
        /* The C library's own, which it adds to whatever it sets. */
        found.flags[i] = action.sa_flags & ~0x04000000;
    }
    return found;
}

static int same(struct signals a, struct signals b) {
    int i;
    for (i = 1; i < 65; i++)
        if (sigismember(&a.blocked, i) != sigismember(&b.blocked, i) || a.done[i] != b.done[i] || a.flags[i] != b.flags[i])
            return 0;
    return 1;
}

static char *large;
static size_t large_length;

static int is_blocked;

static void look(void *user, int32_t stream, const char *bytes, size_t length) {
    sigset_t blocked;
    (void)user, (void)stream, (void)bytes, (void)length;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    is_blocked |= sigismember(&blocked, SIGPIPE);
}

/* An action that does not read its argument, which is more than a pipe holds. */
static void deaf(actionproxy_action *action) {
    actionproxy_result *result;
    OK(actionproxy_run(action, NULL, large, large_length, &result));
    OK(actionproxy_result_free(result));
}

static void pipes(actionproxy_action *action) {
    struct sigaction handled, before;
    sigset_t pipe_only, pending;
    sigaction(SIGPIPE, NULL, &before);
    /* By its default, it would end this program. */
    signal(SIGPIPE, SIG_DFL);
    deaf(action);
    memset(&handled, 0, sizeof handled);
    handled.sa_handler = on_pipe;
    sigaction(SIGPIPE, &handled, NULL);
    deaf(action);
    CHECK(broken_pipes == 0);
    signal(SIGPIPE, SIG_IGN);
    deaf(action);
    CHECK(!is_blocked);
    /* One that waits for the host stays. */
    sigaction(SIGPIPE, &handled, NULL);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    raise(SIGPIPE);
    deaf(action);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE));
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    CHECK(broken_pipes == 1);
    sigaction(SIGPIPE, &before, NULL);
}

static void host_children(actionproxy_action *action) {
    actionproxy_result *result;
    int status, own_status;
    pid_t own = fork();
    CHECK(own >= 0);
    if (own == 0) _exit(7);
    /* It has ended, and is not waited for by anybody but this program. */
    CHECK(waitid(P_PID, own, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0);
    OK(actionproxy_run(action, NULL, NULL, 0, &result));
    OK(actionproxy_result_free(result));
    CHECK(waitpid(own, &own_status, WNOHANG) == own);
    CHECK(WIFEXITED(own_status) && WEXITSTATUS(own_status) == 7);
    /* And of the action nothing is left to wait for. */
    CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
}

/* A host that ignores SIGCHLD takes the status of every child away: an error or a result, and no crash, no
 * wait without end. */
static void no_status(actionproxy_action *action) {
    actionproxy_result *result;
    actionproxy_status status;
    signal(SIGCHLD, SIG_IGN);
    status = actionproxy_run(action, NULL, NULL, 0, &result);
    CHECK(status == ACTIONPROXY_HOST && actionproxy_error_reason() == ACTIONPROXY_REASON_HOST);
    CHECK(strstr(actionproxy_error_text(), "how the action ended"));
    signal(SIGCHLD, SIG_DFL);
    OK(actionproxy_run(action, NULL, NULL, 0, &result));
    OK(actionproxy_result_free(result));
}

int main(int argc, char **argv) {
    actionproxy_config *config;
    actionproxy_action *action;
    struct sigaction handled;
    struct signals before;
    int descriptors, variables;
    char here[4096], there[4096];

    CHECK(argc == 2 && chdir(argv[1]) == 0);
    CHECK(getcwd(here, sizeof here));
    large_length = 1 << 20;
    large = malloc(large_length + 1);
    CHECK(large);
    memset(large, ' ', large_length);
    large[0] = '[';
    large[large_length - 1] = ']';

    memset(&handled, 0, sizeof handled);
    handled.sa_handler = on_child;
    handled.sa_flags = SA_RESTART;
    sigaction(SIGCHLD, &handled, NULL);
    for (variables = 0; environ[variables]; variables++) continue;
    descriptors = entries("/proc/self/fd");
    before = signals();

    config = configured("action");
    OK(actionproxy_config_set_log(config, ACTIONPROXY_STDERR, ACTIONPROXY_CHUNKS, look, NULL));
    action = opened(config);
    OK(init_text(action, "#!/bin/sh\nexec <&-\necho log >&2\necho '{}'\n"));
    deaf(action);
    CHECK(same(before, signals()));
    CHECK(children > 0);
    host_children(action);
    pipes(action);
    CHECK(same(before, signals()));
    CHECK(entries("/proc/self/task") == 3); /* `.`, `..`, and this one */
    no_status(action);
    OK(actionproxy_close(action));

    CHECK(getcwd(there, sizeof there) && strcmp(here, there) == 0);
    CHECK(!environ[variables] && (variables == 0 || environ[variables - 1]));
    CHECK(entries("/proc/self/fd") == descriptors);
    free(large);
    puts("done");
    return 0;
}
