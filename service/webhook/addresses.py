"""Find the addresses of a host, and refuse those in private networks."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# The addresses of hosts on the internet; each other range of IPv6 has a special use.
GLOBAL_UNICAST = IPv6Network("2000::/3")
# The last 32 bits are an IPv4 address, to which a router forwards: RFC 6052.
NAT64 = IPv6Network("64:ff9b::/96")
# Ranges with a special use that the module `ipaddress` of some releases of Python calls global.
SPECIAL = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]

# Seconds for the name of a host.
LOOKUP_TIMEOUT = 5.0


class RefusedError(Exception):
    """The host has an address to which the service sends nothing."""


def is_public(text: str) -> bool:
    """Return whether an IP address is that of a host on the internet.

    An IPv6 address that stands for an IPv4 address counts as that one. Tunnels, 6to4 and Teredo,
    are refused: they could lead to any network.
    """
    address = _embedded(ip_address(text))
    if any(address in network for network in SPECIAL):
        return False
    if isinstance(address, IPv6Address):
        is_tunnel = address.sixtofour is not None or address.teredo is not None
        return address in GLOBAL_UNICAST and address.is_global and not is_tunnel
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


async def resolve(host: str, port: int, *, private: bool) -> list[str]:
    """Return the addresses of a host, in the order in which they are to be tried.

    Connect to one of these: a second look for the name could give others.

    Raises:
        RefusedError: one of them isn't public, and `private` is false.
        OSError: the host has no address.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise OSError(f"no name server has answered within {LOOKUP_TIMEOUT:g} s") from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    refused = [address for address in addresses if not is_public(address)]
    if refused and not private:
        raise RefusedError(
            f"{host} has the address {refused[0]}, which isn't one of the internet; to send into "
            "private networks, set STREETLIGHT_WEBHOOK_PRIVATE=true"
        )
    return addresses
