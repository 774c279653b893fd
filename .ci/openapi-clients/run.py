"""Start a server for each generated client, and let the client call every operation.

Usage: run.py FOLDER [COMMAND…], in the root of the repository. Without a command, the document is
written to FOLDER/openapi.json. The commands run at the same time; each gets the document, the URL
of its server and the API key as further arguments, and prints the operationId before each call.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.server import Server, streetlight
from tests.service.conftest import until
from tests.service.webhook.receiver import SECRET

KEY = "key"
# Its address refuses connections.
WEBHOOK = {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": SECRET}


def write_document(folder: Path) -> None:
    """Write the document of a server, with the stream that doesn't end as the last path."""
    with Server(folder / "data", api_key=KEY) as server:
        document = server.get("/openapi.json")
    document["paths"]["/events"] = document["paths"].pop("/events")
    (folder / "openapi.json").write_text(json.dumps(document))


def run(folder: Path, command: str) -> str:
    """Run a client on a server with two versions, and return what was called."""
    document = folder / "openapi.json"
    paths = json.loads(document.read_text())["paths"].values()
    expected = [operation["operationId"] for path in paths for operation in path.values()]
    name = Path(shlex.split(command)[-1]).stem
    settings = {"api_key": KEY, "prediction_log": True, **WEBHOOK}
    with Server(folder / name, **settings) as server:
        streetlight("train", "--dataset", "six", data_dir=server.data_dir)
        server.post("/versions/1/promote", Authorization=f"Bearer {KEY}")
        arguments = [*shlex.split(command), str(document), server.url, KEY]
        with subprocess.Popen(
            arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as client:
            called = []
            for line in client.stdout or ():
                called.append(line.strip())
                if called[-1] == "events_follow":
                    # A server that stops ends the stream; it counts a response when it begins.
                    until(lambda: b'route="/events"' in server.request("GET", "/metrics").data)
                    server.stop()
    if client.returncode or called != expected:
        raise SystemExit("\n".join([*called, f"{name}: expected {len(expected)} calls"]))
    return f"{name}: called all {len(called)} operations"


def main(folder: Path, commands: Sequence[str]) -> None:
    """Write the document, or run the clients."""
    if not commands:
        write_document(folder)
    with ThreadPoolExecutor() as threads:
        for result in threads.map(lambda command: run(folder, command), commands):
            print(result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
