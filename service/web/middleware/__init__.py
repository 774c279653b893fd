"""What applies to every request: auth, request ids, errors, compression, instrumentation."""
