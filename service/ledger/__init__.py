"""The ledger of observations: ingest, queries, training set."""
