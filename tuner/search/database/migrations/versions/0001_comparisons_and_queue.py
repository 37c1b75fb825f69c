"""Make the table of comparisons and the queue of trials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "tuner_comparisons",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("declaration_hash", sa.String(64), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "tuner_trials",
        sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column(
            "comparison", sa.String(100), sa.ForeignKey("tuner_comparisons.name"), nullable=False
        ),
        sa.Column("study_name", sa.String(300), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_expires", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("value", sa.Float),
        sa.UniqueConstraint("study_name", "position"),
    )
    op.create_index(
        "ix_tuner_trials_queue", "tuner_trials", ["comparison", "state", "study_name", "position"]
    )
    op.create_index("ix_tuner_trials_worker", "tuner_trials", ["worker", "state"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("tuner_trials")
    op.drop_table("tuner_comparisons")
