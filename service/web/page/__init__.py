"""The demonstration page, the tutorial, the API documentation page, and their static files."""
