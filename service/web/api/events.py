"""The event stream of the service; `jobs` has that of one job."""

from flask import Blueprint, Response

from streetlight.service.web.event_stream import SERVICE, event_stream
from streetlight.service.web.openapi.operation import ResponseSpec, operation

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@operation(responses={200: ResponseSpec(media_types=["text/event-stream"])})
def follow() -> Response:
    """Stream the changes in the service as server-sent events.

    The stream starts with the current state: an event of each kind, and one for each job that
    hasn't ended and for the last ten that have. An event follows within a second of each change,
    until the client disconnects or the worker stops; of changes in quick succession, and to a slow
    client, only the last is sent. The data is JSON: of `observations`, `total`, `withdrawn` and the
    id of the `latest`; of `live`, the number of the `live` version; of `versions`, the number of
    the `newest` and their `count`; of `jobs`, one job; with PostgreSQL, of `hosts`, the `hosts` of
    `GET /hosts`. A worker with its maximum number of streams
    returns 503.
    """
    return event_stream(SERVICE, instead="poll GET /versions and GET /jobs")
