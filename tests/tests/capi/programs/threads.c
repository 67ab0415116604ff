/* Several threads at one action: runs that overlap, cancels, closes that come too early, who tends. */

#include "check.h"

struct job {
    actionproxy_action *action;
    actionproxy_call *call;
    const char *argument;
    actionproxy_status status;
    actionproxy_reason reason;
    char result[64];
};

static void *run_job(void *given) {
    struct job *job = given;
    actionproxy_result *result;
    job->status = actionproxy_run(job->action, job->call, job->argument, strlen(job->argument), &result);
    job->reason = actionproxy_error_reason();
    if (job->status == ACTIONPROXY_OK) {
        snprintf(job->result, sizeof job->result, "%s", actionproxy_result_bytes(result, NULL));
        OK(actionproxy_result_free(result));
    }
    return NULL;
}

/* A line of the log says that the action has begun. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int begun;

static void count(void *user, int32_t stream, const char *bytes, size_t length) {
    (void)user, (void)stream, (void)bytes, (void)length;
    pthread_mutex_lock(&lock);
    begun++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(int number) {
    pthread_mutex_lock(&lock);
    while (begun < number) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static actionproxy_call *counted(void) {
    actionproxy_call *call;
    OK(actionproxy_call_new(&call));
    OK(actionproxy_call_set_log(call, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, count, NULL));
    return call;
}

/* They run at once: each waits for the other's file. */
static void overlap(void) {
    actionproxy_action *action = opened(configured("overlap"));
    struct job jobs[2] = {{.action = action, .argument = "[1,2]"}, {.action = action, .argument = "[2,1]"}};
    pthread_t threads[2];
    int i;
    OK(init_text(action, "#!/bin/sh\nmine=${1#[}; other=${mine#*,}; mine=${mine%,*}; other=${other%]}\n"
                         ": >meet$mine; while [ ! -e meet$other ]; do sleep 0.01; done; echo \"[$mine]\"\n"));
    for (i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0);
    for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(strcmp(jobs[0].result, "[1]") == 0 && strcmp(jobs[1].result, "[2]") == 0);
    OK(actionproxy_close(action));
}

/* One of two is cancelled; the other one, and the action, go on. */
static void cancel(void) {
    actionproxy_action *action = opened(configured("cancel"));
    struct job jobs[2] = {{.action = action, .argument = "[1]"}, {.action = action, .argument = "[2]"}};
    pthread_t threads[2];
    actionproxy_call *late;
    int i;
    OK(init_text(action, "#!/bin/sh\necho begun >&2; while [ ! -e go ]; do sleep 0.01; done; echo \"$1\"\n"));
    begun = 0;
    for (i = 0; i < 2; i++) {
        jobs[i].call = counted();
        CHECK(pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0);
    }
    wait_for(2);
    MISUSE(actionproxy_close(action), "calls that go on: 2");
    MISUSE(actionproxy_call_free(jobs[0].call), "the call goes on");
    MISUSE(actionproxy_call_set_deadline(jobs[0].call, 1), "the call goes on");
    OK(actionproxy_cancel(jobs[0].call));
    CHECK(pthread_join(threads[0], NULL) == 0);
    CHECK(jobs[0].status == ACTIONPROXY_CALLER && jobs[0].reason == ACTIONPROXY_REASON_CANCELLED);
    MISUSE(actionproxy_cancel(jobs[0].call), "the call has ended");
    MISUSE(actionproxy_close(action), "calls that go on: 1");
    give("cancel/go");
    CHECK(pthread_join(threads[1], NULL) == 0);
    CHECK(strcmp(jobs[1].result, "[2]") == 0);
    MISUSE(actionproxy_cancel(jobs[1].call), "the call has ended");
    for (i = 0; i < 2; i++) OK(actionproxy_call_free(jobs[i].call));

    /* Before it begins; more than once is as good. */
    late = counted();
    OK(actionproxy_cancel(late));
    OK(actionproxy_cancel(late));
    jobs[0] = (struct job){.action = action, .call = late, .argument = "[3]"};
    run_job(&jobs[0]);
    CHECK(jobs[0].reason == ACTIONPROXY_REASON_CANCELLED);
    OK(actionproxy_call_free(late));
    OK(actionproxy_close(action));
}

/* A callback may cancel the call that it belongs to. */
static void cancel_own(void *call, int32_t stream, const char *bytes, size_t length) {
    (void)stream, (void)bytes, (void)length;
    OK(actionproxy_cancel(call));
}

static void cancel_from_callback(void) {
    actionproxy_action *action = opened(configured("callback"));
    struct job job = {.action = action, .argument = "{}"};
    OK(init_text(action, "#!/bin/sh\necho enough >&2; exec sleep 1000\n"));
    OK(actionproxy_call_new(&job.call));
    OK(actionproxy_call_set_log(job.call, ACTIONPROXY_STDERR, ACTIONPROXY_CHUNKS, cancel_own, job.call));
    run_job(&job);
    CHECK(job.status == ACTIONPROXY_CALLER && job.reason == ACTIONPROXY_REASON_CANCELLED);
    OK(actionproxy_call_free(job.call));
    OK(actionproxy_close(action));
}

static void *tend(void *action) {
    /* It returns when another thread needs the action; and it is refused when that was closed. */
    while (actionproxy_tend(action, ACTIONPROXY_NO_LIMIT) == ACTIONPROXY_OK) continue;
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_MISUSE);
    return NULL;
}

/* A resident process writes between runs; a thread tends it meanwhile, and never stands in the way. */
static void resident(void) {
    actionproxy_config *config = configured("resident");
    actionproxy_action *action;
    struct job job;
    pthread_t thread;
    int i;
    OK(actionproxy_config_set_resident(config, ACTIONPROXY_NO_LIMIT));
    OK(actionproxy_config_set_log(config, ACTIONPROXY_STDERR, ACTIONPROXY_LINES, count, NULL));
    action = opened(config);
    job = (struct job){.action = action, .argument = "{}"};
    run_job(&job);
    CHECK(job.status == ACTIONPROXY_ACTION && job.reason == ACTIONPROXY_REASON_NOT_INITIALIZED);
    OK(init_text(action, "#!/bin/sh\necho '{\"ok\":true}' >&3\n"
                         "while read -r line; do echo \"$line\" >&3; (sleep 0.05; echo later >&2) & done\n"));
    begun = 0;
    CHECK(pthread_create(&thread, NULL, tend, action) == 0);
    for (i = 1; i <= 3; i++) {
        job = (struct job){.action = action, .argument = "{\"n\":1}"};
        run_job(&job);
        CHECK(strcmp(job.result, "{\"n\":1}") == 0);
        /* Nobody but who tends hands that on. */
        wait_for(i);
    }
    OK(actionproxy_end(action));
    run_job(&job);
    CHECK(job.reason == ACTIONPROXY_REASON_NOT_INITIALIZED);
    OK(actionproxy_close(action));
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Two who tend would each take a part of the logs. */
static void *tend_long(void *action) {
    actionproxy_status status;
    /* The other one may be at it for a moment. */
    do
        status = actionproxy_tend(action, ACTIONPROXY_NO_LIMIT);
    while (status != ACTIONPROXY_OK && strstr(actionproxy_error_text(), "another thread tends the action"));
    CHECK(status == ACTIONPROXY_OK);
    return NULL;
}

static void tended_once(void) {
    actionproxy_action *action = opened(configured("tended"));
    pthread_t thread;
    actionproxy_status status;
    OK(actionproxy_tend(action, 0));
    CHECK(pthread_create(&thread, NULL, tend_long, action) == 0);
    /* Until the other one has begun, this one tends, for no time. */
    do {
        status = actionproxy_tend(action, 0);
        usleep(1000);
    } while (status == ACTIONPROXY_OK);
    CHECK(strstr(actionproxy_error_text(), "another thread tends the action"));
    OK(actionproxy_close(action));
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The last error is a thread's own. */
static void *no_error(void *unused) {
    (void)unused;
    CHECK(actionproxy_error_reason() == ACTIONPROXY_REASON_NONE);
    MISUSE(actionproxy_cancel(NULL), "expected a call");
    return NULL;
}

static void errors(void) {
    pthread_t thread;
    MISUSE(actionproxy_end(NULL), "expected an action");
    CHECK(pthread_create(&thread, NULL, no_error, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(strstr(actionproxy_error_text(), "expected an action"));
}

int main(int argc, char **argv) {
    CHECK(argc == 2 && chdir(argv[1]) == 0);
    overlap();
    cancel();
    cancel_from_callback();
    resident();
    tended_once();
    errors();
    puts("done");
    return 0;
}
