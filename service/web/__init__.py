"""The HTTP interface: the Flask application, its routes and its middleware."""
