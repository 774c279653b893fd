"""What a proxy in front of the server says about a client's connection.

gunicorn's settings `forwarded_allow_ips` and `secure_scheme_headers` name the trusted proxies and
their headers.
"""

from ipaddress import ip_address
from typing import Any

from streetlight.service.server.request_parser import (
    SCHEME_FIELDS,
    ReceivedRequest,
    RequestRejected,
)


class ProxyHeaders:
    """The trusted proxies and their headers, from gunicorn's configuration."""

    def __init__(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's Config has no types
        self._default = "https" if cfg.is_ssl else "http"
        self._trusts_all = "*" in cfg.forwarded_allow_ips
        self._trusted = cfg.forwarded_allow_networks()
        self._secure = {
            name.lower().encode(): value.encode()
            for name, value in cfg.secure_scheme_headers.items()
        }

    def scheme(self, request: ReceivedRequest, client: str) -> str:
        """Return `http` or `https`, as a trusted proxy says or as the connection is.

        Args:
            request: the request.
            client: the address that the connection comes from; empty for a Unix socket.

        Raises:
            RequestRejected: the headers contradict each other.
        """
        headers = request.headers
        if SCHEME_FIELDS.isdisjoint(headers) or not self._trusts(client):
            return self._default
        secure = {headers[name] == value for name, value in self._secure.items() if name in headers}
        if len(secure) > 1:
            message = "invalid request: the X-Forwarded headers contradict each other"
            raise RequestRejected(400, message)
        return self._default if not secure else "https" if secure.pop() else "http"

    def _trusts(self, client: str) -> bool:
        if self._trusts_all or not client:
            return True
        address = ip_address(client)
        return any(address in network for network in self._trusted)
