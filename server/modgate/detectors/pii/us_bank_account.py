"""United States bank account numbers: digits, and a word beside them."""

from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import digit_runs

__all__ = ["UsBankAccount"]

_CONTEXT = frozenset({"account", "acct", "checking", "savings", "deposit"})
_NO_BANK = frozenset({
    "game", "gaming", "steam", "twitter", "user", "instagram", "epic", "riot", "xbox", "psn", "days", "old",
})  # fmt: skip
_REACH = 32


class UsBankAccount:
    """Eight to seventeen digits right beside a word such as `account`: there is nothing else to check."""

    kind = "us_bank_account"
    examples = (
        Example("account number 000123456789", "us_bank_account", (Span(15, 27),), "context"),
        Example("my checking acct: 9876543210", "us_bank_account", (Span(18, 28),), "context"),
        Example("I have 000123456789 coins", "us_bank_account", (), "no context"),
        Example("my steam account 76561198000000001", "us_bank_account", (), "an account, but not at a bank"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield account numbers."""
        del settings
        for run in digit_runs(text, 8, 17):
            if near(_CONTEXT, text, run.start, run.end, _REACH) and not near(
                _NO_BANK, text, run.start, run.end, _REACH
            ):
                yield Hit(run.start, run.end, 0.55, "digits and context word")
