"""What the client may import, that its two faces are alike, and that its types are the server's."""

import inspect
import re
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import grimp
import pytest
from pydantic import BaseModel

from streetlight.client import (
    AsyncClient,
    AsyncJob,
    Client,
    Job,
    NewObservation,
    Retraining,
    results,
)
from streetlight.model.explanation import Counterfactual
from streetlight.model.registry.promotion_log import Promotion
from streetlight.service.inference.result import (
    BatchPrediction,
    Explanation,
    Prediction,
)
from streetlight.service.learning import gate, job
from streetlight.service.ledger.ingest import RowResult
from streetlight.service.ledger.queries import Observation
from streetlight.service.versions.catalog import DamagedVersion, ListedVersion
from streetlight.service.versions.comparison import Change
from streetlight.service.versions.switching import Switched
from streetlight.service.web.api.health import Ready
from streetlight.service.web.api.jobs import RetrainBody
from streetlight.service.web.api.observations import ObservationBody, RecordResult

SERVER_TYPES: list[tuple[type[BaseModel], type[Any]]] = [
    (results.BatchPrediction, BatchPrediction),
    (results.Change, Change),
    (results.Counterfactual, Counterfactual),
    (results.Explanation, Explanation),
    (results.Health, Ready),
    (results.JobProgress, job.JobProgress),
    (results.JobState, job.Job),
    (results.Observation, Observation),
    (results.Prediction, Prediction),
    (results.Promotion, Promotion),
    (results.RecordResult, RecordResult),
    (results.RowResult, RowResult),
    (results.Switched, Switched),
    (results.Verdict, gate.Verdict),
    (results.Version, ListedVersion),
]


def test_the_client_imports_httpx_pydantic_and_the_standard_library_only() -> None:
    graph = grimp.build_graph("streetlight", include_external_packages=True)
    imported = {
        name if name.startswith("streetlight") else name.partition(".")[0]
        for module in graph.find_descendants("streetlight.client")
        for name in graph.find_modules_directly_imported_by(module)
    }
    ours = {name for name in imported if name.startswith("streetlight")}
    assert all(name.startswith("streetlight.client.") for name in ours)
    assert imported - ours - sys.stdlib_module_names == {"httpx", "pydantic"}


def test_both_faces_have_the_same_methods() -> None:
    for sync, asynchronous in ((Client, AsyncClient), (Job, AsyncJob)):
        for name, method in vars(sync).items():
            if not inspect.isfunction(method) or name in ("__enter__", "__exit__"):
                continue
            other = vars(asynchronous)["aclose" if name == "close" else name]
            assert inspect.getdoc(other) == inspect.getdoc(method), name
            as_async = re.sub(r"(?<!\w)(Iterator|Client|Job)\b", r"Async\1", signature(method))
            assert signature(other) == as_async, name
        public = {"aclose" if name == "close" else name for name in vars(sync) if name[0] != "_"}
        assert public == {name for name in vars(asynchronous) if name[0] != "_"}


def signature(method: Any) -> str:
    text = str(inspect.signature(method)).replace("collections.abc.", "")
    return re.sub(r"[\w.]+\.(?=\w)|'", "", text)


@pytest.mark.parametrize(("ours", "theirs"), SERVER_TYPES, ids=lambda kind: kind.__name__)
def test_the_results_are_those_of_the_server(ours: type[BaseModel], theirs: type[Any]) -> None:
    """A client knows no field that the server doesn't send, and lacks none that it always sends."""
    assert is_dataclass(theirs)
    sent = {field.name for field in fields(theirs)} | {"request_id", "damaged", "next"}
    assert ours.model_fields.keys() <= sent


def test_a_damaged_version_is_a_version() -> None:
    damaged = {field.name for field in fields(DamagedVersion)}
    required = {name for name, field in results.Version.model_fields.items() if field.is_required()}
    assert required <= damaged <= results.Version.model_fields.keys()


def test_the_requests_have_the_fields_of_the_server() -> None:
    assert Retraining.__annotations__.keys() == RetrainBody.model_fields.keys()
    everything = NewObservation.__required_keys__ | NewObservation.__optional_keys__
    assert everything == ObservationBody.model_fields.keys()
