"""History, the flagged queue, reports: what is kept of decisions, and what moderators do with it."""

from modgate.review.desk import AlreadyDecidedError, Item, NoSuchItemError, Report, ReviewDesk, ReviewState
from modgate.review.history import History
from modgate.review.search import HistoryFilter

__all__ = [
    "AlreadyDecidedError",
    "History",
    "HistoryFilter",
    "Item",
    "NoSuchItemError",
    "Report",
    "ReviewDesk",
    "ReviewState",
]
