"""Pixels that count without light."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake


def prepare(intake: Intake) -> Apply | None:
    """Nothing is done yet."""
    return None
