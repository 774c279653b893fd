"""BentoML: a service class with two APIs."""

import bentoml
from network import decide, decide_many


@bentoml.service(workers=1)
class Decisions:
    """Decides."""

    @bentoml.api(route="/predict")
    def predict(self, lights: list[float]) -> dict[str, object]:
        """Decide."""
        return decide(lights)

    @bentoml.api(route="/predict/batch")
    def predict_batch(self, lights: list[list[float]]) -> dict[str, object]:
        """Decide for many."""
        return decide_many(lights)
