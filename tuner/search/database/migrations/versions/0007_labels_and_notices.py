"""Add what people write on comparisons, and the notices that are yet to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the tables."""
    for column in (
        sa.Column("notes", sa.Text, nullable=False, server_default=""),
        sa.Column("tags", sa.Text, nullable=False, server_default=""),
        sa.Column("archived", sa.Float),
    ):
        op.add_column("tuner_comparisons", column)
    op.create_table(
        "tuner_notices",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("comparison", sa.String(100), nullable=False),
        sa.Column("occasion", sa.String(60), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.Float),
        sa.Column("sent", sa.Float),
        sa.Column("failure", sa.Text),
        sa.UniqueConstraint("comparison", "occasion", "channel"),
    )
    op.create_index("ix_tuner_notices_due", "tuner_notices", ["due"])
    op.create_table(
        "tuner_marks",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("tuner_marks")
    op.drop_table("tuner_notices")
    with op.batch_alter_table("tuner_comparisons") as batch:
        for column in ("notes", "tags", "archived"):
            batch.drop_column(column)
