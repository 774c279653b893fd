"""The compose file passes every setting on."""

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from streetlight.service.config import PREFIX, SECRETS, Settings

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

SETTINGS = {
    PREFIX + name.upper() for name in (*Settings.model_fields, *(f"{s}_file" for s in SECRETS))
}
# The variables of gunicorn that the documents name.
GUNICORN = {"GUNICORN_CMD_ARGS", "FORWARDED_ALLOW_IPS"}
# The image or the compose file sets these, and the host's value must not replace it.
FIXED = {f"STREETLIGHT_{name}" for name in ("DATA_DIR", "HOST", "PORT", "TRAINER")}
# The trainer reads none of these, and must not know the key.
SERVER_ONLY = GUNICORN | {
    "STREETLIGHT_ALLOWED_HOSTS",
    "STREETLIGHT_API_KEY",
    "STREETLIGHT_API_KEY_FILE",
    "STREETLIGHT_HEALTH_ROUTE",
    "STREETLIGHT_MAX_BODY_BYTES",
    "STREETLIGHT_MAX_MULTIPLICATIONS",
    "STREETLIGHT_MAX_RESPONSE_BYTES",
    "STREETLIGHT_MODEL_NAME",
    "STREETLIGHT_PREDICT_ROUTE",
    "STREETLIGHT_WORKERS",
}


def passed_on(service: str) -> set[str]:
    """Return the variables of a service that have the host's value."""
    environment: dict[str, str | None] = COMPOSE[service]["environment"]
    return {name for name, value in environment.items() if value is None or value.startswith("${")}


def test_compose_passes_every_setting_on() -> None:
    everything = (SETTINGS | GUNICORN) - FIXED

    assert passed_on("server") == everything
    assert passed_on("trainer") == everything - SERVER_ONLY
    assert COMPOSE["server"]["environment"]["STREETLIGHT_TRAINER"] == "false"
    for name in FIXED - {"STREETLIGHT_TRAINER"}:
        assert f"{name}=" in (ROOT / "Dockerfile").read_text()
