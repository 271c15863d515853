"""How good a text bundle is, measured on labelled rows: scores in, figures with confidence intervals out."""

from modgate.evaluation.corpus import Corpus, read_corpus
from modgate.evaluation.plot import plot
from modgate.evaluation.report import EvaluationReport, evaluate_bundle, evaluate_scores
from modgate.evaluation.scoring import Scores, TextScorer, score_texts

__all__ = [
    "Corpus",
    "EvaluationReport",
    "Scores",
    "TextScorer",
    "evaluate_bundle",
    "evaluate_scores",
    "plot",
    "read_corpus",
    "score_texts",
]
