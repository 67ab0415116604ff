"""Keeps one process of a Python action for all its activations, as OpenWhisk's ActionLoop asks for.

    launcher.py MAIN        in the directory that `__main__.py` is in

Each line on stdin is an activation, a JSON object: its `value` is the argument of the function MAIN, its
other keys are variables for as long as the activation lasts. Each result is a line on descriptor 3. What
the action prints is log.
"""

import glob
import json
import os
import site
import sys
import types

SOURCE = "__main__.py"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def log(text):
    print(text, file=sys.stderr)


def take_streams():
    """The two pipes of the proxy, out of the action's reach and of its children's."""
    questions, answers = os.dup(0), os.dup(3)
    os.close(3)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # A line that was printed is in the logs, whatever becomes of the process.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    return os.fdopen(questions, "rb"), os.fdopen(answers, "wb", buffering=0)


def use_virtualenv(directory):
    """Puts the packages of an environment that came with the action before the image's own."""
    if not os.path.isdir(directory):
        return
    packages = os.path.join(directory, "lib", PYTHON, "site-packages")
    if not os.path.isdir(packages):
        others = sorted(map(os.path.basename, glob.glob(os.path.join(directory, "lib", "python*"))))
        sys.exit(
            f"`virtualenv/` has packages for {', '.join(others) or 'no Python'}, and this is {PYTHON}: "
            "make it in a container of this image"
        )
    before = list(sys.path)
    site.addsitedir(packages)
    added = [path for path in sys.path if path not in before]
    sys.path[:] = before[:1] + added + before[1:]


def report(error):
    """The action's part of a traceback to the logs; the line that says what went wrong comes back."""
    import traceback

    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    return traceback.format_exception_only(type(error), error)[-1].strip()


def load(name):
    """The function `name` of the action. Ends the process, with the reason in the logs, where there is none."""
    directory = os.getcwd()
    sys.path[0] = directory
    use_virtualenv(os.path.join(directory, "virtualenv"))
    module = types.ModuleType("__action__")
    module.__file__ = os.path.join(directory, SOURCE)
    # What looks up the module of a class or function, as pickle does, finds it.
    sys.modules["__action__"] = module
    try:
        with open(module.__file__, "rb") as source:
            code = compile(source.read(), module.__file__, "exec")
        exec(code, module.__dict__)
    except BaseException as error:
        sys.exit(f"the action could not be loaded: {report(error)}")
    function = getattr(module, name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if isinstance(value, types.FunctionType)]
        sys.exit(f"the action has no function `{name}`: it has {', '.join(functions) or 'none'}")
    return function


class Variables:
    """`__OW_*` variables of one activation; the next finds those of the process again."""

    def __init__(self):
        self.hidden = {}

    def set(self, message):
        for name, value in self.hidden.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.hidden = {}
        for key, value in message.items():
            name = f"__OW_{key.upper()}"
            if value is None:
                continue
            try:
                before = os.environ.get(name)
                os.environ[name] = value if isinstance(value, str) else json.dumps(value)
                self.hidden[name] = before
            except ValueError as error:
                log(f"the variable {name!r} is left out: {error}")


def activate(name, function, variables, line):
    """The line that answers `line`."""
    try:
        message = json.loads(line)
        argument = message.pop("value", None)
        variables.set(message)
        result = function({} if argument is None else argument)
    except BaseException as error:
        return json.dumps({"error": report(error)})
    if not isinstance(result, (dict, list, tuple)):
        log(f"`{name}` returned {type(result).__name__}: expected a dictionary or a list")
        return "null"
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        log(f"what `{name}` returned cannot be JSON: {error}")
        return json.dumps({"error": f"the result cannot be JSON: {error}"})


def send(answers, line):
    """Writes a line to the proxy, behind all that was printed before it."""
    for stream in (sys.stdout, sys.stderr):
        if stream and not stream.closed:
            stream.flush()
    try:
        rest = line.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8, but an escape in JSON.
        rest = json.dumps(json.loads(line)).encode()
    rest = memoryview(rest + b"\n")
    while rest:
        rest = rest[answers.write(rest) :]


def main():
    questions, answers = take_streams()
    name, variables = sys.argv[1], Variables()
    function = load(name)
    sys.argv[:] = [os.path.abspath(SOURCE)]
    send(answers, '{"ok": true}')
    for line in questions:
        send(answers, activate(name, function, variables, line))


main()
