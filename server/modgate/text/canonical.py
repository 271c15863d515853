"""A canonical form of a text and the way back from it to the code points that the user typed."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from re import Match, Pattern

from modgate.detectors.base import Span
from modgate.text.graphemes import widen

__all__ = ["Canonical", "Change"]

Change = tuple[int, int, int]
"""`(start, end, length)`: code points `start` to `end` of the text before became `length` code points."""


class _Alignment:
    """Where the ranges of one text lie in the text that it was made from.

    Outside of the changes both texts advance together, so only changes that alter a length need an entry.
    """

    __slots__ = ("_after_ends", "_after_starts", "_before_ends", "_before_starts")

    def __init__(self, changes: Iterable[Change]) -> None:
        self._before_starts: list[int] = []
        self._before_ends: list[int] = []
        lengths: list[int] = []
        for start, end, length in changes:
            self._before_starts.append(start)
            self._before_ends.append(end)
            lengths.append(length)
        growth = accumulate(
            length - (end - start)
            for start, end, length in zip(self._before_starts, self._before_ends, lengths, strict=True)
        )
        self._after_ends = [end + grown for end, grown in zip(self._before_ends, growth, strict=True)]
        self._after_starts = [end - length for end, length in zip(self._after_ends, lengths, strict=True)]

    def before(self, start: int, end: int) -> tuple[int, int]:
        """Return the range before that became `start` to `end`; a change that is touched is covered whole."""
        at = bisect_right(self._after_starts, start) - 1
        if at >= 0:
            after_end = self._after_ends[at]
            start = self._before_starts[at] if start < after_end else self._before_ends[at] + start - after_end
        at = bisect_right(self._after_starts, end - 1) - 1
        if at >= 0:
            after_end = self._after_ends[at]
            end = self._before_ends[at] if end <= after_end else self._before_ends[at] + end - after_end
        return start, end


class Canonical:
    """One canonical form: its `text`, and `span()` from there back to the original.

    The way back is worked out when it is first asked for: most messages hit nothing and never pay for it.
    """

    __slots__ = ("_alignment", "_changes", "parent", "text")

    def __init__(
        self,
        text: str,
        *,
        parent: "Canonical | None" = None,
        changes: Callable[[], Iterable[Change]] | None = None,
    ) -> None:
        """Wrap a text.

        Args:
            text: The form.
            parent: The form that it was made from; None for the original itself.
            changes: Yields, in order and without overlaps, every change of the parent that altered a length;
                None if there is none.
        """
        self.text = text
        self.parent = parent
        self._changes = changes
        self._alignment: _Alignment | None = None

    def __repr__(self) -> str:
        return f"Canonical({self.text!r})"

    @property
    def original(self) -> str:
        """The text that the user typed."""
        form = self
        while form.parent is not None:
            form = form.parent
        return form.text

    def parent_range(self, start: int, end: int) -> tuple[int, int]:
        """Return where the half-open range `start` to `end` of this form lies in the form that it was made from."""
        if self._changes is None or start >= end:
            return start, end
        if self._alignment is None:
            self._alignment = _Alignment(self._changes())
        return self._alignment.before(start, end)

    def span(self, start: int, end: int) -> Span:
        """Return the code points of the original behind the half-open range `start` to `end` of this form.

        Whole user-perceived characters: marks and joiners that follow the last letter belong to it, and what
        was removed between two letters lies between them.
        """
        form = self
        while form.parent is not None:
            start, end = form.parent_range(start, end)
            form = form.parent
        size = len(form.text)  # the spaces that `words_of` puts around a text have no place in it
        return widen(form.text, min(start, size), min(end, size))

    def replace(self, pattern: Pattern[str], replacement: Callable[[Match[str]], str]) -> "Canonical":
        """Return the form in which every match of `pattern` is replaced, or this form if nothing changes."""
        parent = self.text
        pieces: list[str] = []
        changes: list[Change] = []
        at = 0
        for match in pattern.finditer(parent):
            start, end = match.span()
            new = replacement(match)
            if new != match[0]:
                pieces += (parent[at:start], new)
                at = end
                if len(new) != end - start:
                    changes.append((start, end, len(new)))
        if not pieces:
            return self
        pieces.append(parent[at:])
        return Canonical("".join(pieces), parent=self, changes=(lambda: changes) if changes else None)

    def window(self, start: int, end: int) -> "Canonical":
        """Return the part of this form from `start` to `end` as a form of its own."""
        size = len(self.text)
        return Canonical(self.text[start:end], parent=self, changes=lambda: ((0, start, 0), (end, size, 0)))

    def translate(self, table: dict[int, str], resized: Pattern[str]) -> "Canonical":
        """Return the form after `str.translate(table)`, or this form if nothing changes.

        Args:
            table: What to replace, by code point.
            resized: Matches the single code points that `table` does not map one to one.
        """
        parent = self.text
        text = parent.translate(table)
        if text == parent:
            return self

        def changes() -> Iterator[Change]:
            for match in resized.finditer(parent):
                yield match.start(), match.end(), len(table[ord(match[0])])

        return Canonical(text, parent=self, changes=changes)
