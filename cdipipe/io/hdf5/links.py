"""Which files the links of a file may lead to, and where these are."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import h5py

from cdipipe.errors import InputError
from cdipipe.io.hdf5.opening import open_file

MOST_FILES = 4096
_FOLLOW: contextvars.ContextVar[bool] = contextvars.ContextVar("follow_links", default=False)


@contextlib.contextmanager
def following(follow: bool) -> Iterator[None]:
    """Follow links out of the folder of a file within the block, or do not."""
    token = _FOLLOW.set(follow)
    try:
        yield
    finally:
        _FOLLOW.reset(token)


class Files:
    """A file and those that it leads to, each opened once.

    A link is relative to the file that holds it. It may lead to files in the folder of the first file, or below it;
    elsewhere only where :func:`following` says so.
    """

    def __init__(self, top: Path, stack: contextlib.ExitStack, content: Any = None):
        self.top, self.follow, self._stack = top, _FOLLOW.get(), stack
        self._open: dict[Path, h5py.File] = {}
        self._paths: dict[int, Path] = {}
        self.first = self._keep(top, content)

    def _keep(self, path: Path, content: Any = None) -> h5py.File:
        key = path.resolve()
        if key not in self._open:
            if len(self._open) >= MOST_FILES:
                raise InputError(f"{self.top}: leads to more than {MOST_FILES} files")
            file = self._stack.enter_context(open_file(path, content))
            self._open[key] = file
            self._paths[h5py.h5o.get_info(file["/"].id).fileno] = path
        return self._open[key]

    def open(self, path: Path) -> h5py.File:
        """A file that a link leads to."""
        return self._keep(path)

    def holder(self, node: Any) -> Path:
        """The file that a group or dataset lies in."""
        return self._paths.get(h5py.h5o.get_info(node.id).fileno, self.top)

    def locate(self, holder: Path, filename: str, where: str) -> Path | None:
        """The file that ``holder`` calls ``filename``; None where it is missing.

        A full path that leads nowhere (the files were moved) is looked for beside the holder, as HDF5 does.

        Raises
        ------
        InputError   it lies outside the folder of the first file
        """
        folder, top = holder.resolve().parent, self.top.resolve().parent
        name = Path(filename)
        places = [name, folder / PureWindowsPath(filename).name] if name.is_absolute() else [folder / name]
        refused = False
        for place in places:
            with contextlib.suppress(OSError, ValueError):
                target = place.resolve()
                if not target.is_file():
                    refused |= not self.follow and not target.is_relative_to(top) and not name.is_absolute()
                elif self.follow or target.is_relative_to(top):
                    return target
                else:
                    refused = True
        if refused:
            raise InputError(
                f"{where} leads to {filename}, outside the folder of this file: refused; "
                "`import --follow-links` follows it"
            )
        return None
