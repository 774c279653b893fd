"""MLServer: a custom runtime, spoken to by V2."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import scores


class Decisions(MLModel):
    """Decides."""

    async def load(self) -> bool:
        """Be ready: it is loaded already."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score the rows of the first input."""
        lights = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("score", np.asarray(scores(lights))[:, None])
        return InferenceResponse(model_name=self.name, outputs=[output])
