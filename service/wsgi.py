"""The application that gunicorn serves: `service.wsgi:app`."""

from service.bootstrap import bootstrap
from service.settings import load_settings
from service.web import create_app

app = create_app(bootstrap(load_settings()))
