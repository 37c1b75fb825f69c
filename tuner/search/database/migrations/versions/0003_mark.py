"""Mark our studies in Optuna: others may call an attribute as ours are called."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = "bnn_tuner.format"


def upgrade() -> None:
    """Give every study of ours that Optuna holds the attribute by which it is known."""
    attributes = sa.table(
        "study_user_attributes", sa.column("study_id"), sa.column("key"), sa.column("value_json")
    )
    theirs = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
    ours = sa.table("tuner_studies", sa.column("study_name"))
    made = sa.select(theirs.c.study_id, sa.literal(_KEY), sa.literal("1")).where(
        theirs.c.study_name.in_(sa.select(ours.c.study_name))
    )
    op.execute(attributes.insert().from_select(["study_id", "key", "value_json"], made))


def downgrade() -> None:
    """Take the mark away."""
    attributes = sa.table("study_user_attributes", sa.column("key"))
    op.execute(attributes.delete().where(attributes.c.key == _KEY))
