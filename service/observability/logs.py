"""Logs: one JSON object a line; plain lines where a person looks on, at a terminal.

What a line is about goes along as `extra=about(…)`. What is said of each request is in
`access_log`.
"""

import json
import logging
import sys
import textwrap
from datetime import UTC, datetime
from typing import Any, TextIO

# Where, in the WSGI environment, the application leaves what else is to be said of a request.
LOG_FIELDS = "streetlight.logged"

# What a person is told besides the message; the rest is in it, or for machines.
TERMINAL_FIELDS = ("duration_ms", "version", "request_id")

_encode = json.JSONEncoder(default=str).encode


def configure() -> None:
    """Let all that is logged in this process go to standard error, in the shape that suits it."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(sys.stderr))
    logging.basicConfig(level="INFO", handlers=[handler])


def formatter(stream: TextIO) -> logging.Formatter:
    """Return what suits whoever reads `stream`."""
    return PlainLines() if stream.isatty() else JsonLines()


def log_fields(**fields: object) -> dict[str, Any]:
    """Return `fields` as what a log call takes as `extra`."""
    return {"about": fields}


class JsonLines(logging.Formatter):
    """An object a line, in ASCII: nothing that is logged can end the line or begin another."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **_log_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line)


class PlainLines(logging.Formatter):
    """A line to read; a traceback follows it, set in, so that it looks like no other line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = record.getMessage()
        if not message.isprintable():
            message = message.encode("unicode_escape").decode()
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = _log_fields(record)
        shown = "".join(f"  {name}={fields[name]}" for name in TERMINAL_FIELDS if fields.get(name))
        line = f"{_time(record).astimezone():%H:%M:%S} {level}{message}{shown}"
        if record.exc_info:
            line += "\n" + textwrap.indent(self.formatException(record.exc_info), "    ")
        return line


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _log_fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "about", {})
    return fields
