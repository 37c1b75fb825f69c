"""Runs the migrations on the connection that ``tuner.search.database.opening`` hands over."""

from alembic import context

from tuner.search.database.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
