"""The SQL database: engine, tables, schema, timestamps, idempotency keys."""
