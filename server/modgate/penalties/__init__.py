"""Violations, the windows they are counted in, penalties that they earn, and sanctions in force."""

from modgate.penalties.book import SanctionBook
from modgate.penalties.sanction import Sanction, SanctionTarget, earned_sanction
from modgate.penalties.violations import LocalViolations
from modgate.penalties.window import Window, is_permanent

__all__ = [
    "LocalViolations",
    "Sanction",
    "SanctionBook",
    "SanctionTarget",
    "Window",
    "earned_sanction",
    "is_permanent",
]
