"""Run the migrations in the transaction that `schema` began; Alembic loads this module."""

from alembic import context

context.configure(**context.config.attributes)
context.run_migrations()
