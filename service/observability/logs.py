"""The log format: one JSON object per line, or plain text if the stream is a terminal.

A log call adds fields with `extra=log_fields(…)`. The lines for requests are written by
`server.access_log`.
"""

import logging
import sys
import textwrap
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from pydantic_core import to_json

# The key in the WSGI environment of the application's fields for the access log.
LOG_FIELDS = "streetlight.log_fields"

# The fields that a plain line shows after the message.
TERMINAL_FIELDS = ("duration_ms", "version", "request_id")


def configure() -> None:
    """Send the log records of this process, from the level INFO on, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(sys.stderr))
    logging.basicConfig(level="INFO", handlers=[handler])


def formatter(stream: TextIO) -> logging.Formatter:
    """Return a plain formatter if `stream` is a terminal, otherwise a JSON formatter."""
    return PlainLines() if stream.isatty() else JsonLines()


def log_fields(**fields: object) -> dict[str, Any]:
    """Return the argument `extra` of a log call that adds `fields` to the line."""
    return {"log_fields": fields}


class JsonLines(logging.Formatter):
    """One JSON object per line, in ASCII, so that no logged text can start a new line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line without its end."""
        line = {
            "time": f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03}+00:00",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **_log_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return to_json(line, ensure_ascii=True, fallback=str).decode()


class PlainLines(logging.Formatter):
    """One line per record; a traceback follows with an indent, so it can't imitate a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text; a message with control characters is escaped."""
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


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _log_fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "log_fields", {})
    return fields
