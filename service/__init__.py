"""The service around the model: settings, command line, and HTTP in `service.web`."""
