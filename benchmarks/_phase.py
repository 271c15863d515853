"""What one stretch of load came to."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

__all__ = ["BUDGET_S", "CANCELLED_HERE", "UNANSWERED", "Phase"]

BUDGET_S = 0.2
UNANSWERED, CANCELLED_HERE = -2, -3  # beside gRPC's status codes
REFUSED = 1  # gRPC's CANCELLED, which this side did not ask for
_PERCENTILES = (50, 90, 99, 99.9, 99.99)


@dataclass(slots=True)
class Phase:
    """What one stretch of load at one rate came to. Latencies are in microseconds, from the due time.

    Attributes:
        rate: Calls a second that were asked for.
        seconds: From the first due time to the last answer.
        sent: Calls made.
        answered: Answers, whatever they said.
        decided: Answers OK, in time and without a fallback.
        last_late_s: When the last late call was due, in seconds from the first; 0 if none was late.
        late: Calls that were not answered within the budget from their due time.
        late_from_send: The same from the moment they were sent.
        codes: gRPC status codes; -1 for a reset call, -2 for no answer, -3 for a call that was cancelled here.
        verdicts: By name.
        fallbacks: By reason.
        latency: From the due time.
        service: From the moment of sending.
        lag_us: How late calls were sent: 50th, 99th and 100th percentile. The generator's own fault.
        client_cpu_s: Processor time of the generator.
        server_cpu_s: Processor time of the server, if known.
    """

    rate: float
    seconds: float = 0.0
    sent: int = 0
    answered: int = 0
    decided: int = 0
    late: int = 0
    late_from_send: int = 0
    last_late_s: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    latency: Any = field(default_factory=lambda: HdrHistogram(1, 60_000_000, 3))
    service: Any = field(default_factory=lambda: HdrHistogram(1, 60_000_000, 3))
    lag_us: tuple[float, float, float] = (0.0, 0.0, 0.0)
    client_cpu_s: float = 0.0
    server_cpu_s: float | None = None

    @property
    def goodput(self) -> float:
        """Decided answers within the budget, a second."""
        return self.decided / self.seconds if self.seconds else 0.0

    @property
    def refused(self) -> int:
        """Calls that the server's gRPC reset unread, because more waited than it could read in time."""
        return self.codes[REFUSED]

    @property
    def errors(self) -> int:
        """Calls that ended in anything but OK, other than by a refusal."""
        return sum(count for code, count in self.codes.items() if code not in {0, REFUSED, CANCELLED_HERE})

    @property
    def cancelled(self) -> int:
        """Calls that were cancelled by this client before their answer came."""
        return self.codes[CANCELLED_HERE]

    def ms(self, percentile: float) -> float:
        """Latency from the due time, in milliseconds."""
        return round(float(self.latency.get_value_at_percentile(percentile)) / 1000, 3)

    def figures(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "rate": round(self.rate, 1),
            "seconds": round(self.seconds, 2),
            "sent": self.sent,
            "answered": self.answered,
            "decided": self.decided,
            "answers_per_s": round(self.answered / self.seconds, 1) if self.seconds else 0.0,
            "goodput_per_s": round(self.goodput, 1),
            "errors": self.errors,
            "refused": self.refused,
            "late": self.late,
            "late_from_send": self.late_from_send,
            "codes": {str(code): count for code, count in sorted(self.codes.items())},
            "verdicts": dict(self.verdicts),
            "fallbacks": dict(self.fallbacks),
            "fallback_share": round(sum(self.fallbacks.values()) / max(1, self.answered), 5),
            "latency_ms": {f"p{p:g}": self.ms(p) for p in _PERCENTILES}
            | {"max": round(self.latency.get_max_value() / 1000, 3)},
            "from_send_ms": {f"p{p:g}": round(self.service.get_value_at_percentile(p) / 1000, 3) for p in _PERCENTILES},
            "generator_lag_ms": dict(
                zip(("p50", "p99", "max"), (round(v / 1000, 3) for v in self.lag_us), strict=True)
            ),
            "client_cpu_s": round(self.client_cpu_s, 3),
            "server_cpu_s": None if self.server_cpu_s is None else round(self.server_cpu_s, 3),
            "histogram": self.latency.encode().decode(),
        }
