"""Metric catalogue, decision log and tracing."""

from modgate.telemetry.catalogue import METRICS, Metric, Metrics
from modgate.telemetry.logs import configure_logs
from modgate.telemetry.observe import GateObserver

__all__ = ["METRICS", "GateObserver", "Metric", "Metrics", "configure_logs"]
