"""The application that gunicorn serves: `streetlight.service.server.wsgi:app`."""

from contextlib import suppress

from streetlight.service.config.sources import load_settings
from streetlight.service.registry.follower import FAILURES, join
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services, initialize_if_possible

services = build_services(load_settings())
initialize_if_possible(services)
if isinstance(services.repository, SharedRepository) and services.ledger_ready.is_set():
    with suppress(*FAILURES):  # the follower logs them
        join(services.repository, services.settings.data_dir)
# gunicorn forks the workers from this process, and they must not share a connection.
services.engine.dispose()
if services.prediction_log:
    services.prediction_log.dispose()
app = create_app(services)
