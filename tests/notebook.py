"""Run the notebook of the tutorial, and write its outputs: `python -m tests.notebook`."""

import io
import json
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tests.server import Server

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "streetlight.ipynb"


def executed(server: Server) -> str:
    """Return the text of the notebook with the outputs of its cells, run in their order."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, start=1):
        source = "".join(cell["source"]).replace("http://127.0.0.1:8000", server.url)
        with redirect_stdout(io.StringIO()) as output:
            exec(source, names)  # noqa: S102 - a notebook is code
        lines = output.getvalue().splitlines(keepends=True)
        stream = {"name": "stdout", "output_type": "stream", "text": lines}
        cell |= {"execution_count": count, "outputs": [stream] if lines else []}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), trainer=True) as server:
        text = executed(server)
    NOTEBOOK.write_text(text, encoding="utf-8")
