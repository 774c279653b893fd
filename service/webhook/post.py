"""Send one POST request, within a bounded time and to a checked address.

Redirects aren't followed, and proxies of the environment aren't used: both would lead to addresses
that `resolve` has not checked. Of the response, `post` reads the status and the beginning.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version as release_of
from urllib.parse import urlsplit

import httptools

from streetlight.service.webhook.addresses import RefusedError, resolve

# Seconds for everything: the name, the connection, TLS, the request and the response.
TIMEOUT = 15.0
# Seconds for one of the addresses of the host.
CONNECT_TIMEOUT = 5.0
MAX_RESPONSE_BYTES = 64 * 1024
# Of the body of a response, the bytes that an error quotes.
EXCERPT_BYTES = 200


class PostError(Exception):
    """No response came; the message is a sentence for the operator."""


class Reply:
    """A response, as far as it was read; also the protocol of the parser.

    Attributes:
        status: the status; 0 before the end of the head.
        retry_after: the seconds that the receiver asks the sender to wait.
        excerpt: the beginning of the body; empty for a success.
    """

    def __init__(self) -> None:
        self.status = 0
        self.retry_after = 0.0
        self.excerpt = b""
        self._parser = httptools.HttpResponseParser(self)
        self._read = 0
        self._done = False

    @property
    def done(self) -> bool:
        """Whether more of the response would change nothing."""
        return self._done or len(self.excerpt) >= EXCERPT_BYTES

    def feed(self, data: bytes) -> None:
        """Parse more of the response."""
        self._read += len(data)
        if self._read > MAX_RESPONSE_BYTES and not self.status:
            raise PostError(f"the receiver sent a head of more than {MAX_RESPONSE_BYTES} bytes")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.done:
                raise PostError(f"the receiver sent a malformed response: {error}") from None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take note of a header; called by the parser, as the following methods."""
        if name.lower() == b"retry-after":
            self.retry_after = _seconds(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Take note of the status, unless it is an informational one, which another follows."""
        status = self._parser.get_status_code()
        if status >= 200 and not self.status:
            self.status = status
            self._done = status < 300

    def on_body(self, body: bytes) -> None:
        """Keep the beginning of the body."""
        self.excerpt = (self.excerpt + body)[:EXCERPT_BYTES]

    def on_message_complete(self) -> None:
        """Take note of the end."""
        self._done = self.status > 0


async def post(url: str, headers: Mapping[str, str], body: bytes, *, private: bool) -> Reply:
    """Send `body` to `url`, and return the reply, whatever its status is.

    Args:
        url: a URL that `config.webhook.check_url` has accepted.
        headers: headers of the request besides those of its content.
        body: JSON.
        private: whether the host may have addresses of private networks.

    Raises:
        PostError: no response came within 15 seconds, or the address is refused.
    """
    reply = Reply()
    try:
        async with asyncio.timeout(TIMEOUT):
            await _exchange(url, headers, body, reply, private=private)
    except TimeoutError as error:
        if not reply.status:
            reason = str(error) or f"the receiver sent no complete response within {TIMEOUT:g} s"
            raise PostError(reason) from None
    except RefusedError as error:
        raise PostError(str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise PostError(f"the receiver's certificate isn't valid: {error.verify_message}") from None
    except OSError as error:
        if not reply.status:
            raise PostError(f"can't reach the receiver: {error.strerror or error}") from None
    if not reply.status:
        raise PostError("the receiver closed the connection before the end of its response")
    return reply


async def _exchange(
    url: str, headers: Mapping[str, str], body: bytes, reply: Reply, *, private: bool
) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    addresses = await resolve(host, port, private=private)
    reader, writer = await _connect(addresses, port, tls, host)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = {
            "Host": parts.netloc,
            "Connection": "close",
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            "User-Agent": f"streetlight/{release_of('streetlight')}",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        while not reply.done and (data := await reader.read(MAX_RESPONSE_BYTES)):
            reply.feed(data)
    finally:
        writer.transport.abort()


async def _connect(
    addresses: list[str], port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that accepts; the certificate has to be that of `host`."""
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.open_connection(
                    address, port, ssl=tls, server_hostname=host if tls else None
                )
        except OSError as error:  # also a timeout
            if address == addresses[-1]:
                if isinstance(error, TimeoutError):
                    message = f"the receiver accepted no connection within {CONNECT_TIMEOUT:g} s"
                    raise TimeoutError(message) from None
                raise
    raise OSError("the host has no address")


def _seconds(retry_after: str) -> float:
    """Return the seconds of the header Retry-After, a number or a date; 0 for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):  # not a date, or one that is too far away
        return 0.0
