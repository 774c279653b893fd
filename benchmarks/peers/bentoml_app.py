"""BentoML: a service class with two APIs."""

import bentoml
from network import decide, decide_many


@bentoml.service(workers=1)
class Decisions:
    """Serves the network."""

    @bentoml.api(route="/predict")
    def predict(self, lights: list[float]) -> dict[str, object]:
        """Return the prediction for one light state."""
        return decide(lights)

    @bentoml.api(route="/predict/batch")
    def predict_batch(self, lights: list[list[float]]) -> dict[str, object]:
        """Return the predictions for many light states."""
        return decide_many(lights)
