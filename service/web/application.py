"""The Flask application as views and the server see it: its services and its fast path."""

from typing import cast

from flask import Flask, current_app

from streetlight.service.web.response import FastPath
from streetlight.service.wiring import Services


class Application(Flask):
    """The WSGI application.

    Attributes:
        services: the parts that the views call.
        fast_path: answers plain predictions from the bytes of their requests, without Flask.
    """

    services: Services
    fast_path: FastPath


def services() -> Services:
    """Return the services of the application that serves the current request."""
    return cast(Application, current_app).services
