"""Trying in another process what may crash or hang a library."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def comes_back(action: Callable[[], Any], seconds: int) -> bool:
    """Whether an action ends in time and without killing its process, tried in a copy of this one.

    Exceptions count as an end: the caller will meet them again. Where processes cannot be copied, True.
    """
    if not hasattr(os, "fork"):
        return True
    child = os.fork()
    if child == 0:
        _try_and_leave(action, seconds)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def _try_and_leave(action: Callable[[], Any], seconds: int) -> None:
    """The child's life; it writes nothing and never returns."""
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1), os.dup2(silence, 2)
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(seconds)
        action()
    except BaseException:
        pass
    finally:
        os._exit(0)
