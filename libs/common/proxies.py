"""Through which proxy a client of ours reaches an address: one decision for sockets and REST; pure.

The variables are those that other programs read: HTTPS_PROXY carries wss and https, HTTP_PROXY ws and http,
SOCKS_PROXY (before them) and ALL_PROXY (after them) either, WSS_PROXY and WS_PROXY sockets alone (before
all), each in lower case too. Hosts that NO_PROXY lists, and this machine, are reached directly.

References
----------
The variables are read as docs.python.org/3/library/urllib.request.html says, NO_PROXY as curl reads it
(curl.se/docs/manpage.html, `--noproxy`: names, with all below them, addresses, networks, ``*``), with ports
too. The order is that of websockets.readthedocs.io, "Proxies"; RFC 6455 section 4.1: a client SHOULD prefer a
SOCKS5 proxy. RFC 6761 section 6.3: names of localhost are loopback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies_environment

from libs.common.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKS: Final = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PORTS: Final = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_ORDER: Final[Mapping[str, tuple[str, ...]]] = {  # variables, by the scheme of what is to be reached
    "wss": ("wss", "socks", "https", "all"),
    "https": ("socks", "https", "all"),
    "ws": ("ws", "socks", "http", "all"),
    "http": ("socks", "http", "all"),
}
_FORM: Final = "http://host:port, https://host:port or socks5h://host:port"


class UnusableProxyError(ValueError):
    """A variable names a proxy that we cannot use; the text names the variable and not its value."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy to connect through.

    Attributes
    ----------
    variable
        The one that names it, in upper case.
    scheme
        How it is spoken to: one of `SCHEMES`. socks4a and socks5h let the proxy resolve names.
    """

    variable: str
    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return what may be shown: no credentials."""
        return f"{self.scheme}://{self.netloc} ({self.variable})"

    @property
    def netloc(self) -> str:
        """Return host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the whole address, with its credentials: for a client, and for no reader."""
        who = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{who}{self.netloc}"

    @property
    def userinfo(self) -> str:
        """Return its credentials as an address has them, empty where there are none."""
        if self.username is None:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password or '', safe='')}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, else HTTP."""
        return self.scheme in SOCKS

    @property
    def resolves(self) -> bool:
        """Whether a name is left to a SOCKS proxy, rather than resolved here."""
        return self.scheme in {"socks4a", "socks5h"}


class Proxies:
    """What the variables say.

    Parameters
    ----------
    variables
        Addresses of proxies by the variables' names in lower case, without ``_proxy``; ``no`` is NO_PROXY.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    @classmethod
    def of_environment(cls) -> Self:
        """Read the variables of this process."""
        return cls(getproxies_environment())

    @property
    def none_set(self) -> bool:
        """Whether no variable names a proxy."""
        return not any(value for name, value in self._variables.items() if name != "no")

    def to(self, url: str) -> Proxy | None:
        """Return the proxy through which an address of ws, wss, http or https is reached; None: directly.

        Raises
        ------
        UnusableProxyError
            If the variable that counts names nothing that we can use.
        ValueError
            If the address is none.
        """
        address = urlsplit(url)
        host = address.hostname
        if not host or address.scheme not in _PORTS:
            raise ValueError("no address of ws, wss, http or https")
        if is_here(host) or self._bypassed(host, address.port or _PORTS[address.scheme]):
            return None
        for name in _ORDER[address.scheme]:
            if value := self._variables.get(name):
                return _read(f"{name.upper()}_PROXY", value)
        return None

    def _bypassed(self, host: str, port: int) -> bool:
        listed = (entry.strip().lower() for entry in self._variables.get("no", "").split(","))
        return any(_covers(entry, host.lower().rstrip("."), port) for entry in listed if entry)


def is_here(host: str) -> bool:
    """Tell whether a host to connect to is this machine: loopback, a name of localhost, or any address."""
    name = host.lower().rstrip(".")
    if is_loopback(name) or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_unspecified  # a server's "every address", which a client may be given
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY covers a host: its name or one above, address, network, or any."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # a name, or with a port
    name, separator, number = entry.rpartition(":")
    if separator and number.isdecimal():
        if number != str(port):
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").strip(".")
    return host == entry or host.endswith(f".{entry}")


def _read(variable: str, value: str) -> Proxy:
    usual = "socks5h" if variable == "SOCKS_PROXY" else "http"
    try:
        address = urlsplit(value if "://" in value else f"{usual}://{value}")
        host, port = address.hostname, address.port
    except ValueError:
        raise UnusableProxyError(f"{variable} is no address of a proxy: write it as {_FORM}") from None
    scheme = address.scheme
    if variable == "SOCKS_PROXY" and scheme == "http":
        scheme = "socks5h"  # as systems' settings name it; websockets reads it so too
    if scheme == "socks":
        scheme = "socks5h"
    if scheme not in SCHEMES:
        raise UnusableProxyError(f"{variable} names a proxy of an unknown kind: write it as {_FORM}")
    if not host or port is None:
        raise UnusableProxyError(
            f"{variable} lacks the proxy's {'port' if host else 'host'}: write it as {_FORM}"
        )
    if address.path not in {"", "/"} or address.query or address.fragment:
        raise UnusableProxyError(f"{variable} has more than the address of a proxy: write it as {_FORM}")
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise UnusableProxyError(f"{variable} names a host that is none: write it as {_FORM}") from None
    if address.username is None:
        return Proxy(variable, scheme, host, port)
    return Proxy(variable, scheme, host, port, unquote(address.username), unquote(address.password or ""))
