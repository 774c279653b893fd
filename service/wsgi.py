"""The application that gunicorn serves: `service.wsgi:app`."""

import logging

from sqlalchemy.exc import DBAPIError

from service.bootstrap import bootstrap, prepare
from service.settings import load_settings
from service.web import create_app

services = bootstrap(load_settings())
try:
    prepare(services)
except (OSError, DBAPIError):
    logging.getLogger(__name__).exception("no ledger; predictions go on without it")
# A connection must not be shared by the workers that are forked from here.
services.engine.dispose()
app = create_app(services)
