"""BentoML with its adaptive batching, one worker a core."""

import bentoml
from scoring import Scorer


@bentoml.service(workers=2, traffic={"timeout": 5})
class Scores:
    """Scores texts in batches."""

    def __init__(self) -> None:
        self.scorer = Scorer()

    @bentoml.api(route="/score", batchable=True, max_batch_size=8, max_latency_ms=1_000)
    def score(self, text: list[str]) -> list[list[float]]:
        """Return the scores of a batch of texts."""
        return self.scorer.scores(text)
