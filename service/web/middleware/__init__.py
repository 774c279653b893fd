"""Code that runs for every request: authorization, request ids, errors, headers, metrics."""
