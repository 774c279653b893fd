"""The log format: one JSON object per line, or plain text if the stream is a terminal.

A log call adds fields with `extra=log_fields(…)`. An error that occurs repeatedly is logged once in
`REPEAT_INTERVAL` seconds. The lines for requests are written by `server.access_log`.
"""

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from pydantic_core import to_json

from streetlight.service.observability.trace_context import current_trace

# The key in the WSGI environment of the application's fields for the access log.
LOG_FIELDS = "streetlight.log_fields"

# The fields that a plain line shows after the message.
TERMINAL_FIELDS = ("duration_ms", "version", "request_id", "left_out")

# Seconds in which an error is logged once.
REPEAT_INTERVAL = 10.0
# Characters of a message and of a traceback, which may contain what a client has sent.
MAX_MESSAGE = 1000
MAX_TRACEBACK = 16 * 1024


def configure(level: str) -> None:
    """Send the log records of this process, from `level` on, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(sys.stderr))
    handler.addFilter(RepeatedErrors())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        # At `info`, Alembic names each of its parts when it is imported.
        logging.getLogger("alembic.runtime.plugins").setLevel("WARNING")


def formatter(stream: TextIO) -> logging.Formatter:
    """Return a plain formatter if `stream` is a terminal, otherwise a JSON formatter."""
    return PlainLines() if stream.isatty() else JsonLines()


class RepeatedErrors(logging.Filter):
    """Leave out an error that was logged in the last `REPEAT_INTERVAL` seconds.

    Errors are the same if they have the same type, and the same lines of code raised and logged
    them. The next one that is logged has the number of those left out, in the field `left_out`.
    """

    def __init__(self) -> None:
        super().__init__()
        # When each error is logged again, and the number of those left out.
        self._errors: dict[object, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        if not record.exc_info:
            return True
        kind, _, trace = record.exc_info
        raised = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(trace)][-1:]
        key, now = (kind, *raised, record.pathname, record.lineno), time.monotonic()
        due, left_out = self._errors.get(key, (now, 0))
        if now < due:
            self._errors[key] = (due, left_out + 1)
            return False
        self._errors[key] = (now + REPEAT_INTERVAL, 0)
        if left_out:
            vars(record).update(log_fields(**_log_fields(record), left_out=left_out))
        return True


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
            "message": _shorten(record.getMessage(), MAX_MESSAGE),
            "logger": record.name,
            **_log_fields(record),
        }
        if record.exc_info:
            line["exception"] = _shorten(self.formatException(record.exc_info), MAX_TRACEBACK)
        try:
            return to_json(line, ensure_ascii=True, fallback=str).decode()
        except ValueError:  # it accepts no surrogates, which stand for bytes that aren't UTF-8
            return json.dumps(line, default=str)


class PlainLines(logging.Formatter):
    """One line per record; a traceback follows with an indent, so it can't imitate a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with control characters escaped."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        message = _escape(_shorten(record.getMessage(), MAX_MESSAGE))
        fields = _log_fields(record)
        shown = "".join(f"  {name}={fields[name]}" for name in TERMINAL_FIELDS if fields.get(name))
        lines = [f"{_time(record).astimezone():%H:%M:%S} {level}{message}{shown}"]
        if record.exc_info:
            trace = _shorten(self.formatException(record.exc_info), MAX_TRACEBACK)
            lines += [f"    {_escape(line)}" for line in trace.split("\n")]
        return "\n".join(lines)


def _shorten(text: str, length: int) -> str:
    """Return `text`, without its middle if it is longer than `length`."""
    return text if len(text) <= length else f"{text[: length // 2]} … {text[-length // 2 :]}"


def _escape(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _log_fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "log_fields", {})
    trace = current_trace.get()
    return {**fields, **trace.log_fields()} if trace else fields
