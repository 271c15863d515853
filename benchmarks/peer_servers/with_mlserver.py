"""MLServer with its adaptive batching, one worker a core, over the V2 protocol."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from scoring import Scorer


class Scores(MLModel):
    """Scores texts in batches."""

    async def load(self) -> bool:
        """Load the model."""
        self.scorer = Scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the scores of a batch of texts."""
        texts = StringCodec.decode_input(payload.inputs[0])
        scores = self.scorer.scores(texts)
        flat = [value for row in scores for value in row]
        output = ResponseOutput(name="scores", datatype="FP32", shape=[len(scores), len(scores[0])], data=flat)
        return InferenceResponse(model_name=self.name, outputs=[output])
