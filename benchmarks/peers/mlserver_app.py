"""MLServer: a custom runtime for the Open Inference Protocol (V2)."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import scores


class Decisions(MLModel):
    """Serves the network."""

    async def load(self) -> bool:
        """Return that the model is ready: `network` loads the weights on import."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the scores of the rows of the first input."""
        lights = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("score", np.asarray(scores(lights))[:, None])
        return InferenceResponse(model_name=self.name, outputs=[output])
