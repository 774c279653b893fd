"""The application that gunicorn serves: `service.wsgi:app`."""

from service.bootstrap import bootstrap, prepare
from service.settings import load_settings
from service.web import create_app

services = bootstrap(load_settings())
prepare(services)
app = create_app(services)
