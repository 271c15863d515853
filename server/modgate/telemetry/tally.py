"""Counts kept by the event loop alone, read when metrics are scraped.

A counter of the client library takes a lock for every increment, and a histogram two; on the way of every message
that adds up to a tenth of a word-only verdict. These are plain integers, written by one thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["HistogramTally", "KeptElsewhere", "Tallies"]


class HistogramTally:
    """One histogram's buckets."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = tuple(edges)
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._edges, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper edge, as Prometheus wants them."""
        rows = []
        so_far = 0
        for edge, count in zip((*map(str, self._edges), "+Inf"), self.counts, strict=True):
            so_far += count
            rows.append((edge, float(so_far)))
        return rows


class Tallies(Collector):
    """A histogram with one optional label, kept as tallies."""

    def __init__(self, name: str, help_text: str, edges: Sequence[float], label: str = "") -> None:
        self._name = name
        self._help = help_text
        self._edges = edges
        self._label = label
        self._by_value: dict[str, HistogramTally] = {}

    def of(self, value: str = "") -> HistogramTally:
        """Return the tally of one label value."""
        tally = self._by_value.get(value)
        if tally is None:
            tally = self._by_value[value] = HistogramTally(self._edges)
        return tally

    def describe(self) -> Iterable[Metric]:
        """Name the metric, so that a name taken twice is refused."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram as it stands."""
        family = self._family()
        for value, tally in list(self._by_value.items()):
            family.add_metric([value] if self._label else [], tally.buckets(), tally.total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._help, labels=[self._label] if self._label else [])


class KeptElsewhere(Collector):
    """A counter or gauge that somebody else keeps, read when metrics are scraped."""

    def __init__(self, name: str, help_text: str, *, counter: bool) -> None:
        self._name = name
        self._help = help_text
        self._kind = CounterMetricFamily if counter else GaugeMetricFamily
        self.read: Callable[[], float] = lambda: 0.0

    def describe(self) -> Iterable[Metric]:
        """Name the metric, so that a name taken twice is refused."""
        return [self._kind(self._name, self._help)]

    def collect(self) -> Iterator[Metric]:
        """Yield the value as it stands."""
        yield self._kind(self._name, self._help, value=self.read())
