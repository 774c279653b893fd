"""The settings of the webhook: what is refused, and that no message has a secret."""

import pytest
from pydantic import SecretStr

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.sources import load_settings
from streetlight.service.config.webhook import signing_keys

URL = "https://example.com/hook?token=0c33"
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


def load(monkeypatch: pytest.MonkeyPatch, url: str | None, secret: str | None) -> str:
    """Load the settings, and return the error, or their text if there is none."""
    for name, value in (("URL", url), ("SECRET", secret)):
        if value is not None:
            monkeypatch.setenv(f"STREETLIGHT_WEBHOOK_{name}", value)
    try:
        return repr(load_settings())
    except SettingsError as error:
        return str(error)


def test_both_settings_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = load(monkeypatch, URL, f"{SECRET} {SECRET}")
    assert "webhook_url=SecretStr('**********')" in text
    assert "0c33" not in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com/hook", "ftp://example.com/0c33", "https:///0c33", "http://a:b@example.com/",
        "http://example.com:99999/0c33", "http://example.com:0/", "http://[::1/0c33",
        "http://example.com/0c33 x", "http://ex\u00e4mple.com/0c33", "http://example.com/#0c33",
        "http://example.com/\r\nHost:0c33",
        "http://example..com/0c33", "http://" + 64 * "a" + ".com/0c33",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    message = load(monkeypatch, url, SECRET)
    assert message.startswith("STREETLIGHT_WEBHOOK_URL: expected a URL such as https://example.com")
    assert "0c33" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "secret", ["", " ", SECRET[6:], "whsec_MDEyMzQ=", f"{SECRET}\u00e4", f"{SECRET} {SECRET[:-1]}"]
)
def test_a_secret_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    message = load(monkeypatch, URL, secret)
    assert message.startswith("STREETLIGHT_WEBHOOK_SECRET: ")
    assert "whsec_" in message
    assert SECRET[6:-1] not in message


@pytest.mark.parametrize(("url", "secret"), [(URL, None), (None, SECRET)])
def test_one_without_the_other_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str | None, secret: str | None
) -> None:
    message = load(monkeypatch, url, secret)
    assert message == (
        "STREETLIGHT_WEBHOOK_SECRET: expected if STREETLIGHT_WEBHOOK_URL is set, and only then"
    )


def test_a_secret_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    path = f"{tmp_path}/secret"
    with open(path, "w") as file:  # noqa: PTH123 - as text
        file.write(f"{SECRET}\n")
    monkeypatch.setenv("STREETLIGHT_WEBHOOK_SECRET_FILE", path)
    monkeypatch.setenv("STREETLIGHT_WEBHOOK_URL", URL)
    secret = load_settings().webhook_secret
    assert secret
    assert signing_keys(secret) == [b"012345678901234567890123"]
    assert signing_keys(SecretStr(f"{SECRET} {SECRET}")) == 2 * signing_keys(secret)
