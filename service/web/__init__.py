"""The HTTP interface: Flask is imported here and nowhere else.

A module a resource. A view parses, calls one function of `service`, and answers.
"""

from flask import Flask

from service.bootstrap import Services
from service.web import (
    access,
    docs,
    errors,
    health,
    home,
    invocations,
    jobs,
    measuring,
    metrics,
    observations,
    openapi,
    predict,
    quick,
    request_id,
    step,
    v1,
    v2,
    v2_repository,
    versions,
)
from service.web.exchange import Number


def create_app(services: Services) -> Flask:
    """Return the WSGI application, all its parts in order."""
    app = Flask("streetlight", static_folder=None)
    app.url_map.converters["int"] = Number
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    app.extensions["streetlight"] = services
    app.extensions["quick"] = quick.quick_door(services)
    measuring.init_app(app)
    request_id.init_app(app)
    errors.init_app(app)
    access.init_app(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(predict.blueprint)
    app.register_blueprint(step.blueprint)
    app.register_blueprint(observations.blueprint)
    app.register_blueprint(jobs.blueprint)
    app.register_blueprint(versions.blueprint)
    app.register_blueprint(v1.blueprint)
    app.register_blueprint(v2.blueprint)
    app.register_blueprint(v2_repository.blueprint)
    invocations.init_app(app, services.settings)
    app.register_blueprint(openapi.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(home.blueprint)
    return app
