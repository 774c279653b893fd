"""The routes of the service's own API, one module a resource."""
