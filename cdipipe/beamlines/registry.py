"""Every beamline by its name, those of other packages too, and own ones by the path of their file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from cdipipe.beamlines.record import Beamline
from cdipipe.plugins import Registry
from cdipipe.settings import load_yaml, validate

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")
MOST_BYTES = 2**20


def read_beamline(path: Path) -> Beamline:
    """A beamline from its file.

    Raises
    ------
    InputError   the file is no YAML, or the beamline is not complete: one line that names the key
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(MOST_BYTES)
    return validate(Beamline, load_yaml(text, str(path)), str(path))


def _inside() -> dict[str, Callable[[], Beamline | None]]:
    return {path.stem: functools.partial(read_beamline, path) for path in sorted(FOLDER.glob("*.yaml"))}


BEAMLINES = Registry("beamline", "cdipipe.beamlines", Beamline, _inside)


def get_beamline(name: str, where: str = "--beamline") -> Beamline:
    """A beamline by its name, or by the path of a YAML file.

    Parameters
    ----------
    where : what names it, for the message

    Raises
    ------
    InputError   there is none of this name, or the file is none of a beamline
    """
    path = Path(name).expanduser()
    if path.suffix.lower() in SUFFIXES:
        return read_beamline(path)
    return BEAMLINES.get(name, where)
