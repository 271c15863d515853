"""Plain FastAPI and onnxruntime, as a tutorial writes it: one call a message, in FastAPI's threads."""

from fastapi import FastAPI
from pydantic import BaseModel
from scoring import Scorer

app = FastAPI()
scorer = Scorer()


class Line(BaseModel):
    """A message."""

    text: str


@app.post("/score")
def score(line: Line) -> dict[str, list[float]]:
    """Return the scores of one text."""
    return {"scores": scorer.scores([line.text])[0]}
