"""Loading what a command needs, sooner."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Around imports: they make many objects that all stay, and nobody looks for garbage among them, then or later.

    That search takes a fifth of the time that torch takes to load, and a seventh of that of a page of pictures.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
