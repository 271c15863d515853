"""Every metric there is: name, unit, labels, and what to do when it moves. docs/metrics.md is made from this."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modgate.telemetry.tally import KeptElsewhere, Tallies

__all__ = ["METRICS", "Metric", "Metrics"]

# Edges where the budget is: a bucket that jumps over 200 ms could not show a late answer.
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.19, 0.2, 0.25)
_BATCH = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As Prometheus has it, without the suffix `_total`.
        kind: `counter`, `gauge`, `histogram`; `tally`, a histogram that only the event loop writes; or `read`
            and `level`, a counter and a gauge that somebody else keeps.
        help: What it counts.
        moves: What to do when it moves.
        labels: Label names, all of bounded cardinality.
        buckets: Edges, for histograms.
    """

    name: str
    kind: str
    help: str
    moves: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = ()


METRICS = (
    Metric(
        "modgate_requests",
        "counter",
        "Messages answered, by verdict.",
        "A sudden share of BLOCK is an attack or a bad rule: see modgate_rule_hits.",
        ("verdict",),
    ),
    Metric(
        "modgate_request_seconds",
        "tally",
        "Seconds from arrival to answer.",
        "Above 0.15 s, give the sidecar more CPU or fewer messages.",
        buckets=_SECONDS,
    ),
    Metric(
        "modgate_fallbacks",
        "counter",
        "Answers in which a fallback stood for unknown conditions, by reason and policy.",
        "TIMEOUT or OVERLOAD: too little CPU. ERROR: see the log for the detector.",
        ("reason", "applied"),
    ),
    Metric(
        "modgate_invalid_requests",
        "counter",
        "Requests that could not be judged.",
        "A gateway sends what the contract does not allow: the error names the field.",
    ),
    Metric(
        "modgate_detector_seconds",
        "tally",
        "Seconds of a detector for one message, waiting included.",
        "Shows which detector uses up the budget.",
        ("detector",),
        _SECONDS,
    ),
    Metric(
        "modgate_detector_failures",
        "counter",
        "Times that a detector broke.",
        "Should be zero but for unreadable pictures; the log has the error.",
        ("detector",),
    ),
    Metric(
        "modgate_rule_hits",
        "counter",
        "Messages for which a live rule was true.",
        "A rule that jumps was changed or is being evaded.",
        ("rule",),
    ),
    Metric(
        "modgate_rule_shadow_hits",
        "counter",
        "Messages for which a shadow rule was true.",
        "What the rule would do if it were live.",
        ("rule",),
    ),
    Metric(
        "modgate_in_flight",
        "gauge",
        "Messages that wait for models.",
        "Near the permits, the model tier is about to be shed.",
    ),
    Metric(
        "modgate_in_flight_limit",
        "gauge",
        "Messages that may wait for models right now; falls when their queue has no time for more.",
        "Below `limits.in_flight`: the models are the bottleneck.",
    ),
    Metric(
        "modgate_loop_lag_seconds",
        "gauge",
        "How far the event loop is behind; taken off the budget of what arrives.",
        "Above 0.02 s, the sidecar has too little CPU for its messages.",
    ),
    Metric(
        "modgate_shed",
        "counter",
        "Messages whose models were not asked for lack of permits.",
        "Give the sidecar more CPU or spread the load.",
    ),
    Metric(
        "modgate_blind",
        "counter",
        "Messages of streams that nothing looked at: more came than even words and patterns could look at.",
        "Spread the load, and find out who sends that much.",
    ),
    Metric(
        "modgate_queue_depth",
        "gauge",
        "Jobs that wait for a model.",
        "Growing: models cannot keep up.",
    ),
    Metric(
        "modgate_batch_size",
        "histogram",
        "Jobs in a batch, by model.",
        "Above 1 means that all workers were busy.",
        ("model",),
        _BATCH,
    ),
    Metric(
        "modgate_model_seconds",
        "histogram",
        "Seconds of one batch, by model.",
        "Rises when neighbours take the CPU.",
        ("model",),
        _SECONDS,
    ),
    Metric(
        "modgate_score_cache_hits",
        "read",
        "Texts whose scores were known or in the air.",
        "Its share of all texts is the work saved.",
    ),
    Metric(
        "modgate_score_cache_misses",
        "read",
        "Texts that a model had to score.",
        "See modgate_score_cache_hits.",
    ),
    Metric(
        "modgate_cascade_plain",
        "read",
        "Texts that the first stage decided alone.",
        "Its share of modgate_score_cache_misses is the work that the cascade saves.",
    ),
    Metric(
        "modgate_other_languages",
        "read",
        "Texts that the bundle for other languages scored, those in doubt included.",
        "Its share of modgate_score_cache_misses is what that bundle is for; 0 for long, and it can be left out.",
    ),
    Metric(
        "modgate_ruleset_info",
        "gauge",
        "Always 1; the revision of the ruleset in force is a label.",
        "Compare across sidecars after a change.",
        ("revision",),
    ),
    Metric(
        "modgate_ruleset_reloads",
        "counter",
        "Times that the rules were loaded, by result.",
        "result=error: the new file is bad and the old rules are in force; the log has every problem.",
        ("result",),
    ),
    Metric(
        "modgate_ruleset_loaded_timestamp_seconds",
        "gauge",
        "When the ruleset in force was loaded, in seconds since the epoch.",
        "Older than the last change: the reload failed.",
    ),
    Metric(
        "modgate_history_journaled",
        "read",
        "Decisions written to the journal before their answer.",
        "Follows BLOCK and flagged answers.",
    ),
    Metric(
        "modgate_history_stored",
        "read",
        "Decisions moved into the store.",
        "Stands still while the store is away.",
    ),
    Metric(
        "modgate_history_dropped",
        "read",
        "Decisions not kept: the queue or the journal was full.",
        "Give the store more room or keep fewer decisions (storage.history.decisions).",
    ),
    Metric(
        "modgate_history_rejected",
        "read",
        "Journal entries that the store refused.",
        "Should be zero; the log has the reason.",
    ),
    Metric(
        "modgate_journal_failures",
        "read",
        "Times that the journal could not be written.",
        "The disk is full or gone: BLOCK and flagged answers are not kept.",
    ),
    Metric(
        "modgate_journal_bytes",
        "level",
        "Bytes of journal that wait for the store.",
        "Grows while the store is away.",
    ),
    Metric(
        "modgate_store_away",
        "level",
        "Whether the store could not be reached, 0 or 1.",
        "Answers go on; the journal grows until the store is back.",
    ),
    Metric(
        "modgate_sanctions_in_force",
        "level",
        "Sanctions that the gate enforces.",
        "Follows penalties and moderators.",
    ),
    Metric(
        "modgate_sanctions_evicted",
        "read",
        "Sanctions forgotten for lack of room.",
        "Should be zero.",
    ),
    Metric(
        "modgate_violations_kept",
        "level",
        "Windows of violations in memory.",
        "Bounded; follows the number of offenders.",
    ),
    Metric(
        "modgate_penalties_degraded",
        "read",
        "Violations counted locally because the shared counters did not answer.",
        "The shared server is slow or away.",
    ),
    Metric(
        "modgate_shared_away",
        "level",
        "Whether the shared counters could not be reached, 0 or 1.",
        "Penalties go by this gate's own counters.",
    ),
    Metric(
        "modgate_model_info",
        "gauge",
        "Always 1; name, version and digest of a loaded bundle are labels.",
        "Compare across sidecars after a change.",
        ("name", "version", "digest"),
    ),
)


class Metrics:
    """The catalogue, alive in one registry. Attribute access is by the name without the prefix."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._tallies: dict[str, Tallies] = {}
        self._read: dict[str, KeptElsewhere] = {}
        for m in METRICS:
            if m.kind == "counter":
                self._counters[m.name] = Counter(m.name, m.help, m.labels, registry=self.registry)
            elif m.kind == "gauge":
                self._gauges[m.name] = Gauge(m.name, m.help, m.labels, registry=self.registry)
            elif m.kind in {"read", "level"}:
                elsewhere = self._read[m.name] = KeptElsewhere(m.name, m.help, counter=m.kind == "read")
                self.registry.register(elsewhere)
            elif m.kind == "tally":
                tallies = self._tallies[m.name] = Tallies(m.name, m.help, m.buckets, *m.labels)
                self.registry.register(tallies)
            else:
                self._histograms[m.name] = Histogram(
                    m.name, m.help, m.labels, buckets=tuple(m.buckets), registry=self.registry
                )

    def counter(self, name: str) -> Counter:
        """Return a counter of the catalogue, named without the prefix."""
        return self._counters[f"modgate_{name}"]

    def gauge(self, name: str) -> Gauge:
        """Return a gauge of the catalogue, named without the prefix."""
        return self._gauges[f"modgate_{name}"]

    def histogram(self, name: str) -> Histogram:
        """Return a histogram of the catalogue, named without the prefix."""
        return self._histograms[f"modgate_{name}"]

    def tally(self, name: str) -> Tallies:
        """Return a tally of the catalogue, named without the prefix."""
        return self._tallies[f"modgate_{name}"]

    def read(self, name: str, source: Callable[[], float]) -> None:
        """Let a `read` or `level` metric, named without the prefix, take its value from `source`."""
        self._read[f"modgate_{name}"].read = source

    def read_all(self, figures: Callable[[], Mapping[str, float]]) -> None:
        """Let every figure that a source returns be read under its own name."""
        for name in figures():
            self.read(name, partial(_figure, figures, name))


def _figure(figures: Callable[[], Mapping[str, float]], name: str) -> float:
    return figures()[name]
