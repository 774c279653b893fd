"""The notebook of the tutorial: its cells run, and print what is stored in it."""

import json
from pathlib import Path

import pytest

from tests.notebook import NOTEBOOK, executed
from tests.server import ForkedServer


@pytest.mark.process
def test_the_outputs_of_the_notebook_are_those_of_a_server(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True) as server:
        for _ in range(2):  # a reader may run the cells again
            assert executed(server) == NOTEBOOK.read_text(encoding="utf-8"), "run make docs"


def test_the_notebook_has_version_4_of_the_format() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    for cell in notebook["cells"]:
        fields = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            fields |= {"execution_count", "outputs"}
        assert set(cell) == fields


def test_the_notebook_has_every_station_of_the_tutorial() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    for page in (NOTEBOOK.parents[1] / "tutorial").glob("*.md"):
        assert f"](../tutorial/{page.name})" in text
