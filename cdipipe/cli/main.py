"""The command line: collects the commands and turns errors into exit codes.

0 done; 2 the input or the configuration is wrong (one line on stderr); 130 Ctrl-C; 1 a defect of ours (traceback).
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import pkgutil
import signal
import sys

import typer

import cdipipe.cli
from cdipipe import interrupt
from cdipipe.errors import InputError

INPUT_ERRNOS = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EISDIR}
INPUT_ERRNOS |= {errno.ENOTDIR, errno.ENAMETOOLONG, errno.EFBIG, errno.EEXIST, errno.ELOOP}

LONGEST_LINE = 2000
"""Characters of a complaint: it may quote what was given."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, help=cdipipe.__doc__)
def _without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _register_commands(arguments: list[str]) -> None:
    """Every module of this package with a function ``command`` is a command of its (file) name.

    Where the first argument is such a name no other module is loaded: most commands would wait for that longer than
    for their work.
    """
    modules = {module.name.rstrip("_"): module.name for module in pkgutil.iter_modules(cdipipe.cli.__path__)}
    for name in arguments[:1] if arguments[:1] and arguments[0] in modules else modules:
        _register_command(name, modules[name])
    app.registered_commands.sort(key=lambda info: info.name or "")


@functools.cache
def _register_command(name: str, module_name: str) -> None:
    module = importlib.import_module(f"cdipipe.cli.{module_name}")
    if hasattr(module, "command"):
        app.command(name)(module.command)


def _complain(message: str) -> int:
    line = " ".join(str(message).split()).encode("utf-8", "replace").decode()
    line = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."
    print(f"cdipipe: {line}", file=sys.stderr)
    return 2


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        _register_commands(sys.argv[1:] if arguments is None else arguments)
        code = app(args=arguments, standalone_mode=False) or 0
        if code == 130:  # Typer has caught Ctrl-C
            raise KeyboardInterrupt
        return code
    except typer.TyperException as error:  # a wrong option, argument or value
        return _complain(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        print("cdipipe: stopped by Ctrl-C; nothing was written", file=sys.stderr)
        return 130
    except InputError as error:
        return _complain(error)
    except MemoryError:
        return _complain("not enough memory for this input; crop or bin it (import --crop, --bin)")
    except OSError as error:
        if error.errno not in INPUT_ERRNOS:
            raise
        where = error.filename2 or error.filename
        return _complain(f"{where}: {os.strerror(error.errno)}" if where else str(error))


def main() -> None:
    """Entry point of the ``cdipipe`` script."""
    interrupt.install()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done or undone; leave with its code
    sys.exit(code)


if __name__ == "__main__":
    main()
