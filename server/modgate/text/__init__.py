"""Text before detectors: canonical forms with a way back to what was typed, and masks.

`fold(text)` undoes what chat users do to hide a word; `Canonical.span` leads from a place in a canonical form back to
the code points of the original; `mask` replaces spans there and touches nothing else.
"""

from modgate.text.canonical import Canonical
from modgate.text.folding import Folded, Form, fold, words_of
from modgate.text.graphemes import widen
from modgate.text.masking import mask, merge_spans
from modgate.text.steps import squeeze

__all__ = ["Canonical", "Folded", "Form", "fold", "mask", "merge_spans", "squeeze", "widen", "words_of"]
