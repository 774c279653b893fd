"""What the headers of trusted proxies say: the client of a request, and the URL that it requested.

The setting `trusted_proxies` names them. The header `Forwarded` isn't read: docs/decisions/0049.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

CLIENTS = b"x-forwarded-for"
# The variable of the WSGI environment that each header sets, and its valid values.
URL = {
    b"x-forwarded-proto": ("wsgi.url_scheme", re.compile(r"https?")),
    b"x-forwarded-host": (
        "HTTP_HOST",
        re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"),
    ),
    b"x-forwarded-prefix": ("SCRIPT_NAME", re.compile(r"(/[A-Za-z0-9._~%-]+)+")),
}
FIELDS = frozenset((CLIENTS, *URL))
# An address, to which some proxies add the port.
ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9A-Fa-f:.]+)")
# Proxies between the client and this server; those before them aren't looked at.
MAX_PROXIES = 20


class TrustedProxies:
    """The proxies whose headers are read."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = networks

    def include(self, peer: str) -> bool:
        """Return whether `peer` is one of them: an address, or empty for that of a Unix socket.

        What connects to a Unix socket is a process of this machine, and trusted if any proxy is.
        """
        if not self._networks or not peer:
            return bool(self._networks)
        address = ip_address(peer)
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)

    def variables(self, headers: Mapping[bytes, bytes], peer: str) -> dict[str, str]:
        """Return the variables of the WSGI environment that the headers of a request set.

        Each proxy adds to the end of a header, so the last value is that of the proxy next to this
        server. A value that isn't valid is ignored.

        Args:
            headers: the header values by name in lower case.
            peer: the address of the trusted proxy that has sent the request.
        """
        if FIELDS.isdisjoint(headers):
            return {}
        found = {}
        if CLIENTS in headers:
            found["REMOTE_ADDR"] = self._client(headers[CLIENTS].decode("latin-1"), peer)
        for name, (variable, valid) in URL.items():
            value = headers.get(name, b"").decode("latin-1").rpartition(",")[2].strip(" \t")
            if valid.fullmatch(value):
                found[variable] = value
        return found

    def _client(self, addresses: str, peer: str) -> str:
        """Return the last address that isn't a trusted proxy; no value before it is reliable."""
        for value in reversed(addresses.rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]):
            if not (match := ADDRESS.fullmatch(value.strip(" \t"))):
                break
            try:
                peer = str(ip_address(match[match.lastindex or 0]))
            except ValueError:
                break
            if not self.include(peer):
                break
        return peer
