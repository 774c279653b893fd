"""Code that runs for every request: auth, request ids, errors, compression, instrumentation."""
