"""Structured logs on standard error: JSON for machines, or lines for people."""

import logging
import sys
from typing import TextIO

import structlog

__all__ = ["configure_logs"]


def configure_logs(level: str = "info", form: str = "json", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: `json` or `console`.
        stream: Where to; standard error by default.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    # What libraries log takes the same form: a line that is no JSON breaks whoever reads the others.
    foreign = logging.StreamHandler(stream or sys.stderr)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[foreign], force=True)
