"""Metric catalogue, decision log and tracing."""
