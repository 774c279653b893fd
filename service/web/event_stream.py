"""The response that starts a stream of server-sent events (WHATWG HTML, 9.2).

`server.event_streams` sends the events behind it.
"""

from flask import Response, request

from streetlight.service.web.response import json_response

# Event streams of a worker. Each is a connection, of which some are left for other requests.
MAX_EVENT_STREAMS = 2000
# Milliseconds after which a browser connects again, by itself after some seconds.
RETRY = b"retry: 1000\n\n"

# Keys in the WSGI environment. The server sets the number of its event streams. If a view sets what
# the client follows, the server sends the events behind the response.
STREAM_COUNT = "streetlight.stream_count"
FOLLOWED = "streetlight.followed"
# The number of a job and its last known revision; `SERVICE` for all that happens in the service.
Followed = tuple[int | None, int]
SERVICE: Followed = (None, 0)


def event_stream(followed: Followed, *, instead: str) -> Response:
    """Return the response after which the server sends the events of `followed`.

    A worker with its maximum number of streams returns 503, and says what to do `instead`.
    """
    if request.environ.get(STREAM_COUNT, 0) >= MAX_EVENT_STREAMS:
        message = f"this worker has reached its limit of {MAX_EVENT_STREAMS} event streams; "
        response = json_response({"error": f"{message}{instead} instead"}, 503)
        response.headers["Retry-After"] = "5"
        return response
    if request.method == "GET":
        request.environ[FOLLOWED] = followed
    response = Response(iter([RETRY]), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response
