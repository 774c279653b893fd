"""The Flask application, with typed attributes for its services and its fast path."""

from typing import cast

from flask import Flask, current_app

from streetlight.service.web.response import FastPath
from streetlight.service.wiring import Services


class Application(Flask):
    """The WSGI application.

    Attributes:
        services: the settings, the model repository and the database that the views use.
        fast_path: answers simple prediction requests from their bytes, without Flask.
    """

    services: Services
    fast_path: FastPath


def services() -> Services:
    """Return the services of the application that serves the current request."""
    return cast(Application, current_app).services
