/* actionproxy: runs executables as OpenWhisk actions, in a program of your own.
 *
 *   configuration ── open ──> action ── init ──> run, run, … ──> close
 *                                         └──────┴─ a call for each: settings, logs, cancel
 *
 * Rules for all functions:
 *
 * - Handles are opaque, and no addresses. One that is NULL, was freed or closed, is of another kind, or
 *   comes from before a fork is refused with ACTIONPROXY_MISUSE. A number is not used again. All pointers
 *   but handles have to be what is said of them: that nobody can check.
 * - What returns an actionproxy_status has done what was asked if that is ACTIONPROXY_OK. Otherwise
 *   actionproxy_error_text() and actionproxy_error_reason() say more, on the same thread.
 * - Texts and bytes that a function is given are copied, or used no longer than it runs.
 * - No function ends the program, unwinds, starts a thread, or changes what is done at a signal, the
 *   working directory or the environment. Only processes of actions are waited for; the host's children
 *   are its own. A host must leave those of actions alone: wait for its children by their ids, and neither
 *   ignore SIGCHLD nor wait for any child while an init, a run or a resident process goes on. SIGPIPE is
 *   blocked on the calling thread while a function works with an action, but not in a callback.
 * - Threads: every function can be called from any thread; each says what it does not bear. It works on the
 *   thread that called it, and calls back on that thread alone. Nothing is bound to a thread but the last
 *   error.
 * - From a log callback only what says so may be called; all else is refused with ACTIONPROXY_MISUSE.
 */


#ifndef ACTIONPROXY_H
#define ACTIONPROXY_H

/* Made by cbindgen from invokers/capi/src: do not edit it. */

#include <stddef.h>
#include <stdint.h>

/**
 * The version of the ABI that this header describes: of its functions, types and constants. It
 * changes whenever a program that was compiled with an earlier header would go wrong, and with it
 * the SONAME, `libactionproxy.so.1`. What is only added does not change it.
 */
#define ACTIONPROXY_ABI_VERSION 1

/**
 * In the place of a time: no limit.
 */
#define ACTIONPROXY_NO_LIMIT UINT64_MAX

/**
 * What failed, where a program has to tell it apart. The text says more. Later versions may know
 * more reasons: take one that you do not know by the status alone.
 */
enum actionproxy_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * No call has failed on this thread.
   */
  ACTIONPROXY_REASON_NONE = 0,
  /**
   * The function was used against its rules.
   */
  ACTIONPROXY_REASON_MISUSE = 1,
  /**
   * A setting or an argument has a value that it cannot have.
   */
  ACTIONPROXY_REASON_BAD_VALUE = 2,
  /**
   * A second init, where only one is allowed.
   */
  ACTIONPROXY_REASON_ALREADY_INITIALIZED = 3,
  /**
   * The code is missing, damaged, refused, or not what its checksum says.
   */
  ACTIONPROXY_REASON_BAD_CODE = 4,
  /**
   * A hook refused: a build that failed, for instance.
   */
  ACTIONPROXY_REASON_HOOK = 5,
  /**
   * There is nothing fit to run, or it could not be started.
   */
  ACTIONPROXY_REASON_NOT_RUNNABLE = 6,
  /**
   * A run before an init has succeeded, where nothing else stands that could be run.
   */
  ACTIONPROXY_REASON_NOT_INITIALIZED = 7,
  /**
   * The action ran, and gave no JSON object or array.
   */
  ACTIONPROXY_REASON_NO_RESULT = 8,
  /**
   * The result line is over its limit.
   */
  ACTIONPROXY_REASON_RESULT_TOO_LARGE = 9,
  /**
   * A time limit or the deadline passed; the action was stopped.
   */
  ACTIONPROXY_REASON_TIMED_OUT = 10,
  /**
   * The call was cancelled; the action was stopped.
   */
  ACTIONPROXY_REASON_CANCELLED = 11,
  /**
   * The machine failed.
   */
  ACTIONPROXY_REASON_HOST = 12,
  /**
   * A fault of this library, which it has caught. The action may be unusable.
   */
  ACTIONPROXY_REASON_PANIC = 13,
  /**
   * Another one, which this version has no name for.
   */
  ACTIONPROXY_REASON_OTHER = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_reason actionproxy_reason;
#else
typedef int32_t actionproxy_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a call went, and who has to change something where it failed.
 */
enum actionproxy_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It did what was asked.
   */
  ACTIONPROXY_OK = 0,
  /**
   * The request was wrong, or cancelled, whatever the action: its argument, a second init.
   */
  ACTIONPROXY_CALLER = 1,
  /**
   * The action failed: its code, its archive, its process.
   */
  ACTIONPROXY_ACTION = 2,
  /**
   * The machine failed: disk, memory, descriptors. So is a fault of this library told.
   */
  ACTIONPROXY_HOST = 3,
  /**
   * The function was used against its rules: NULL, a handle that was freed, a value out of range, a
   * call from a log callback. Nothing was done.
   */
  ACTIONPROXY_MISUSE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_status actionproxy_status;
#else
typedef int32_t actionproxy_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The two streams of logs.
 */
enum actionproxy_stream
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * What the action wrote to stdout, without the result.
   */
  ACTIONPROXY_STDOUT = 1,
  /**
   * What it wrote to stderr, and the library's own remarks, each a line.
   */
  ACTIONPROXY_STDERR = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_stream actionproxy_stream;
#else
typedef int32_t actionproxy_stream;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * In which pieces a callback is given a stream.
 */
enum actionproxy_form
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As it comes: of any length, and cut anywhere.
   */
  ACTIONPROXY_CHUNKS = 0,
  /**
   * Line by line, without the newline. A line over 64 KiB comes in pieces of that; a last one
   * without a newline comes when the call ends.
   */
  ACTIONPROXY_LINES = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_form actionproxy_form;
#else
typedef int32_t actionproxy_form;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether an init may replace an action that is initialised.
 */
enum actionproxy_reinit
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A second init is refused. The default, and the platform's contract.
   */
  ACTIONPROXY_REINIT_REFUSE = 0,
  /**
   * Every init replaces the action.
   */
  ACTIONPROXY_REINIT_ALLOW = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_reinit actionproxy_reinit;
#else
typedef int32_t actionproxy_reinit;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What must hold before an executable is run.
 */
enum actionproxy_verify
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It is an executable regular file, and its content is what it was when init ended. The default.
   */
  ACTIONPROXY_VERIFY_DIGEST = 0,
  /**
   * Only that it is an executable regular file: for actions that rewrite themselves.
   */
  ACTIONPROXY_VERIFY_PERMISSION = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_verify actionproxy_verify;
#else
typedef int32_t actionproxy_verify;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an installed action outlives.
 */
enum actionproxy_durability
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The end of this process, however it ends. The default.
   */
  ACTIONPROXY_DURABILITY_PROCESS = 0,
  /**
   * A loss of power too: everything is synced to disk before an init ends.
   */
  ACTIONPROXY_DURABILITY_POWER_LOSS = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_durability actionproxy_durability;
#else
typedef int32_t actionproxy_durability;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether a process that is killed by a fault leaves its memory in a file.
 */
enum actionproxy_core_dumps
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As it is with this process. The default.
   */
  ACTIONPROXY_CORE_DUMPS_INHERITED = 0,
  /**
   * None (`RLIMIT_CORE`).
   */
  ACTIONPROXY_CORE_DUMPS_OFF = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_core_dumps actionproxy_core_dumps;
#else
typedef int32_t actionproxy_core_dumps;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether executing a program may give a process more than it has.
 */
enum actionproxy_privileges
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As it is with this process. The default.
   */
  ACTIONPROXY_PRIVILEGES_INHERITED = 0,
  /**
   * It may not (`PR_SET_NO_NEW_PRIVS`).
   */
  ACTIONPROXY_PRIVILEGES_NO_NEW = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_privileges actionproxy_privileges;
#else
typedef int32_t actionproxy_privileges;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What of the file system a process may change.
 */
enum actionproxy_view
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * What its user may. The default.
   */
  ACTIONPROXY_VIEW_WHOLE = 0,
  /**
   * Of that, what lies in the action directory, and a directory of its own that `TMPDIR` names; by
   * Landlock. It takes ACTIONPROXY_PRIVILEGES_NO_NEW along.
   */
  ACTIONPROXY_VIEW_READ_ONLY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_view actionproxy_view;
#else
typedef int32_t actionproxy_view;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The hooks of an init that may be a command, in the order in which they are called.
 */
enum actionproxy_hook
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Before anything is done with the code, also where none came.
   */
  ACTIONPROXY_HOOK_PREINIT = 0,
  /**
   * When the code is unpacked: may append to the source.
   */
  ACTIONPROXY_HOOK_EPILOGUE = 1,
  /**
   * After that: makes the executable.
   */
  ACTIONPROXY_HOOK_BUILD = 2,
  /**
   * When the executable has been found fit to run: refuses it by its exit status.
   */
  ACTIONPROXY_HOOK_VERIFY = 3,
  /**
   * Last: prints variables for the action, as `NAME=value` lines.
   */
  ACTIONPROXY_HOOK_ENV = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_hook actionproxy_hook;
#else
typedef int32_t actionproxy_hook;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * In which form code is given.
 */
enum actionproxy_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * There is none: what stands in the action directory stays.
   */
  ACTIONPROXY_CODE_NONE = 0,
  /**
   * The text of a program.
   */
  ACTIONPROXY_CODE_TEXT = 1,
  /**
   * Base64 of what ACTIONPROXY_CODE_BYTES has.
   */
  ACTIONPROXY_CODE_BASE64 = 2,
  /**
   * A zip, a tar.gz, an ELF executable or a `#!` script.
   */
  ACTIONPROXY_CODE_BYTES = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum actionproxy_code actionproxy_code;
#else
typedef int32_t actionproxy_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An action in its directory.
 */
typedef struct actionproxy_action actionproxy_action;

/**
 * One init or one run: its settings, and the means to cancel it. It is used once.
 */
typedef struct actionproxy_call actionproxy_call;

/**
 * A configuration. It can be changed, opened with and freed independently of the actions that were
 * opened with it: each has a copy.
 */
typedef struct actionproxy_config actionproxy_config;

/**
 * The result of a run: JSON, and how the process ended.
 */
typedef struct actionproxy_result actionproxy_result;

/**
 * Is given what an action wrote: `length` bytes, which end in no NUL and may hold some, and which are
 * valid until it returns. `stream` is an `actionproxy_stream`.
 *
 * It is called on the thread, and while, a function runs that was given the action; the action waits
 * for it to return. It must return: neither `longjmp` nor a C++ exception may leave it. From it, only
 * `actionproxy_cancel` may be called, and what reads: versions, errors, results. Every other function is
 * refused there with ACTIONPROXY_MISUSE.
 */
typedef void (*actionproxy_log)(void *user, int32_t stream, const char *bytes, size_t length);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the ABI of the library that is loaded: compare it with ACTIONPROXY_ABI_VERSION
 * where the library was not found by its SONAME.
 *
 * Threads: any, at any time, in a log callback too.
 */
uint32_t actionproxy_abi_version(void);

/**
 * The version of the library that is loaded, such as `0.1.0`. The text is valid for ever.
 *
 * Threads: any, at any time, in a log callback too.
 */
const char *actionproxy_version(void);

/**
 * What the last call that failed on this thread says of it, in one line or a few, in UTF-8, for a
 * log and not for a machine. Empty where none has failed. The text is valid until another call fails on
 * this thread, or the thread ends. A call that does what was asked leaves it as it is.
 *
 * Threads: any, at any time, in a log callback too. Each has its own.
 */
const char *actionproxy_error_text(void);

/**
 * What the last call that failed on this thread failed of.
 *
 * Threads: any, at any time, in a log callback too. Each has its own.
 */
actionproxy_reason actionproxy_error_reason(void);

/**
 * Makes a configuration with every default, for an action that lives in the directory `action_dir`:
 * archives are unpacked into it, and the executable runs there. A relative path is one from the working
 * directory of the process when the action is opened. `*config` is the handle, and NULL where this
 * fails.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `action_dir` is NULL, which is refused, or ends in NUL; `config` is NULL, which is refused, or can be
 * written to.
 */
actionproxy_status actionproxy_config_new(const char *action_dir, actionproxy_config **config);

/**
 * Frees a configuration. NULL is nothing to free.
 *
 * Threads: any.
 */
actionproxy_status actionproxy_config_free(actionproxy_config *config);

/**
 * Who is given the logs of one stream where a call has no callback of its own: of inits and runs, and
 * of what a resident process writes between them (`actionproxy_tend`). `stream` is an
 * `actionproxy_stream`, `form` an `actionproxy_form`, and `user` is passed on to `log`. Default: NULL,
 * by which logs are dropped.
 *
 * Threads: any, several at once. `log` is called on the thread that inits, runs, tends or closes.
 *
 * # Safety
 * `log` and `user` can be used until each action that was opened with it is closed, from every thread
 * that is given one of them.
 */
actionproxy_status actionproxy_config_set_log(actionproxy_config *config,
                                              int32_t stream,
                                              int32_t form,
                                              actionproxy_log log,
                                              void *user);

/**
 * The file, relative to the action directory, that text code is written to. Default: `exec`. A
 * resident process has its own.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `path` is NULL, which is refused, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_source(actionproxy_config *config, const char *path);

/**
 * The file, relative to the action directory, that is run. Default: `exec`. A resident process has
 * its own.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `path` is NULL, which is refused, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_executable(actionproxy_config *config, const char *path);

/**
 * The program, a `#!` script, that stands for the action until an init brings one. UTF-8. Default: NULL, by
 * which there is none, and what is run before is refused. A resident process has no use for one.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `text` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_stub(actionproxy_config *config, const char *text);

/**
 * Adds a variable to the environment that every action starts from. Default: none, not even PATH;
 * of the environment of the process nothing is taken. A name that is there already gets the new value.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `name` and `value` are NULL, which is refused, or end in NUL.
 */
actionproxy_status actionproxy_config_add_env(actionproxy_config *config,
                                              const char *name,
                                              const char *value);

/**
 * Whether an init may replace an action that is initialised: an `actionproxy_reinit`. Default: refuse.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_reinit(actionproxy_config *config, int32_t reinit);

/**
 * What must hold before an executable is run: an `actionproxy_verify`. Default: digest.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_verify(actionproxy_config *config, int32_t verify);

/**
 * What an installed action outlives: an `actionproxy_durability`. Default: the process.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_durability(actionproxy_config *config, int32_t durability);

/**
 * The most bytes that one archive may write. Default: 536870912 (512 MiB).
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_max_unpacked(actionproxy_config *config, uint64_t bytes);

/**
 * The most entries of one archive, directories included. Default: 65535.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_max_entries(actionproxy_config *config, uint64_t entries);

/**
 * The deepest directory of an archive, counted from the action directory. Default: 64.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_max_depth(actionproxy_config *config, size_t depth);

/**
 * How long an init, its hooks and build together, or one run may take, in milliseconds, before the
 * process group of what runs is ended. Default: ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_timeout(actionproxy_config *config, uint64_t milliseconds);

/**
 * From TERM to KILL, in milliseconds. Default: 1000.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_kill_grace(actionproxy_config *config, uint64_t milliseconds);

/**
 * After the action has exited: how long, in milliseconds, a pipe that a descendant keeps open may stay
 * silent before the process group is ended. ACTIONPROXY_NO_LIMIT waits for the end of the pipes for
 * ever. Default: 200.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_linger(actionproxy_config *config, uint64_t milliseconds);

/**
 * The same while no result line stands, for one that a descendant writes after the action has exited.
 * ACTIONPROXY_NO_LIMIT waits for ever. Default: 10000.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_late_result(actionproxy_config *config, uint64_t milliseconds);

/**
 * The longest result line, in bytes. A longer one is no result. Default: 67108864 (64 MiB).
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_max_result(actionproxy_config *config, size_t bytes);

/**
 * A process for each run: its argument is its input, the last line of its stdout the result. The
 * default.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_process(actionproxy_config *config);

/**
 * One process for all runs, which reads each as a line on stdin and writes the result as a line on
 * descriptor 3: OpenWhisk's ActionLoop. It has started when it has lived for so many milliseconds, or
 * has written a line to descriptor 3; with ACTIONPROXY_NO_LIMIT, when its first line there is a JSON
 * object with `"ok": true`.
 *
 * Each init has a directory of its own, `N` in the action directory: code is received in `N/src`,
 * where text becomes `exec`, and what is run is `N/bin/exec`.
 *
 * Somebody has to call `actionproxy_tend` whenever no run goes on.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_resident(actionproxy_config *config, uint64_t lives_for);

/**
 * Of a resident process: what the file `bin/exec.env` has to hold, white space at its ends aside.
 * Default: NULL, by which it need not be there.
 *
 * # Errors
 * ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `text` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_execution_env(actionproxy_config *config, const char *text);

/**
 * Of a resident process: the name under which a jar (a zip that holds `META-INF/MANIFEST.MF`) is kept
 * whole in `src`. Default: NULL, by which it is unpacked like any other.
 *
 * # Errors
 * ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `name` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_keep_jar(actionproxy_config *config, const char *name);

/**
 * Of a resident process: the program that makes `bin` from `src`, as OpenWhisk's runtimes have one:
 * `COMPILER MAIN SRC BIN`, with the paths of the two directories. It fails by printing anything, and by
 * leaving no `bin/exec`. Code that is an executable already, an ELF file or a `#!` script, is not
 * compiled. Default: NULL, by which all code has to be that.
 *
 * # Errors
 * ACTIONPROXY_MISUSE before `actionproxy_config_set_resident`.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `path` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_compiler(actionproxy_config *config, const char *path);

/**
 * The most address space of one process of the action, in bytes (`RLIMIT_AS`). It holds, as all that
 * follows up to the view, for the processes of runs and for a resident process, not for hooks; what this
 * process itself may not exceed holds in any case. Default: ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_address_space(actionproxy_config *config, uint64_t bytes);

/**
 * The most processor time of one process of the action, in milliseconds, of which whole seconds count,
 * and at least one (`RLIMIT_CPU`). Above it the process is killed. A resident process has it for all
 * its runs. Default: ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_processor_time(actionproxy_config *config, uint64_t milliseconds);

/**
 * The largest file that a process of the action may write, in bytes (`RLIMIT_FSIZE`). Above it the
 * process is killed, or the write fails where it ignores the signal. Default: ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_file_size(actionproxy_config *config, uint64_t bytes);

/**
 * One more than the highest number of a descriptor of the action's (`RLIMIT_NOFILE`). Default:
 * ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_open_files(actionproxy_config *config, uint64_t files);

/**
 * The most processes and threads of the user, all that it has on the machine counted
 * (`RLIMIT_NPROC`). It does not hold root: then the action cannot be opened. Default: ACTIONPROXY_NO_LIMIT.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_processes(actionproxy_config *config, uint64_t processes);

/**
 * Whether a process of the action that is killed by a fault leaves its memory in a file: an
 * `actionproxy_core_dumps`. Default: inherited.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_core_dumps(actionproxy_config *config, int32_t core_dumps);

/**
 * Whether the action may become more than it is, by a setuid program or capabilities of a file: an
 * `actionproxy_privileges`. Default: inherited.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_privileges(actionproxy_config *config, int32_t privileges);

/**
 * Whose processes the action's are: a user, and the only group that they have. What an init brings is
 * made readable to that group. Only root can: for another user, the action cannot be opened. Default:
 * those of this process.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_user(actionproxy_config *config, uint32_t uid, uint32_t gid);

/**
 * What of the file system the action may change: an `actionproxy_view`. Where the kernel cannot keep it
 * from the rest, the action cannot be opened. Default: whole.
 *
 * Threads: any, several at once.
 */
actionproxy_status actionproxy_config_set_view(actionproxy_config *config, int32_t view);

/**
 * The command of a hook, an `actionproxy_hook`: words as a shell splits them, with its quotes and
 * backslashes but without a shell; what needs one is `sh -c '...'`. It runs once in an init, in the staging
 * directory, with the value of the init message on stdin and `ACTION_SOURCE`, `ACTION_EXECUTABLE`,
 * `ACTION_MAIN`, `ACTION_NAME`, `ACTION_FORM`, `ACTION_STAGE` and `ACTION_HOOK` in its environment, over the
 * configuration's and init's. It fails the init by any exit status but 0. What it prints is log, but
 * for the variables. Default: NULL, by which the hook does nothing. UTF-8.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `command` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_hook(actionproxy_config *config, int32_t hook, const char *command);

/**
 * Where what the commands of `epilogue` and `build` have made is kept, so that the same code need not be
 * built again: a directory, and the most that it may take, in bytes. It is made where it is missing. Whoever
 * can write there can have programs run. Default: NULL, by which nothing is kept.
 *
 * Threads: any, several at once. Several processes may share the directory.
 *
 * # Safety
 * `directory` is NULL, or ends in NUL.
 */
actionproxy_status actionproxy_config_set_build_cache(actionproxy_config *config,
                                                      const char *directory,
                                                      uint64_t max_bytes);

/**
 * Makes a call: `*call` is its handle, and NULL where this fails.
 *
 * # Errors
 * ACTIONPROXY_HOST where the system has no descriptor to spare.
 *
 * Threads: any, several at once.
 *
 * # Safety
 * `call` is NULL, which is refused, or can be written to.
 */
actionproxy_status actionproxy_call_new(actionproxy_call **call);

/**
 * Who is given the logs of one stream of this call: instead of the configuration's callback, if that
 * has one. `stream` is an `actionproxy_stream`, `form` an `actionproxy_form`, and `user` is passed on
 * to `log`. A `log` of NULL leaves it to the configuration's.
 *
 * Threads: any, before the call is used. `log` is called on the thread that inits or runs.
 *
 * # Safety
 * `log` and `user` can be used until the call has ended.
 */
actionproxy_status actionproxy_call_set_log(actionproxy_call *call,
                                            int32_t stream,
                                            int32_t form,
                                            actionproxy_log log,
                                            void *user);

/**
 * Adds a variable to the environment: in an init for every later run, in a run for this one alone. A
 * name that is empty or holds `=` is skipped, with a line in the log. A resident process has the
 * environment of its init; a run's is ignored.
 *
 * Threads: any, before the call is used.
 *
 * # Safety
 * `name` and `value` are NULL, which is refused, or end in NUL.
 */
actionproxy_status actionproxy_call_add_env(actionproxy_call *call, const char *name, const char *value);

/**
 * For a run: how long it may take, in milliseconds from its start, beside the configuration's
 * `timeout`; the shorter one holds. Default: none.
 *
 * Threads: any, before the call is used.
 */
actionproxy_status actionproxy_call_set_time_limit(actionproxy_call *call, uint64_t milliseconds);

/**
 * The same, told as a deadline in the error's text: the platform's for this activation, as
 * milliseconds from the start of the run. The last of the two that is set holds.
 *
 * Threads: any, before the call is used.
 */
actionproxy_status actionproxy_call_set_deadline(actionproxy_call *call, uint64_t milliseconds);

/**
 * For an init: the action's name, for hooks. UTF-8. Default: none.
 *
 * Threads: any, before the call is used.
 *
 * # Safety
 * `name` is NULL, which is refused, or ends in NUL.
 */
actionproxy_status actionproxy_call_set_name(actionproxy_call *call, const char *name);

/**
 * For an init: the entry point, for hooks and compile scripts. UTF-8. Default: none.
 *
 * Threads: any, before the call is used.
 *
 * # Safety
 * `main` is NULL, which is refused, or ends in NUL.
 */
actionproxy_status actionproxy_call_set_main(actionproxy_call *call, const char *main);

/**
 * For an init: the SHA-256 that the decoded code must have, as 64 hexadecimal digits. Code that has
 * another is refused before anything is written. Default: none is asked for.
 *
 * Threads: any, before the call is used.
 *
 * # Safety
 * `sha256` is NULL, which is refused, or ends in NUL.
 */
actionproxy_status actionproxy_call_set_sha256(actionproxy_call *call, const char *sha256);

/**
 * For an init: another field of its message, for hooks that know more: its name and its value as
 * JSON, both in UTF-8. One of the same name is replaced.
 *
 * Threads: any, before the call is used.
 *
 * # Safety
 * `name` and `json` are NULL, which is refused, or end in NUL.
 */
actionproxy_status actionproxy_call_add_field(actionproxy_call *call, const char *name, const char *json);

/**
 * Ends the init or run that the call is used for: the processes of the action that it has started
 * get TERM, then KILL, and the function returns with ACTIONPROXY_REASON_CANCELLED. The action can
 * be used further. A call that is not used yet ends as soon as it is.
 *
 * # Errors
 * ACTIONPROXY_MISUSE where the call has ended; nothing is cancelled then.
 *
 * Threads: any, in a log callback too. Not in a signal handler.
 */
actionproxy_status actionproxy_cancel(actionproxy_call *call);

/**
 * Frees a call. NULL is nothing to free.
 *
 * # Errors
 * ACTIONPROXY_MISUSE while it goes on: cancel it, and wait for the function to return.
 *
 * Threads: any.
 */
actionproxy_status actionproxy_call_free(actionproxy_call *call);

/**
 * Opens an action: makes its directory where it is missing, and completes or clears what a crash in
 * an earlier init left. What an init of an earlier process installed can be run at once, if it has not
 * changed. `*action` is the handle, and NULL where this fails. It has a copy of the configuration.
 *
 * Its processes start with every signal at its default and none blocked.
 *
 * # Errors
 * ACTIONPROXY_HOST where the directory cannot be used.
 *
 * Threads: any, several at once. Not two of one directory.
 *
 * # Safety
 * `action` is NULL, which is refused, or can be written to.
 */
actionproxy_status actionproxy_open(const actionproxy_config *config, actionproxy_action **action);

/**
 * Whether an init has succeeded in this process: 1 or 0. Waits for an init that goes on. -1 where
 * `action` is no action.
 *
 * Threads: any, several at once.
 */
int32_t actionproxy_is_initialized(const actionproxy_action *action);

/**
 * Initialises an action with `length` bytes of code, in the form that `form` says, an
 * `actionproxy_code`. Waits for runs that go on, and keeps later ones waiting. `call` has the rest of
 * the request, and can be NULL.
 *
 * # Errors
 * By kind and reason; the action is then what it was before. What tools printed is in the logs.
 *
 * Threads: any. The calling one works until it is done, and runs the callbacks.
 *
 * # Safety
 * `code` points to `length` bytes, or is NULL and `length` is 0.
 */
actionproxy_status actionproxy_init(actionproxy_action *action,
                                    actionproxy_call *call,
                                    int32_t form,
                                    const void *code,
                                    size_t length);

/**
 * Runs one activation: gives the action `length` bytes of `argument`, a JSON object or array in
 * UTF-8, and waits for its result. With a `length` of 0, the argument is `{}`. `call` has the rest of
 * the request, and can be NULL. `*result` is what the action gave, to be freed with
 * `actionproxy_result_free`, and NULL where this fails.
 *
 * The argument reaches the action on stdin, as one line, and, where it is no longer than 131071 bytes,
 * on the command line too.
 *
 * # Errors
 * By kind and reason. ACTIONPROXY_CALLER with ACTIONPROXY_REASON_BAD_VALUE where the argument is no
 * JSON object or array. The next run is not touched by it.
 *
 * Threads: any, several at once: each run has a process of its own, or waits for the resident one. The
 * calling one works until it is done, and runs the callbacks.
 *
 * # Safety
 * `argument` points to `length` bytes, or is NULL and `length` is 0; `result` is NULL, which is
 * refused, or can be written to.
 */
actionproxy_status actionproxy_run(const actionproxy_action *action,
                                   actionproxy_call *call,
                                   const char *argument,
                                   size_t length,
                                   actionproxy_result **result);

/**
 * Hands on what a resident process writes while no run goes on, to the configuration's callbacks,
 * until so many milliseconds are over (ACTIONPROXY_NO_LIMIT: for ever), or another thread inits, runs
 * or closes the action. While they do so, it waits. Without a resident process it only waits.
 *
 * A resident process whose output nobody reads stands still when a pipe is full. So have a thread that does
 * nothing else:
 *
 *     while (!done) actionproxy_tend(action, 1000);
 *
 * or call it with 0 now and then, from a loop of your own.
 *
 * # Errors
 * ACTIONPROXY_HOST where the machine does not let it wait. ACTIONPROXY_MISUSE where another thread
 * tends the action.
 *
 * Threads: any, one at a time. The calling one runs the callbacks.
 */
actionproxy_status actionproxy_tend(const actionproxy_action *action, uint64_t milliseconds);

/**
 * Ends the resident process of an action and its group: TERM, then KILL. Waits for runs that go on.
 * What is run afterwards is refused, until another init. Without such a process it does nothing.
 *
 * Threads: any. The calling one runs the callbacks, with what the process still wrote.
 */
actionproxy_status actionproxy_end(actionproxy_action *action);

/**
 * Closes an action: ends its resident process, if it has one, and frees the handle. What was installed
 * stays in its directory. NULL is nothing to close.
 *
 * # Errors
 * ACTIONPROXY_MISUSE while another thread inits, runs or ends it: nothing is closed then. Cancel those
 * calls, and wait for the functions to return. A thread that tends it is woken, and need not be waited
 * for.
 *
 * Threads: any. The calling one runs the callbacks, with what a resident process still wrote.
 */
actionproxy_status actionproxy_close(actionproxy_action *action);

/**
 * The JSON of the result, an object or array, byte for byte as the action gave it; `*length` is its
 * length, unless `length` is NULL. A NUL stands behind it, which is not counted. Valid until the
 * result is freed. NULL where `result` is no result.
 *
 * Threads: any, several at once, in a log callback too.
 *
 * # Safety
 * `length` is NULL, or points to a `size_t` that can be written.
 */
const char *actionproxy_result_bytes(const actionproxy_result *result, size_t *length);

/**
 * How the process ended: 0 to 255 is its exit status, and a negative number -S the signal S that
 * killed it. It does not touch the result. -1000 where `result` is no result.
 *
 * Threads: any, several at once, in a log callback too.
 */
int32_t actionproxy_result_ended(const actionproxy_result *result);

/**
 * Frees a result, and its bytes. NULL is nothing to free.
 *
 * Threads: any, while no other reads the bytes.
 */
actionproxy_status actionproxy_result_free(actionproxy_result *result);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ACTIONPROXY_H */
