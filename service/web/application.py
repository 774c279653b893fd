"""The Flask application, with typed attributes for what its views and the server use."""

from typing import cast

from flask import Flask, current_app

from streetlight.service.web.static_content import StaticContent
from streetlight.service.wiring import Services


class Application(Flask):
    """The WSGI application.

    Attributes:
        services: the settings, the model repository and the database that the views use.
        database_paths: how the paths begin whose views use the database.
        openapi: the OpenAPI document as JSON; `None` until it is first requested.
    """

    services: Services
    database_paths: tuple[str, ...] = ()
    openapi: StaticContent | None = None

    def uses_database(self, path: str) -> bool:
        """Return whether the view for `path` may use the database."""
        return path.startswith(self.database_paths)


def application() -> Application:
    """Return the application that serves the current request."""
    return cast(Application, current_app)


def services() -> Services:
    """Return the services of the application that serves the current request."""
    return application().services
