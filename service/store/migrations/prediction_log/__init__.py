"""The revisions of the schema of the prediction log."""
