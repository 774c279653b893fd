"""gunicorn's main process, as `streetlight serve` runs it: it also keeps a trainer running.

`server.gunicorn_conf` configures gunicorn, `learning.supervisor` starts the trainer.
"""

import os
from functools import partial

from gunicorn.app import base
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter

from streetlight.service.learning.supervisor import Supervisor


class MainProcess(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Starts, replaces and stops the workers, and a trainer if there is a `supervisor`."""

    def __init__(self, app: WSGIApplication, supervisor: Supervisor | None) -> None:
        self._supervisor = supervisor
        super().__init__(app)

    def manage_workers(self) -> None:
        """Start the processes that are missing; gunicorn calls this at least once a second."""
        super().manage_workers()
        if self._supervisor:
            self._supervisor.check()

    def reap_workers(self) -> None:
        """Take notice of processes that have ended; of the trainer first, to learn its status."""
        if self._supervisor:
            self._supervisor.reap()
        super().reap_workers()

    def stop(self, graceful: bool = True) -> None:
        """End all processes."""
        if self._supervisor:
            self._supervisor.terminate()
        super().stop(graceful)
        if self._supervisor:
            self._supervisor.stop()


class Gunicorn(WSGIApplication):  # type: ignore[misc]
    """gunicorn with this main process; `sys.argv` has the options."""

    def __init__(self, supervisor: Supervisor | None) -> None:
        self._supervisor = supervisor
        super().__init__()

    def chdir(self) -> None:
        """Change the directory, and don't add it to the module search path as gunicorn does.

        A user's `flask.py` would otherwise be imported.
        """
        os.chdir(self.cfg.chdir)

    def run(self) -> None:
        """Run the server until a signal ends it."""
        # gunicorn has no setting for the class of its main process.
        base.Arbiter = partial(MainProcess, supervisor=self._supervisor)
        super().run()
