"""LitServe: one API class, one worker."""

import os

import litserve as ls
from network import decide, decide_many
from pydantic import BaseModel


class Body(BaseModel):
    """One light state, or many."""

    lights: list[float] | list[list[float]]


class Decisions(ls.LitAPI):
    """Serves the network."""

    def setup(self, device: str) -> None:
        """Do nothing: `network` loads the weights on import."""

    def decode_request(self, request: Body) -> list[float] | list[list[float]]:
        """Return the lights of the body."""
        return request.lights

    def predict(self, x: list[float] | list[list[float]]) -> dict[str, object]:
        """Return the prediction for one light state, or the predictions for many."""
        return decide_many(x) if isinstance(x[0], list) else decide(x)

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """Return the response unchanged."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(Decisions(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
    )
