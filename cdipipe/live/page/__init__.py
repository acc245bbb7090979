"""The browser page of a live run: ``cdipipe live ... --page 127.0.0.1:8050``.

============  ======================================================================================================
``address``   where the page may listen, and who may open it
``server``    the web server, in a thread of its own
``hub``       what is sent to the browsers, made once for all of them
``talk``      one browser: newest first, never more than it takes in; what it asks for is checked
``messages``  the binary layout of what is sent, and what may be asked for
``pictures``  patterns and objects as bytes to be coloured
``history``   the whole run in a few hundred rows
``static/``   the page itself: HTML, style and scripts, read once when it begins
============  ======================================================================================================

Nothing that a browser sends names a file, and no file is read or written for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdipipe import extras

if TYPE_CHECKING:
    from cdipipe.live.monitor import Monitor
    from cdipipe.live.page.server import Page


def make_page(monitor: Monitor, address: str, methods: Sequence[str] = (), is_open: bool = False) -> Page:
    """The page of a live run; it is served from :meth:`Page.start` to :meth:`Page.stop`, or while it is a context.

    Parameters
    ----------
    monitor : of the run
    address : ``HOST:PORT``; port 0: any that is free
    methods : that may be asked for; by default the monitor's alone
    is_open : whether other computers may reach it

    Raises
    ------
    InputError
        The address cannot be used, or what the page needs is not installed.
    """
    for module in ("starlette", "uvicorn", "websockets"):
        extras.load(module, "--page")
    from cdipipe.live.page.server import Page

    return Page(monitor, address, methods, is_open)
