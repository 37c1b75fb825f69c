"""Remember which version of the user's code the first trials of a comparison ran."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is said of what ran before."""
    op.add_column("tuner_comparisons", sa.Column("own_code", sa.Text))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("tuner_comparisons", "own_code")
