"""Where the page may listen, and who may open it."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field

from cdipipe.errors import InputError


@dataclass(frozen=True)
class Address:
    """Where the page listens.

    Parameters
    ----------
    host, port : as :func:`socket.bind` takes them; port 0: any that is free
    key : what a browser must know to connect; empty on this computer alone, where the address is enough
    """

    host: str
    port: int
    key: str = field(default="", repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer can reach it."""
        return is_loopback(self.host)

    def listen(self) -> socket.socket:
        """A socket that listens here; an :class:`InputError` where that cannot be."""
        try:
            family, _, _, _, where = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            found = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise InputError(f"--page {self}: {error.strerror or error}") from error
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(where)
            found.listen(16)
        except OSError as error:
            found.close()
            raise InputError(f"--page {self}: {error.strerror or error}; port 0 takes any that is free") from error
        return found

    def url(self, port: int) -> str:
        """What to type into a browser."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{f'?key={self.key}' if self.key else ''}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, is_open: bool = False) -> Address:
    """The address of ``HOST:PORT``, ``[IPV6]:PORT`` or ``PORT`` on this computer.

    Parameters
    ----------
    text : as typed
    is_open : whether other computers may reach it; such an address gets a key

    Raises
    ------
    InputError
        It is no address, or others could reach it although ``is_open`` is False.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InputError(f"--page {text}: give HOST:PORT, such as 127.0.0.1:8050")
    if is_loopback(host):
        return Address(host, int(port))
    if not is_open:
        raise InputError(
            f"--page {text}: other computers could open it; --page-open allows that, 127.0.0.1:{port} with "
            f"`ssh -L {port}:127.0.0.1:{port} THIS_COMPUTER` is safer"
        )
    return Address(host, int(port), secrets.token_urlsafe(16))


def is_loopback(host: str) -> bool:
    """Whether this name or number is this computer's own, out of reach of others."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_ask(host: str | None, address: Address) -> bool:
    """Whether a request with this ``Host`` header is answered.

    On loopback only by a name of this computer: a page of elsewhere whose name was pointed here (DNS rebinding) carries
    its own. Elsewhere the key decides.
    """
    return host is not None and (not address.is_loopback or is_loopback(_without_port(host)))


def is_same_page(origin: str | None, host: str | None) -> bool:
    """Whether the ``Origin`` header of a websocket is the page that this ``Host`` served; browsers always send one."""
    if not origin or not host:
        return False
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
