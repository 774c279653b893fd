"""The requests of SageMaker's runtime client and of MLflow's scoring client, as they send them.

`.ci/clients` runs the clients themselves.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.client import App

KEY = "a key of the tests"
PATH = "/endpoints/streetlight/invocations"
# What boto3 sends besides the body; the server has no keys of AWS, and ignores the signature.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=00",
    "X-Amz-Date": "20260101T000000Z",
}


def invoke(app: App, body: Any, path: str = PATH, **headers: str) -> Any:
    return app.request("POST", path, body, **SIGNED, **headers)


def test_an_endpoint_is_invoked_and_names_the_version(two_versions: App) -> None:
    plain = two_versions.request("POST", "/invocations", [[1, 0, 1]])
    response = invoke(two_versions, [[1, 0, 1]])
    assert (response.status, response.data) == (200, plain.data)
    assert response.headers["X-Amzn-Invoked-Production-Variant"] == "1"
    table = {"Content-Type": "text/csv", "Accept": "text/csv"}
    assert float(invoke(two_versions, "0,0,1\n", **table).data) < 0.5


def test_the_target_variant_is_the_number_of_a_version(two_versions: App) -> None:
    for number in ("1", "2"):
        target = {"X-Amzn-SageMaker-Target-Variant": number}
        response = invoke(two_versions, [[0, 0, 1]], **target)
        pinned = two_versions.post(
            f"/v1/models/streetlight/versions/{number}:predict", {"instances": [[0, 0, 1]]}
        )
        assert response.json() == pinned
        assert response.headers["X-Amzn-Invoked-Production-Variant"] == number


@pytest.mark.parametrize(
    ("path", "headers", "body", "message"),
    [
        (PATH, {}, [[1]], "[0]: version 1 expects 3 lights, got 1"),
        (
            "/endpoints/x/invocations",
            {},
            [[1, 0, 1]],
            "no model 'x'; the model's name is 'streetlight'",
        ),
        (PATH, {"X-Amzn-SageMaker-Target-Variant": "9"}, [[1, 0, 1]], "no version 9"),
        (PATH, {"Content-Type": "text/html"}, "x", "Content-Type: expected"),
        (
            f"{PATH}-response-stream",
            {},
            [[1, 0, 1]],
            "there is no route /endpoints/streetlight/inv",
        ),
    ],
)
def test_an_error_has_its_name_and_message_where_the_sdk_looks(
    two_versions: App, path: str, headers: dict[str, str], body: Any, message: str
) -> None:
    response = invoke(two_versions, body, path, **headers)
    error = response.json()
    assert response.status in (400, 404, 415)
    assert response.headers["X-Amzn-ErrorType"] == "ValidationError"
    assert message in error["message"]
    assert error["error"] == error["message"]


def test_an_endpoint_without_a_live_version_is_unavailable(app: App) -> None:
    app.post("/v2/repository/models/streetlight/unload")
    response = invoke(app, [[1, 0, 1]])
    assert (response.status, response.headers["X-Amzn-ErrorType"]) == (503, "ServiceUnavailable")
    assert "no version is live" in response.json()["message"]
    assert app.expect(503, "GET", "/health")["error"] == app.expect(503, "GET", "/ping")["error"]


def test_a_signature_is_no_key_and_a_key_replaces_it(tmp_path: Path) -> None:
    with App(tmp_path, api_key=KEY, guard="all") as app:
        response = invoke(app, [[1, 0, 1]])
        assert response.status == 401
        assert response.headers["X-Amzn-ErrorType"] == "AccessDeniedException"
        assert (
            "expected the header Authorization: Bearer <the API key>" in response.json()["message"]
        )
        app.expect(200, "POST", PATH, [[1, 0, 1]], Authorization=f"Bearer {KEY}")


def test_mlflow_asks_for_the_health_and_the_version(two_versions: App) -> None:
    assert two_versions.get("/health") == two_versions.get("/ping")
    response = two_versions.request("GET", "/version")
    assert response.data.decode() == version("streetlight")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
