"""Where frames come from.

A source is a module in ``cdipipe/live/sources`` with a record ``SOURCE``, or an entry point of the group
``cdipipe.sources``, see ``cdipipe.plugins``. Users write its name and an address: ``dir:PATH``,
``zmq:tcp://HOST:PORT``, ``replay:FILE``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import cdipipe.live.sources
from cdipipe.errors import InputError
from cdipipe.live.frames import Frame, WhenFull
from cdipipe.measurement import Geometry, Measurement
from cdipipe.plugins import Registry, in_modules


class FrameSource(ABC):
    """Frames as they come; a source derives from it and writes ``frames``.

    Attributes
    ----------
    template : Measurement, optional
        Where the frames are those of a measurement: already corrected, masked and centred.
    mask : (H, W) bool, optional
        Pixels that can be trusted, where the source tells; known before the first frame.
    geometry : Geometry
        As far as the source tells; known before the first frame.
    """

    template: Measurement | None = None
    mask: np.ndarray | None = None
    geometry: Geometry = Geometry()

    @abstractmethod
    def frames(self) -> Iterator[Frame | None]:
        """The frames; None at least ten times a second while there is none, so that whoever waits can end."""

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Called once no more frames are wanted."""


@dataclass(frozen=True)
class Source:
    """A kind of source.

    Parameters
    ----------
    name : what users type before the colon
    summary : one line
    open : ``(address) -> FrameSource``; raises InputError for an address that cannot be
    when_full : what happens to a full queue unless the user says otherwise
    """

    name: str
    summary: str
    open: Callable[[str], FrameSource]
    when_full: WhenFull = "block"


SOURCES = Registry("source", "cdipipe.sources", Source, in_modules(cdipipe.live.sources, "SOURCE"))


def find_source(text: str) -> tuple[Source, str]:
    """The kind and the address of a source as users write it.

    Parameters
    ----------
    text : ``NAME:ADDRESS``

    Raises
    ------
    InputError   no such kind, or no address
    """
    name, colon, address = text.partition(":")
    if not colon or not address:
        shown = ", ".join(f"{known}:..." for known in SOURCES.names())
        raise InputError(f"{text}: expected a source such as dir:FOLDER, zmq:tcp://HOST:PORT or replay:M.cxi ({shown})")
    return SOURCES.get(name), address
