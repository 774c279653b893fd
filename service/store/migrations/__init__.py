"""The migrations of the two schemas, a folder of Alembic revisions for each; see `schema`.

A revision is never changed: it says what the tables were, and imports nothing from `tables`. It
only adds, because servers of the release before may still run on the database.
"""
