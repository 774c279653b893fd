"""The demonstration page, the API documentation page, and their static files."""
