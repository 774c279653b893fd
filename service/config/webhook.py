"""The types of the settings of the webhook: the URL of the receiver, and the secrets."""

import base64
import binascii
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def _check_url(url: SecretStr) -> SecretStr:
    """Return the URL if requests can be sent to it; no error contains it, it may have a token."""
    expected, text = "expected a URL such as https://example.com/hook", url.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"{expected}, in ASCII and without spaces")
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
        (parts.hostname or "").encode("idna")  # as for the search for its address
    except ValueError:  # also that of a part of the name that is empty or too long
        raise ValueError(f"{expected}, with a valid host and port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise ValueError(f"{expected}, with http or https, and a valid host and port")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{expected}, without user, password and fragment: requests are signed")
    return url


def signing_keys(secrets: SecretStr) -> list[bytes]:
    """Return the keys of the secrets, which are separated by spaces.

    Raises:
        ValueError: one isn't a secret as Standard Webhooks has it; the message doesn't contain it.
    """
    keys = []
    for number, secret in enumerate(secrets.get_secret_value().split(), 1):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith(PREFIX) or not MIN_BYTES <= len(key) <= MAX_BYTES:
            raise ValueError(
                f"secret {number}: expected {PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in "
                'base64; make one with: echo "whsec_$(openssl rand -base64 32)"'
            )
        keys.append(key)
    if not keys:
        raise ValueError(f"expected a secret {PREFIX}…, got none")
    return keys


def _check_secrets(secrets: SecretStr) -> SecretStr:
    signing_keys(secrets)
    return secrets


WebhookURL = Annotated[SecretStr, AfterValidator(_check_url)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_check_secrets)]
