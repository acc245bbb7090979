"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever the main thread happens to be; inside a destructor or a callback of the garbage
collector it is printed and dropped. So the signal is also noted, and long work asks for it at every step.
"""

from __future__ import annotations

import signal
import threading

_pressed = threading.Event()


def install() -> None:
    """From now on note SIGINT before KeyboardInterrupt is raised; for the main thread of a command.

    Where SIGINT is ignored, as in a background job of a shell script, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def handle(signum, frame):
        _pressed.set()
        signal.default_int_handler(signum, frame)

    signal.signal(signal.SIGINT, handle)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed, in any thread."""
    if _pressed.is_set():
        raise KeyboardInterrupt
