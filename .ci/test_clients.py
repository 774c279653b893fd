"""A server answers unchanged clients, most of them of other servers, with the scores of /predict.

`.ci/clients` installs the clients, starts the server, whose live version is the lab's, and runs
these tests with its address in `STREETLIGHT_URL`. docs/clients.md lists the clients.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import boto3
import httpx
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http
from botocore.exceptions import ClientError
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from open_inference.openapi.client import InferenceRequest, OpenInferenceClient

URL = os.environ["STREETLIGHT_URL"]
ADDRESS = urlsplit(URL)
MODEL = "streetlight"
ROWS = [[1, 0, 1], [0, 0, 1]]
QUERY = {"lights": ROWS[1]}
SCORES = requests.post(f"{URL}/predict/batch", json={"lights": ROWS}, timeout=10).json()["scores"]

SAGEMAKER = boto3.client("sagemaker-runtime", endpoint_url=URL)


def column(rows: Any) -> list[float]:
    """Return the only column of `rows`, lists or an array."""
    return [float(score) for (score,) in rows]


def invoke_endpoint(**arguments: Any) -> Any:
    response = SAGEMAKER.invoke_endpoint(**{"EndpointName": MODEL} | arguments)
    assert response["InvokedProductionVariant"] == "1"
    return response["Body"].read()


@pytest.mark.parametrize(
    "more", [{}, {"ContentType": "application/json"}, {"TargetVariant": "1"}], ids=str
)
def test_boto3_invokes_an_endpoint_with_json(more: dict[str, str]) -> None:
    body = json.loads(invoke_endpoint(Body=json.dumps(ROWS), **more))
    assert column(body["predictions"]) == SCORES


def test_boto3_invokes_an_endpoint_with_csv() -> None:
    body = invoke_endpoint(Body="1,0,1\n0,0,1\n", ContentType="text/csv", Accept="text/csv")
    assert list(map(float, body.split())) == SCORES


def test_boto3_raises_the_sentence_of_the_server() -> None:
    invalid = SAGEMAKER.exceptions.ValidationError
    with pytest.raises(invalid, match="no model 'other'; the model's name is 'streetlight'"):
        invoke_endpoint(EndpointName="other", Body="[[1, 0, 1]]")
    with pytest.raises(invalid, match="version 1 expects 3 lights, got 1"):
        invoke_endpoint(Body="[[1]]")
    with pytest.raises(ClientError, match="there is no route /endpoints/streetlight/invocations-"):
        SAGEMAKER.invoke_endpoint_with_response_stream(EndpointName=MODEL, Body="[[1, 0, 1]]")


def test_mlflow_waits_for_the_server_and_asks_for_its_version() -> None:
    client = ScoringServerClient(ADDRESS.hostname, ADDRESS.port)
    client.wait_server_ready(timeout=5)  # calls ping
    assert client.get_version()[0].isdigit()
    assert requests.get(f"{URL}/health", timeout=10).ok


@pytest.mark.parametrize(
    "rows", [pd.DataFrame(ROWS, columns=["a", "b", "c"]), np.array(ROWS), ROWS], ids=type
)
def test_mlflow_invokes_the_model(rows: Any) -> None:
    client = ScoringServerClient(ADDRESS.hostname, ADDRESS.port)
    response = client.invoke(rows, params={"any": 1})
    assert column(response.get_predictions().to_numpy()) == SCORES


def run_kserve(protocol: str, calls: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            assert await client.is_server_live(URL)
            assert await client.is_model_ready(URL, MODEL)
            await calls(client)

    asyncio.run(run())


def test_kserve_calls_v1() -> None:
    async def calls(client: Any) -> None:
        for answer in (client.infer, client.explain):
            response = await answer(URL, data={"instances": ROWS}, model_name=MODEL)
            assert column(response["predictions"]) == SCORES
        with pytest.raises(httpx.HTTPStatusError, match="version 1 expects 3 lights, got 1"):
            await client.infer(URL, {"instances": [[1]]}, model_name=MODEL)

    run_kserve("v1", calls)


@pytest.mark.parametrize("binary", [False, True])
def test_kserve_calls_v2(binary: bool) -> None:
    async def calls(client: Any) -> None:
        assert await client.is_server_ready(URL)
        assert not await client.is_model_ready(URL, "other")
        tensor = InferInput("lights", [2, 3], "FP64")
        tensor.set_data_from_numpy(np.array(ROWS, float), binary_data=binary)
        request = InferRequest(model_name=MODEL, infer_inputs=[tensor])
        response = await client.infer(URL, request, model_name=MODEL)
        assert column(response.outputs[0].as_numpy()) == SCORES

    run_kserve("v2", calls)


def test_tritonclient_infers() -> None:
    client = tritonclient.http.InferenceServerClient(ADDRESS.netloc)
    assert client.is_server_ready()
    assert client.get_model_metadata(MODEL)["name"] == MODEL
    tensor = tritonclient.http.InferInput("lights", [2, 3], "FP64")
    tensor.set_data_from_numpy(np.array(ROWS, float))
    assert column(client.infer(MODEL, [tensor]).as_numpy("score")) == SCORES


def test_the_generated_client_of_the_open_inference_protocol_infers() -> None:
    client = OpenInferenceClient(base_url=URL)
    client.check_server_readiness()
    assert client.read_model_metadata(MODEL).name == MODEL
    tensor = {"name": "lights", "shape": [2, 3], "datatype": "FP64", "data": ROWS}
    response = client.model_infer(MODEL, request=InferenceRequest(inputs=[tensor]))
    assert response.outputs[0].data.__root__ == SCORES


def test_requests_reads_the_root_and_repeats_a_parameter() -> None:
    assert requests.get(URL, timeout=10).json()["status"] == "alive"
    response = requests.get(f"{URL}/predict", params=QUERY, timeout=10)
    assert response.json()["score"] == SCORES[1]


def test_httpx_repeats_a_parameter() -> None:
    assert httpx.get(f"{URL}/predict", params=QUERY).json()["score"] == SCORES[1]


def test_aiohttp_repeats_a_parameter() -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{URL}/predict", params=QUERY) as response,
        ):
            assert (await response.json())["score"] == SCORES[1]

    asyncio.run(run())


PREDICT, BODY = f"{URL}/predict", json.dumps(QUERY)
FETCH = f"fetch('{PREDICT}?' + new URLSearchParams({BODY})).then(r => r.text()).then(console.log)"
COMMANDS = {
    "curl": f"curl --silent --fail --json '{BODY}' {PREDICT}",
    "wget": f"wget --quiet --output-document=- --post-data='{BODY}' {PREDICT}",
    "httpie": f"http --ignore-stdin --body {PREDICT} lights==0 lights==0 lights==1",
    "node": f'node --eval "{FETCH}"'.replace(BODY, BODY.replace('"', "'")),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_predicts(command: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    run = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, check=True, timeout=20
    )
    assert json.loads(run.stdout)["score"] == SCORES[1]
