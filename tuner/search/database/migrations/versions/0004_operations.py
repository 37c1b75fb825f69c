"""Long work on comparisons that outlives the request for it; signs of life of requests."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of operations, and the column of the signs of life."""
    op.create_table(
        "tuner_operations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("comparison", sa.String(100), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tuner_operations_comparison", "tuner_operations", ["comparison", "id"])
    op.add_column("tuner_requests", sa.Column("alive", sa.Float()))


def downgrade() -> None:
    """Take both away."""
    op.drop_column("tuner_requests", "alive")
    op.drop_table("tuner_operations")
