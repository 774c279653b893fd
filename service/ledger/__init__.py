"""The ledger of observations: ingest, queries, idempotency keys, training set."""
