"""Which labels of a bundle fire on a line."""

from modgate.evaluation import TextScorer


def fired(scorer: TextScorer, text: str) -> set[str]:
    """Return the harms, experimental ones included, that are at their default threshold or above it."""
    scores = scorer.score([text])
    return {
        label.name
        for label in scorer.manifest.labels
        if label.group is None and label.threshold is not None and scores.of(label.name)[0] >= label.threshold
    }
