"""The application that gunicorn serves: `streetlight.service.server.wsgi:app`."""

from streetlight.service.config import load_settings
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services, initialize_if_possible

services = build_services(load_settings())
initialize_if_possible(services)
# gunicorn forks the workers from this process, and they must not share a connection.
services.engine.dispose()
if services.prediction_log:
    services.prediction_log.dispose()
app = create_app(services)
