"""The application that gunicorn serves: `streetlight.service.server.wsgi:app`."""

import logging

from sqlalchemy.exc import DBAPIError

from streetlight.service.config import load_settings
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services, prepare

services = build_services(load_settings())
try:
    prepare(services)
except (OSError, DBAPIError):
    logging.getLogger(__name__).exception("no ledger; predictions go on without it")
# A connection must not be shared by the workers that are forked from here.
services.engine.dispose()
app = create_app(services)
