"""Where webhooks may go: to public addresses over https, and elsewhere only when the operator allows it.

What a name resolves to is checked each time, and the connection goes to the address that was checked: a name that
answers differently a moment later (DNS rebinding) gets nowhere. The standard library's `is_global` is not enough: it
lets multicast, 6to4 and NAT64 through, each of which can lead inside.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name, as text."""

NOT_PUBLIC_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT), and a metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's platform service, at a public address
        "169.254.0.0/16",  # link-local, and most metadata services
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",  # protocols, examples, benchmarks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)  # fmt: skip
PUBLIC_6 = IPv6Network("2000::/3")
"""All of IPv6 that is given out; loopback, mapped, NAT64, unique local, link-local and multicast lie outside."""
NOT_PUBLIC_6 = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols: Teredo, ORCHID, benchmarks
        "2001:db8::/32", "3fff::/20",  # examples
        "2002::/16",  # 6to4: an IPv4 address in disguise
    )
)  # fmt: skip


_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.ASCII)


class NotAllowed(Exception):
    """A webhook may not go there. The message says what is wrong, and nothing of what a name resolved to."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: Address) -> bool:
    """Tell whether an address is on the open Internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    return address in PUBLIC_6 and not any(address in network for network in NOT_PUBLIC_6)


def networks(text: str) -> tuple[Network, ...]:
    """Read networks separated by commas; ValueError when one is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class Policy:
    """Where webhooks may go."""

    allowed: tuple[Network, ...] = ()
    """Networks that may be reached although they are not public."""
    plain_http: bool = False
    resolve: Resolve = field(default=resolve, compare=False)

    def permits(self, address: Address) -> bool:
        """Tell whether a webhook may connect to an address."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return is_public(address) or any(address in network for network in self.allowed)

    def check_url(self, text: str) -> httpx.URL:
        """Return a URL that webhooks may be sent to, as far as can be told without asking anybody; NotAllowed otherwise."""
        try:
            url = httpx.URL(text)
            _ = url.host  # is decoded only now, and what looks like an A-label need not be one
            host = wire_host(url)
        except (httpx.InvalidURL, ValueError, TypeError):
            raise NotAllowed("must be a URL") from None
        if url.scheme != "https" and not (url.scheme == "http" and self.plain_http):
            raise NotAllowed("must begin with https://")
        literal = _literal(host)
        if (literal is None and not _NAME.fullmatch(host)) or not 0 < (url.port or 443) < 65_536:
            raise NotAllowed("must have a host, and a port that there is if it has one")
        if url.userinfo or url.fragment:
            raise NotAllowed("must have neither credentials nor a fragment")
        if (literal is not None and not self.permits(literal)) or _is_local_name(host, self):
            raise NotAllowed("must not lead to a network that is not public")
        return url

    async def addresses(self, url: httpx.URL) -> list[Address]:
        """Return the addresses to connect to; NotAllowed when there are none, or when one of them is not permitted."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = [ip_address(each) for each in await self.resolve(wire_host(url), port)]
        except (OSError, ValueError, UnicodeError):
            found = []
        # One answer for all: what a name inside resolves to is nobody's business outside.
        if not found or not all(self.permits(each) for each in found):
            raise NotAllowed("the name leads nowhere, or to a network that is not public")
        return found


def wire_host(url: httpx.URL) -> str:
    """Return a URL's host as it is sent, in ASCII: what is resolved, asked for and certified has to be one name.

    The system's resolver would write an internationalised name by the older IDNA 2003, and find another one's host.
    """
    return url.raw_host.decode("ascii")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_local_name(host: str, policy: Policy) -> bool:
    name = host.rstrip(".").lower()
    return (name == "localhost" or name.endswith(".localhost")) and not policy.permits(
        IPv4Address("127.0.0.1")
    )
