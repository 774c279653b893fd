"""Spans of the statements that requests and jobs send to the database."""

from sqlalchemy import Connection, Engine, ExceptionContext, event

from streetlight.service.observability import spans
from streetlight.service.observability.trace_context import Trace, current_trace

# The key in `Connection.info` of the span of the statement that is being executed.
SPAN = "streetlight.span"


def trace_statements(engine: Engine) -> Engine:
    """Let each statement of a trace be a span, if spans are wanted, and return the engine.

    The span has the text of the statement, which contains no values.
    """
    if not spans.is_wanted():
        return engine

    @event.listens_for(engine, "before_cursor_execute")
    def begin(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        trace = current_trace.get()
        if trace is None or trace.span is None:
            return
        operation = statement.split(None, 1)[0]
        fields = {
            "db.system.name": connection.dialect.name,
            "db.operation.name": operation,
            "db.query.text": statement,
        }
        connection.info[SPAN] = spans.begin(operation, "CLIENT", trace, fields)

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Connection, *_: object) -> None:
        spans.end(connection.info.pop(SPAN, None))

    @event.listens_for(engine, "handle_error")
    def fail(context: ExceptionContext) -> None:
        connection: Connection | None = context.connection
        if connection is not None and not connection.invalidated:
            trace: Trace | None = connection.info.pop(SPAN, None)
            spans.end(trace, error=type(context.original_exception).__name__)

    return engine
