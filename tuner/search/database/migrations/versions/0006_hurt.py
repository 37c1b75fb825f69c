"""Count how often a trial's worker died, and say why a comparison cannot be kept going."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTS = ("deaths", "losses")


def upgrade() -> None:
    """Nothing is known of what died before."""
    for name in _COUNTS:
        count = sa.Column(name, sa.Integer, nullable=False, server_default="0")
        op.add_column("tuner_trials", count)
    op.add_column("tuner_comparisons", sa.Column("trouble", sa.Text))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("tuner_comparisons", "trouble")
    for name in _COUNTS:
        op.drop_column("tuner_trials", name)
