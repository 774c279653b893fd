"""The Flask application, with typed attributes for what its views and the server use."""

from typing import Any, cast

from flask import Flask, current_app

from streetlight.service.web.response import FastPath
from streetlight.service.wiring import Services


class Application(Flask):
    """The WSGI application.

    Attributes:
        services: the settings, the model repository and the database that the views use.
        fast_path: answers simple prediction requests from their bytes, without Flask.
        openapi: the OpenAPI document; `None` until it is first requested.
    """

    services: Services
    fast_path: FastPath
    openapi: dict[str, Any] | None = None


def application() -> Application:
    """Return the application that serves the current request."""
    return cast(Application, current_app)


def services() -> Services:
    """Return the services of the application that serves the current request."""
    return application().services
