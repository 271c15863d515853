"""LitServe with its dynamic batching, one worker a core."""

import sys
from typing import Any

import litserve
from scoring import Scorer


class Scores(litserve.LitAPI):
    """Scores texts in batches."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        del device
        self.scorer = Scorer()

    def decode_request(self, request: dict[str, Any]) -> str:
        """Take the text."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Batches are lists of texts."""
        return inputs

    def predict(self, batch: list[str]) -> list[list[float]]:
        """Score a batch."""
        return self.scorer.scores(batch)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """One row a text."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """Return the scores."""
        return {"scores": output}


if __name__ == "__main__":
    api = Scores(max_batch_size=8, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, timeout=5)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
