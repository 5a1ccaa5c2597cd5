"""The service's log: one line an event on standard error, for people or for machines, always with the pass's id."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from gthulhu_reconcile.runtime.settings_model import LogFormat, LogLevel

Log = structlog.typing.FilteringBoundLogger


class _Forward(logging.Handler):
    """Hands what libraries log to structlog, so that one stream has one form."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure(form: LogFormat, level: LogLevel, stream: TextIO | None = None) -> Log:
    """The log of this process; ``stream`` is standard error where it is not given."""
    target = stream if stream is not None else sys.stderr
    machine = form is LogFormat.JSON or (form is LogFormat.AUTO and not target.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_drawn(machine=machine, colors=target.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.value.upper()]),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    log: Log = structlog.get_logger()
    logging.basicConfig(handlers=[_Forward(log)], level=logging.WARNING, force=True)
    return log


def _drawn(*, machine: bool, colors: bool) -> list[structlog.typing.Processor]:
    if machine:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
