"""LitServe: one API class, one worker."""

import os

import litserve as ls
from network import decide, decide_many
from pydantic import BaseModel


class Body(BaseModel):
    """One light state, or many."""

    lights: list[float] | list[list[float]]


class Decisions(ls.LitAPI):
    """Decides."""

    def setup(self, device: str) -> None:
        """Load nothing: it is loaded already."""

    def decode_request(self, request: Body) -> list[float] | list[list[float]]:
        """Take the lights."""
        return request.lights

    def predict(self, x: list[float] | list[list[float]]) -> dict[str, object]:
        """Decide."""
        return decide_many(x) if isinstance(x[0], list) else decide(x)

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """Answer."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(Decisions(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
    )
