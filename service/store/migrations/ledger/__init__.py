"""The revisions of the ledger's schema."""
