"""Violations, windows and sanctions."""
