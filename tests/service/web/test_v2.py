"""Tests of the Open Inference Protocol with its standard client and with plain requests."""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from streetlight.model.registry.repository import ModelRepository
from tests.client import App, Client
from tests.server import ForkedServer, Server

MODEL = "/v2/models/streetlight"
LIGHTS = np.array([[1, 0, 1], [0, 0, 1]], dtype=np.float64)
DECISIONS = ["walk", "stop"]


@pytest.fixture(scope="module")
def client(two_versions_server: Server) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(two_versions_server.url.removeprefix("http://")) as client:
        yield client


def tensor(lights: Any, datatype: str = "FP64", *, binary: bool = True) -> InferInput:
    packed = InferInput("lights", list(lights.shape), datatype)
    packed.set_data_from_numpy(lights, binary_data=binary)
    return packed


def scores_of(client: Client, version: int = 1) -> list[float]:
    """Return the scores of LIGHTS by a version."""
    result = client.post(f"{MODEL}/versions/{version}/infer", json_body(LIGHTS.tolist()))
    scores: list[float] = result["outputs"][0]["data"]
    return scores


@pytest.mark.process
def test_the_client_reads_health_and_metadata(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("streetlight")
    assert client.is_model_ready("streetlight", "2")
    assert not client.is_model_ready("streetlight", "3")
    assert not client.is_model_ready("another")
    about = client.get_server_metadata()
    assert about["name"] == "streetlight"
    assert "binary_tensor_data" in about["extensions"]
    model = client.get_model_metadata("streetlight", "2")
    assert model["versions"] == ["1", "2"]
    assert model["inputs"] == [{"name": "lights", "datatype": "FP64", "shape": [-1, 3]}]
    assert [output["name"] for output in model["outputs"]] == ["score", "decision"]
    assert model["properties"]["version"] == "2"
    config = client.get_model_config("streetlight")
    assert config["input"][0] == {"name": "lights", "data_type": "TYPE_FP64", "dims": [-1, 3]}


@pytest.mark.process
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_the_client_infers(
    two_versions_server: Server,
    client: InferenceServerClient,
    binary_in: bool,
    binary_out: bool | None,
    compression: str | None,
) -> None:
    requested = None
    if binary_out is not None:
        requested = [
            InferRequestedOutput(name, binary_data=binary_out) for name in ("decision", "score")
        ]

    result = client.infer(
        "streetlight",
        [tensor(LIGHTS, binary=binary_in)],
        outputs=requested,
        request_id="42",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
        parameters={"colour": "red"},
    )

    assert result.as_numpy("score").tolist() == [
        [score] for score in scores_of(two_versions_server)
    ]
    assert result.as_numpy("score").dtype == np.float64
    words = [
        word.decode() if isinstance(word, bytes) else word
        for word in result.as_numpy("decision").ravel().tolist()
    ]
    assert words == DECISIONS
    content = result.get_response()
    assert content["id"] == "42"
    assert (content["model_name"], content["model_version"]) == ("streetlight", "1")
    if requested:
        assert [output["name"] for output in content["outputs"]] == ["decision", "score"]


@pytest.mark.process
def test_outputs_can_be_mixed_and_versions_pinned(
    two_versions_server: Server, client: InferenceServerClient
) -> None:
    requested = [InferRequestedOutput("score"), InferRequestedOutput("decision", binary_data=False)]

    result = client.infer("streetlight", [tensor(LIGHTS)], model_version="2", outputs=requested)

    assert result.get_response()["model_version"] == "2"
    assert (
        result.as_numpy("score").ravel().tolist()
        == scores_of(two_versions_server, 2)
        != scores_of(two_versions_server)
    )
    assert "id" not in result.get_response()


@pytest.mark.process
@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("BOOL", np.bool_),
        *((f"U{name}", f"u{size}") for name, size in zip(("INT8", "INT64"), (1, 8), strict=True)),
        *((f"INT{8 * size}", f"i{size}") for size in (1, 2, 4, 8)),
        *((f"FP{8 * size}", f"f{size}") for size in (2, 4, 8)),
    ],
)
def test_each_datatype_is_accepted(
    two_versions_server: Server, client: InferenceServerClient, datatype: str, dtype: Any
) -> None:
    for binary in (True, False) if datatype != "FP16" else (True,):
        result = client.infer(
            "streetlight", [tensor(LIGHTS.astype(dtype), datatype, binary=binary)]
        )
        assert result.as_numpy("score").ravel().tolist() == scores_of(two_versions_server)


def test_bf16_is_the_upper_half_of_an_fp32(two_versions: App) -> None:
    upper = (LIGHTS.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    status, content, _ = infer(two_versions, binary_body(upper, datatype="BF16"))

    assert (status, content["outputs"][0]["data"]) == (200, scores_of(two_versions))


@pytest.mark.process
def test_a_classification_lists_the_likelier_class_first(
    two_versions_server: Server, client: InferenceServerClient
) -> None:
    scores = scores_of(two_versions_server)
    for count, binary in ((1, False), (2, True), (9, False)):
        requested = [InferRequestedOutput("score", binary_data=binary, class_count=count)]
        result = client.infer("streetlight", [tensor(LIGHTS)], outputs=requested)
        rows = [
            [str(word, "utf-8") if isinstance(word, bytes) else word for word in row]
            for row in result.as_numpy("score").tolist()
        ]
        assert rows[0][0] == f"{scores[0]!r}:1:walk"
        assert rows[1][0] == f"{1 - scores[1]!r}:0:stop"
        assert {len(row) for row in rows} == {min(count, 2)}


@pytest.mark.process
def test_the_client_lists_loads_and_unloads_models(tmp_path: Path) -> None:
    with ForkedServer(tmp_path) as server:
        server.train("--seed", "5")
        with InferenceServerClient(server.url.removeprefix("http://")) as client:
            index = client.get_model_repository_index()
            assert [(row["version"], row["state"]) for row in index] == [
                ("1", "READY"),
                ("2", "READY"),
            ]
            client.unload_model("streetlight")
            assert not client.is_server_ready()
            assert not client.is_model_ready("streetlight", "1")
            with pytest.raises(InferenceServerException, match="no version is live"):
                client.infer("streetlight", [tensor(LIGHTS)], model_version="1")
            assert server.expect(503, "POST", "/predict", {"lights": [1, 0, 1]})["error"]
            index = client.get_model_repository_index()
            assert {row["state"] for row in index} == {"UNAVAILABLE"}
            assert server.post("/v2/repository/index", {"ready": True}) == []
            client.unload_model("streetlight")

            client.load_model("streetlight")
            assert server.get("/readyz")["version"] == 2
            server.post("/v2/repository/models/streetlight/load", {"parameters": {"version": "1"}})
            assert server.get("/readyz")["version"] == 1
            with pytest.raises(InferenceServerException, match="accepts the parameter version"):
                client.load_model("streetlight", config="{}")
            with pytest.raises(InferenceServerException, match="no model 'another'"):
                client.load_model("another")
            assert server.get("/readyz")["version"] == 1
            actions = [line.action for line in ModelRepository(tmp_path / "models").promotions()]
            assert actions == ["promote", "promote", "unload", "promote", "promote"]
            assert server.post("/rollback")["live"] == 2


def infer(
    client: Client, body: bytes | dict[str, Any], path: str = f"{MODEL}/infer", **headers: str
) -> tuple[int, Any, Any]:
    """Send a JSON or binary body, and return the status, the JSON and the response."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if isinstance(body, bytes) and "length" not in headers:
        headers["length"] = str(raw.index(b"}]}") + 3)
    if "length" in headers:
        headers["Inference-Header-Content-Length"] = headers.pop("length")
    response = client.request("POST", path, raw, **headers)
    return (
        response.status,
        response.json() if response.status != 200 else json_of(response),
        (response),
    )


def json_of(response: Any) -> Any:
    length = response.headers.get("Inference-Header-Content-Length")
    return json.loads(response.data[: int(length)] if length else response.data)


def json_body(
    data: Any, datatype: str = "FP64", shape: Any = (2, 3), **more: Any
) -> dict[str, Any]:
    lights = {"name": "lights", "shape": list(shape), "datatype": datatype, "data": data}
    return {"inputs": [lights]} | more


def binary_body(
    packed: bytes, datatype: str = "FP64", shape: Any = (2, 3), size: int | None = None
) -> bytes:
    parameters = {"binary_data_size": len(packed) if size is None else size}
    lights = {
        "name": "lights",
        "shape": list(shape),
        "datatype": datatype,
        "parameters": parameters,
    }
    return json.dumps({"inputs": [lights]}).encode() + packed


def test_a_plain_json_request_gets_both_outputs(two_versions: App) -> None:
    body = json_body([[1, 0, 1], [0, 0, 1]], model_name="ignored", unknown=[None])
    scores = scores_of(two_versions)
    for path in (f"{MODEL}/infer", f"{MODEL}/versions/1/infer"):
        status, content, response = infer(two_versions, body, path)
        assert status == 200
        assert response.headers["Content-Type"] == "application/json"
        assert content == {
            "model_name": "streetlight",
            "model_version": "1",
            "outputs": [
                {
                    "name": "score",
                    "datatype": "FP64",
                    "shape": [2, 1],
                    "data": scores,
                },
                {"name": "decision", "datatype": "BYTES", "shape": [2, 1], "data": DECISIONS},
            ],
        }
    assert infer(two_versions, json_body([1, 0, 1, 0, 0, 1]))[1] == content
    assert infer(two_versions, body, **{"Content-Type": "text/plain"})[1] == content
    assert two_versions.get("/v2/") == two_versions.get("/v2")


def test_an_output_overrides_the_binary_default(two_versions: App) -> None:
    body = json_body(
        LIGHTS.tolist(),
        parameters={"binary_data_output": True},
        outputs=[{"name": "score", "parameters": {"binary_data": False}}, {"name": "decision"}],
    )
    status, content, response = infer(two_versions, body)

    assert status == 200
    assert content["outputs"][0]["data"] == scores_of(two_versions)
    assert content["outputs"][1]["parameters"] == {"binary_data_size": 16}
    assert response.data.endswith(b"\4\0\0\0walk\4\0\0\0stop")


def test_a_raw_binary_request_is_accepted(two_versions: App) -> None:
    status, content, response = infer(two_versions, LIGHTS.tobytes(), length="0")

    assert status == 200
    assert [output["parameters"]["binary_data_size"] for output in content["outputs"]] == [16, 16]
    tail = response.data[int(response.headers["Inference-Header-Content-Length"]) :]
    assert list(struct.unpack("<2d", tail[:16])) == scores_of(two_versions)


def test_a_tensor_without_rows_is_accepted(two_versions: App) -> None:
    for body in (json_body([], shape=(0, 3)), binary_body(b"", shape=(0, 3))):
        status, content, _ = infer(two_versions, body)
        assert (status, content["outputs"][0]["shape"], content["outputs"][0]["data"]) == (
            200,
            [0, 1],
            [],
        )


PACKED = LIGHTS.tobytes()
ZIPPED = gzip.compress(PACKED, mtime=0)
GZIP = {"length": "0", "Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"", {"length": "1"}, "expected the length of the JSON, 0 to 0, got '1'"),
        (b"{}", {"length": "-1"}, "expected the length of the JSON, 0 to 2, got '-1'"),
        (b"{}", {"length": "3"}, "expected the length of the JSON"),
        (b"{}", {"length": "x"}, "expected the length of the JSON"),
        (b"{}", {"length": "1_0"}, "expected the length of the JSON"),
        (b"{", {"length": "1"}, "malformed JSON"),
        (b'{"inputs": NaN}', {"length": "15"}, "inputs: expected a list, got NaN"),
        (b"[1]", {"length": "3"}, "expected a JSON object, got [1]"),
        (b"1234567", {"length": "0"}, "lights: expected rows of 3 FP64, 24 bytes each, got 7"),
        (b"", {"length": "0"}, "lights: expected rows of 3 FP64"),
        ({}, {}, "inputs: required, but missing"),
        ({"inputs": []}, {}, "inputs: expected one, named 'lights', got []"),
        ({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64"}]}, {}, "named 'lights'"),
        ({"inputs": [{"name": "lights", "shape": [1, 3], "datatype": "FP64"}]}, {}, "either data"),
        (json_body([1], shape=[3]), {}, "lights.shape: expected [-1, 3], got [3]"),
        (json_body([1], shape=[1, 4]), {}, "lights.shape: expected [-1, 3], got [1, 4]"),
        (json_body([1], shape=[-1, 3]), {}, "inputs[0].shape[0]: expected a number of at least 0"),
        (json_body([1], shape=[1.5, 3]), {}, "inputs[0].shape[0]: expected a whole number"),
        (json_body([1], shape=[10**18, 3]), {}, "more elements than a request can hold"),
        (json_body([1], shape=[2**64, 3]), {}, "inputs[0].shape[0]: expected"),
        (json_body([1, 0], shape=[1, 3]), {}, "shape [1, 3] expects 3 elements, got 2"),
        (json_body([1, 0, True], shape=[1, 3]), {}, "data[2]: expected a number, got True"),
        (json_body([1, 0, "1"], shape=[1, 3]), {}, "data[2]: expected a number, got '1'"),
        (json_body([1, 0, None], shape=[1, 3]), {}, "data[2]: expected a number, got None"),
        (json_body([1, [0], 1], shape=[1, 3]), {}, "data[1]: expected a number, got [0]"),
        (json_body(7, shape=[1, 3]), {}, "data: expected a list, got 7"),
        (json_body({"a": 1}, shape=[1, 3]), {}, "data: expected a list"),
        (json_body([1, 0, 256], "UINT8", [1, 3]), {}, "out of the range of UINT8"),
        (json_body([1, 0, -1], "UINT8", [1, 3]), {}, "out of the range of UINT8"),
        (json_body([1, 0, 10**30], "INT64", [1, 3]), {}, "out of the range of INT64"),
        (json_body([1, 0, 1.5], "INT8", [1, 3]), {}, "data[2]: expected a whole number, got 1.5"),
        (json_body([1, 0, 1], "BOOL", [1, 3]), {}, "data[0]: expected true or false, got 1"),
        (json_body([1, 0, 1e39], "FP32", [1, 3]), {}, "out of the range of FP32"),
        (json_body([1, 0, 10**400], "FP64", [1, 3]), {}, "out of the range of FP64"),
        (json_body([1, 0, 1], "FP16", [1, 3]), {}, "JSON has no FP16; send it in binary"),
        (json_body(["a"] * 3, "BYTES", [1, 3]), {}, "lights.datatype: expected one of BOOL,"),
        (json_body([1, 0, 1], shape=[1, 3], id=7), {}, "id: expected text, got 7"),
        (json_body([1, 0, 1], shape=[1, 3], outputs=[{"name": "x"}]), {}, "score or decision"),
        (
            json_body([1, 0, 1], shape=[1, 3], outputs=[{"name": "score"}, {"name": "score"}]),
            {},
            "outputs: expected each name at most once",
        ),
        (
            json_body(
                [1, 0, 1],
                shape=[1, 3],
                outputs=[{"name": "decision", "parameters": {"classification": 1}}],
            ),
            {},
            "classification is only for the output 'score'",
        ),
        (
            json_body([1, 0, 1], shape=[1, 3], parameters={"binary_data_output": "yes"}),
            {},
            "parameters.binary_data_output: expected true or false",
        ),
        (
            json_body([1, 0, 1], shape=[1, 3], parameters={"triton_x": 1}),
            {},
            "names that start with triton_ are reserved",
        ),
        (binary_body(PACKED[:-1]), {}, "FP64 of shape [2, 3] is 48 bytes, got 47"),
        (binary_body(PACKED + b"!"), {}, "FP64 of shape [2, 3] is 48 bytes, got 49"),
        (binary_body(PACKED, size=47), {}, "expected 47 bytes after the JSON, got 48"),
        (binary_body(PACKED, size=49), {}, "expected 49 bytes after the JSON, got 48"),
        (binary_body(PACKED, size=-1), {}, "binary_data_size: expected a number of at least 0"),
        (binary_body(b"\1\0\2\0\0\1", "BOOL"), {}, "expected bytes of 0 or 1 for BOOL"),
        (binary_body(np.array([[1, np.nan, 1]]).tobytes(), shape=[1, 3]), {}, "got nan"),
        (binary_body(np.array([[1, 0, -np.inf]]).tobytes(), shape=[1, 3]), {}, "got -inf"),
        (b"not gzip", GZIP, "the body is not valid gzip"),
        (ZIPPED[:-9], GZIP, "unexpected end of the data"),
        (ZIPPED, GZIP | {"Content-Encoding": "deflate"}, "not valid deflate"),
    ],
)  # fmt: skip
def test_an_invalid_request_is_refused(
    two_versions: App, body: Any, headers: dict[str, str], message: str
) -> None:
    status, content, response = infer(two_versions, body, **headers)

    assert (status, message in content["error"]) == (400, True), content
    assert response.headers["Content-Type"] == "application/json"


def test_binary_without_its_header_is_refused(two_versions: App) -> None:
    body = json.loads(binary_body(b""))

    assert "Inference-Header-Content-Length: required" in infer(two_versions, body)[1]["error"]


def test_other_errors_have_their_statuses(two_versions: App) -> None:
    body = json_body(LIGHTS.tolist())
    for path, expected in (
        ("/v2/models/another/infer", 404),
        (f"{MODEL}/versions/3/infer", 404),
        (f"{MODEL}/versions/01/infer", 404),
        (f"{MODEL}/versions/x/infer", 404),
        ("/v2/nothing", 404),
        ("/v2/health/live", 405),
    ):
        status, content, _ = infer(two_versions, body, path)
        assert (status, bool(content["error"])) == (expected, True), path
    assert infer(two_versions, body, "/v2/models/street%6Cight/infer")[0] == 200
    status, content, response = infer(two_versions, body, **{"Content-Encoding": "br"})
    assert (status, response.headers["Accept-Encoding"]) == (415, "gzip, deflate")
    shared: dict[str, Any] = {"name": "lights", "shape": [1, 3], "datatype": "FP64"}
    shared |= {"parameters": {"shared_memory_region": "x"}}
    assert infer(two_versions, {"inputs": [shared]})[0] == 501
    assert two_versions.expect(400, "POST", "/v2/repository/index", {"ready": "yes"})["error"]


def test_responses_are_compressed_as_accepted(two_versions: App) -> None:
    plain = scores_of(two_versions)
    for accepted, encoding in (
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0, identity", None),
        ("*", "gzip"),
        ("br", None),
    ):
        headers = {"Accept-Encoding": accepted}
        response = two_versions.request(
            "POST", f"{MODEL}/infer", json_body(LIGHTS.tolist()), **headers
        )
        assert response.headers.get("Content-Encoding") == encoding
        raw = response.data
        if encoding:
            raw = zlib.decompress(raw, 31 if encoding == "gzip" else 15)
        assert json.loads(raw)["outputs"][0]["data"] == plain
    error = two_versions.request("POST", f"{MODEL}/infer", {}, **{"Accept-Encoding": "gzip"})
    assert (error.status, error.headers.get("Content-Encoding")) == (400, None)


def test_a_gzip_bomb_is_refused(two_versions: App) -> None:
    stream = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(stream.compress(bytes(2**20)) for _ in range(128)) + stream.flush()
    assert len(bomb) < 2**20

    for path in (f"{MODEL}/infer", "/predict", "/observations"):
        response = two_versions.request("POST", path, bomb, **{"Content-Encoding": "gzip"})
        assert (response.status, "larger than" in response.json()["error"]) == (413, True)


@pytest.mark.process
@pytest.mark.parametrize("workers", [1, 4])
def test_statistics_and_metrics_agree(tmp_path: Path, workers: int) -> None:
    body = json_body(LIGHTS.tolist())
    paths = [
        (f"{MODEL}/infer", body),
        ("/predict", {"lights": [1, 0, 1]}),
        ("/v1/models/streetlight:predict", {"instances": LIGHTS.tolist()}),
        ("/v1/models/streetlight:explain", {"instances": LIGHTS.tolist()}),
        ("/invocations", LIGHTS.tolist()),
    ]
    with ForkedServer(tmp_path, workers=workers) as server:
        for path, content in paths * 4:
            # Separate connections, so that each worker gets requests.
            with server.new_pool() as pool:
                assert pool.request("POST", path, json=content).status == 200
                assert pool.request("POST", f"{MODEL}/infer", body=b"{").status == 400
        with InferenceServerClient(server.url.removeprefix("http://")) as client:
            [stats] = client.get_inference_statistics()["model_stats"]
            assert client.get_inference_statistics("streetlight", "1")["model_stats"] == [stats]
        text = server.request("GET", "/metrics").data.decode()

    assert (stats["name"], stats["version"]) == ("streetlight", "1")
    assert (stats["inference_count"], stats["execution_count"]) == (36, 20)
    counts = stats["inference_stats"]
    assert (counts["success"]["count"], counts["fail"]["count"]) == (20, 20)
    parts = ("compute_input", "compute_infer", "compute_output")
    assert counts["success"]["ns"] == sum(counts[part]["ns"] for part in parts)
    counted = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    name = "streetlight_predictions_total"
    assert sum(value for key, value in counted.items() if key[0] == name) == 36
    seconds = [value for key, value in counted.items() if "inference_seconds_total" in key[0]]
    assert round(sum(seconds) * 1e9) == pytest.approx(counts["success"]["ns"], abs=3)
