"""The signature of a request: that of Standard Webhooks, by each key."""

import base64

from streetlight.service.webhook.signature import signed_headers

# The example of https://github.com/standard-webhooks/standard-webhooks.
KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specification() -> None:
    headers = signed_headers([KEY, KEY], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"{SIGNATURE} {SIGNATURE}",
    }
