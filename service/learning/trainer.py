"""The trainer: a process that takes one job after another, and the one that keeps it alive.

What a job does is in `retraining`.
"""

import logging
import os
import socket
import uuid

from sqlalchemy.exc import DBAPIError

from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.learning.supervisor import install_stop_signals
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
    end = install_stop_signals()
    os.nice(NICE)
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    log.info("trainer %s waits for jobs", owner)

    def should_stop() -> bool:
        return end.is_set() or os.getppid() != parent

    while not should_stop():
        try:
            held = acquire_lease(services.engine, owner, services.settings.job_lease)
            if held:
                run_job(services, held, should_stop)
                continue
            submit_if_due(services)
        except DBAPIError:
            log.exception("the database failed; trying again")
        end.wait(POLL_SECONDS)
