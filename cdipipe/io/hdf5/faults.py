"""What goes wrong in a library while it reads a file, as one InputError."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdipipe.errors import InputError

READ_FAULTS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, EOFError)
READ_FAULTS += (AttributeError, NotImplementedError, SystemError, AssertionError, struct.error, zlib.error)
"""What libraries raise on a damaged file; InputError, a ValueError, is let through before these are caught."""


def one_line(error: BaseException) -> str:
    """The start of an error's text on one line."""
    text = " ".join(str(error).split())
    return (text[:200] + "...") if len(text) > 200 else text or type(error).__name__


@contextlib.contextmanager
def faults_are_input_errors(path: str | Path, what: str, faults: Any = READ_FAULTS) -> Iterator[None]:
    """Turn the ``faults`` that a library raises while it reads ``path`` into one InputError that names it."""
    try:
        yield
    except (InputError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except faults as error:
        raise InputError(f"{path}: {what} ({one_line(error)})") from error
