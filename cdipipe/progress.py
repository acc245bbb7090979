"""Progress of long work: a bar on a terminal or in a notebook, a plain line every ten seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from cdipipe import interrupt

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts steps and tells of them on stderr; iterate over it, or use ``with`` and :meth:`update`."""

    def __init__(self, iterable: Iterable[Any], total: int | None, description: str):
        self.iterable, self.total, self.description = iterable, total, description
        self.count, self.note = 0, ""
        self.started = self.last_line = time.monotonic()
        self.bar = None

    def __enter__(self) -> Progress:
        if _in_notebook():
            self.bar = _notebook_bar()(total=self.total, desc=self.description, leave=False)
        elif sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, desc=self.description, leave=False, file=sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.iterable:
                yield item
                self.update()

    def __len__(self) -> int:
        return self.total or 0

    def update(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more; ``note`` (such as an error value) stands behind the count."""
        interrupt.check()
        self.count += steps
        self.note = note or self.note
        if self.bar is not None:
            if note:
                self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(steps)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        elapsed = time.monotonic() - self.started
        count = f"{self.count}/{self.total}" if self.total else f"{self.count}"
        rest = f", about {elapsed / max(self.count, 1) * (self.total - self.count):.0f} s left" if self.total else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.description}: {count} in {elapsed:.0f} s{rest}{note}"


def _in_notebook() -> bool:
    """Whether this process runs the cells of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _notebook_bar() -> Any:
    """A bar of widgets where they are installed, of characters otherwise."""
    import importlib.util

    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.notebook import tqdm
    return tqdm


def progress(iterable_or_total: Iterable[Any] | int, description: str) -> Progress:
    """Show progress over an iterable, or over ``range(total)``.

    ``for i in progress(100, "phasing"): ...`` or
    ``with progress(100, "phasing") as bar: bar.update(5, note="R 0.21")``.
    """
    if isinstance(iterable_or_total, int):
        return Progress(range(iterable_or_total), iterable_or_total, description)
    total = len(iterable_or_total) if isinstance(iterable_or_total, Sized) else None
    return Progress(iterable_or_total, total, description)
