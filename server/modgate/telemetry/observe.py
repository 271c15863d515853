"""Feeds metrics and the decision log from what the gate and the runner do."""

import hashlib
import traceback
from functools import lru_cache

import structlog

from modgate.detectors.base import DetectorError
from modgate.detectors.faults import FaultError
from modgate.gate import Decision, FallbackReason
from modgate.rules.ruleset import Verdict
from modgate.telemetry.catalogue import Metrics

__all__ = ["GateObserver"]


class GateObserver:
    """Counts decisions and failures, and logs decisions that did something. The text is never logged by default."""

    def __init__(self, metrics: Metrics, *, log_text: bool = False, log_decisions: str = "notable") -> None:
        """Bind the metrics that every message touches.

        Args:
            metrics: The catalogue.
            log_text: Whether decision log lines carry the message's text.
            log_decisions: `all`, `notable` (no plain ALLOW, nor one under overload) or `none`.
        """
        self._log = structlog.get_logger("modgate.decision")
        self._log_text = log_text
        self._log_all = log_decisions == "all"
        self._log_notable = log_decisions in {"all", "notable"}
        requests = metrics.counter("requests")
        self._verdicts = {verdict: requests.labels(verdict.name) for verdict in Verdict}
        self._seconds = metrics.tally("request_seconds").of()
        self._fallbacks = metrics.counter("fallbacks")
        self._hits = lru_cache(4096)(metrics.counter("rule_hits").labels)
        self._shadow_hits = lru_cache(4096)(metrics.counter("rule_shadow_hits").labels)
        self._detector_seconds = metrics.tally("detector_seconds").of
        self._failures = metrics.counter("detector_failures")
        self._batch_size = lru_cache(64)(metrics.histogram("batch_size").labels)
        self._model_seconds = lru_cache(64)(metrics.histogram("model_seconds").labels)

    def decided(self, decision: Decision) -> None:
        """Count a decision; log it if it is notable."""
        self._verdicts[decision.verdict].inc()
        self._seconds.observe(decision.elapsed)
        for name, seconds in decision.timings.items():
            self._detector_seconds(name).observe(seconds)
        if decision.matches:
            for rule, shadow in {(match.rule_id, match.shadow) for match in decision.matches}:
                (self._shadow_hits if shadow else self._hits)(rule).inc()
        if decision.fallback is not None:
            self._fallbacks.labels(decision.fallback.reason.name, decision.fallback.applied.name).inc()
        fallback = decision.fallback
        # Under overload a line for every message would be more load; modgate_fallbacks_total counts them.
        worth_telling = fallback is not None and fallback.reason is not FallbackReason.OVERLOAD
        notable = decision.verdict is not Verdict.ALLOW or decision.flagged or worth_telling
        if self._log_all or (notable and self._log_notable):
            self._write(decision)

    def detector_failed(self, detector: str, error: Exception) -> None:
        """Count and log a failure. A detector's own words never quote a message; other exceptions' words might."""
        self._failures.labels(detector).inc()
        told: dict[str, str] = {}
        if isinstance(error, DetectorError | FaultError):
            told["detail"] = str(error)[:200]
        elif error.__traceback__ is not None:
            last = traceback.extract_tb(error.__traceback__)[-1]
            told["at"] = f"{last.filename}:{last.lineno}"
        self._log.warning("detector failed", detector=detector, error=type(error).__name__, **told)

    def batch_ran(self, model: str, jobs: int, seconds: float, units: float) -> None:
        """Count a batch; called from a worker thread."""
        del units
        self._batch_size(model).observe(jobs)
        self._model_seconds(model).observe(seconds)

    def _write(self, decision: Decision) -> None:
        message = decision.message
        fields: dict[str, object] = {
            "decision_id": decision.id,
            "verdict": decision.verdict.name,
            "flagged": decision.flagged,
            "app_id": message.app_id,
            "conversation": _pseudonym(message.conversation.id),
            "sender": _pseudonym(message.sender.id),
            "rules": sorted({match.rule_id for match in decision.matches if not match.shadow}),
            "labels": sorted({match.label for match in decision.matches if not match.shadow}),
            "elapsed_ms": round(decision.elapsed * 1000, 2),
            "ruleset": decision.ruleset_revision,
        }
        if decision.fallback is not None:
            fields["fallback"] = decision.fallback.reason.name
            fields["unfinished"] = list(decision.fallback.unfinished)
        if self._log_text:
            fields["text"] = message.text
        self._log.info("decision", **fields)


def _pseudonym(identifier: str) -> str:
    """Return a short digest that lets lines of one user be put together without naming the user."""
    return hashlib.blake2s(identifier.encode("utf-8", "replace"), digest_size=6).hexdigest() if identifier else ""
