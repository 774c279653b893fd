"""The prediction log: what the service has predicted, for which light states, and when."""
