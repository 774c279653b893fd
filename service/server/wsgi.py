"""The application that gunicorn serves: `streetlight.service.server.wsgi:app`."""

import logging

from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import LockedError
from streetlight.service.config import load_settings
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services, initialize_ledger

services = build_services(load_settings())
try:
    initialize_ledger(services)
except (OSError, DBAPIError, LockedError):
    logging.getLogger(__name__).exception(
        "could not initialize the ledger; predictions are answered without it"
    )
# gunicorn forks the workers from this process, and they must not share a connection.
services.engine.dispose()
app = create_app(services)
