"""The gunicorn worker, its configuration, the access log and the WSGI entry point."""
