"""Sign requests as Standard Webhooks 1.0 does: https://www.standardwebhooks.com."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def signed_headers(keys: Iterable[bytes], webhook_id: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of a request: its id, its time, and a signature by each key.

    Args:
        keys: the keys; while a secret is replaced, the receiver may know one or the other.
        webhook_id: the id of the event, which is the same in each attempt.
        at: the time of this attempt, in seconds since 1970.
        body: the body of the request.
    """
    content = f"{webhook_id}.{at}.".encode() + body
    digests = (hmac.digest(key, content, hashlib.sha256) for key in keys)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(d).decode()}" for d in digests),
    }
