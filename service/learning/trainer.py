"""The trainer: a process that takes one job after another, and the one that keeps it alive.

What a job does is in `retraining`.
"""

import logging
import os
import socket
import uuid

from sqlalchemy.exc import DBAPIError

from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job_runner import work_on
from streetlight.service.learning.lease import claim
from streetlight.service.learning.supervisor import ending
from streetlight.service.wiring import Services

POLL_SECONDS = 0.25
LONGEST_PAUSE = 30.0
# A prediction doesn't wait for a training to make room: docs/decisions/0015.
NICE = 10

log = logging.getLogger(__name__)


def work(services: Services, parent: int) -> None:
    """Take jobs until a signal, or the end of the parent, says to stop.

    The job under way goes back into the queue then.
    """
    end = ending()
    os.nice(NICE)
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    log.info("trainer %s waits for jobs", owner)

    def is_ending() -> bool:
        return end.is_set() or os.getppid() != parent

    while not is_ending():
        try:
            held = claim(services.engine, owner, services.settings.job_lease)
            if held:
                work_on(services, held, is_ending)
                continue
            submit_if_due(services)
        except DBAPIError:
            log.exception("the database failed; trying again")
        end.wait(POLL_SECONDS)
