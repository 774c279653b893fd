"""How gunicorn serves: its settings, and what it says when it starts.

`streetlight serve` names this file; so may whoever starts gunicorn without it:
`gunicorn -c python:streetlight.service.server.gunicorn_conf streetlight.service.server.wsgi:app`.
"""

import resource
import shutil
import signal
import tempfile
from typing import Any

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.config import load_settings
from streetlight.service.observability import logs, metrics

logs.configure()
_settings = load_settings()
_counts = tempfile.mkdtemp(prefix="streetlight-metrics-")
metrics.share_counters(_counts)
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
workers = _settings.workers
# A worker is a fork of what is loaded already: it is there at once, and shares that memory.
preload_app = True
worker_class = "streetlight.service.server.worker.DrainingWorker"
# Half of them may be taken by those who follow jobs.
threads = 12
keepalive = 75
# Each is a file, of which a process may open a limited number.
worker_connections = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128)
# The one whose errors and limits the tests know, whatever else is installed.
http_parser = "python"
# None that a client could set: they would change what its path is taken for.
forwarder_headers = ""
# A socket for each worker, so that the kernel spreads connections over them.
reuse_port = True
control_socket_disable = True
logger_class = "streetlight.service.server.access_log.AccessLog"
accesslog = "-"
graceful_timeout = 30
proc_name = "streetlight"


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's Arbiter has no types
    """Warn where anyone may change state."""
    if _settings.api_key is None:
        server.log.warning(
            "STREETLIGHT_API_KEY is not set: whoever reaches this port may change what is live"
        )


def pre_fork(server: Any, worker: Any) -> None:  # noqa: ANN401 - likewise
    """Give a worker the first place that is free, to count in."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(n for n in range(len(taken) + 1) if n not in taken)


def post_fork(_server: Any, worker: Any) -> None:  # noqa: ANN401 - likewise
    """Let it count there."""
    metrics.worker_slot = str(worker.slot)


def on_exit(_server: Any) -> None:  # noqa: ANN401 - likewise
    """Leave nothing behind."""
    shutil.rmtree(_counts, ignore_errors=True)


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's Worker has no types
    """Stop without a deadlock; and, from the first worker, say where it listens and what to try."""
    # gunicorn's quick stop shuts the thread pool down inside a signal handler, and hangs until
    # graceful_timeout where the signal came while the pool was being given a request.
    for quick in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(quick, worker.handle_exit)
    if worker.age != 1:
        return
    version = ModelRepository(_settings.models_dir).live()
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
    url = f"http://{everywhere.get(_settings.host, _host)}:{_settings.port}"
    lights = [f"{light:g}" for light in version.dataset().lights[0]] if version else []
    print(
        f"\nStreetlight listens on {url} with {workers} worker{'s'[: workers > 1]}. Try:\n\n"
        f"  curl {url}/predict -d '{{\"lights\": [{', '.join(lights)}]}}'\n",
        flush=True,
    )
