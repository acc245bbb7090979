"""How every kernel's face refuses an argument."""

from __future__ import annotations

from typing import NoReturn


def fail(what: str, got, allowed: str) -> NoReturn:
    """ValueError that says what is wrong, what was got and what is allowed."""
    raise ValueError(f"{what}: got {got}; allowed: {allowed}")
