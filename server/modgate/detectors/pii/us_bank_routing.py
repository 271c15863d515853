"""United States bank routing numbers: nine digits with a checksum."""

from collections.abc import Iterator

from stdnum.us import rtn

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import counting, digit_runs

__all__ = ["UsBankRouting"]

_CONTEXT = frozenset({"routing", "rtn", "aba", "transit", "ach", "wire"})
_DISTRICTS = frozenset({*range(13), *range(21, 33), *range(61, 73), 80})
"""First two digits in use: the Federal Reserve districts, thrifts, electronic and traveller's cheques."""


class UsBankRouting:
    """Nine digits with the checksum of the American Bankers Association; one number in ten has it by chance."""

    kind = "us_bank_routing"
    examples = (
        Example("routing 021000021", "us_bank_routing", (Span(8, 17),), "checksum and context"),
        Example("my aba is 121-042-882", "us_bank_routing", (Span(10, 21),), "checksum and context, dashes"),
        Example("routing 021000022", "us_bank_routing", (), "wrong checksum"),
        Example("score 021000021", "us_bank_routing", (), "checksum without context"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield routing numbers."""
        del settings
        for run in digit_runs(text, 9, 9):
            if rtn.is_valid(run.digits) and int(run.digits[:2]) in _DISTRICTS and not counting(run.digits):
                context = near(_CONTEXT, text, run.start, run.end)
                yield Hit(
                    run.start, run.end, 0.85 if context else 0.25, "checksum" + (", context word" if context else "")
                )
