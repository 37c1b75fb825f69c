"""Add what the service needs: studies, workers, keys, requests, events, and states."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FIRST_VERSION = "0.1.0"


def upgrade() -> None:
    """Make the tables, and give what was declared before a state and its studies."""
    new = (
        sa.Column("status", sa.String(10), nullable=False, server_default="active"),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("code_version", sa.String(40), nullable=False, server_default=_FIRST_VERSION),
        sa.Column("served", sa.Float),
    )
    for column in new:
        op.add_column("tuner_comparisons", column)
    op.create_index("ix_tuner_comparisons_created", "tuner_comparisons", ["created", "name"])
    studies = op.create_table(
        "tuner_studies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "comparison", sa.String(100), sa.ForeignKey("tuner_comparisons.name"), nullable=False
        ),
        sa.Column("study_name", sa.String(300), nullable=False, unique=True),
        sa.Column("arm", sa.String(100), nullable=False),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("retrain", sa.Boolean, nullable=False),
        sa.Column("n_trials", sa.Integer, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("batch", sa.Integer),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tuner_studies_comparison", "tuner_studies", ["comparison"])
    op.create_table(
        "tuner_workers",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("code_version", sa.String(40), nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("study_name", sa.String(300)),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("finished", sa.Integer, nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("training_seconds", sa.Float, nullable=False),
        sa.Column("message", sa.Text),
    )
    op.create_index("ix_tuner_workers_last_seen", "tuner_workers", ["last_seen"])
    op.create_table(
        "tuner_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(40), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("revoked", sa.Float),
    )
    op.create_table(
        "tuner_requests",
        sa.Column("owner", sa.String(40), primary_key=True),
        sa.Column("idempotency_key", sa.String(200), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "tuner_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("comparison", sa.String(100)),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tuner_events_comparison", "tuner_events", ["comparison", "id"])
    _fill(studies)


def _fill(studies: sa.Table) -> None:
    """A row for each study of the comparisons that are there, from their declarations."""
    comparisons = sa.table("tuner_comparisons", sa.column("name"), sa.column("spec"))
    connection = op.get_bind()
    for name, text in connection.execute(sa.select(comparisons.c.name, comparisons.c.spec)).all():
        spec = json.loads(text)
        repeats, arms = spec["repeats"], [arm["name"] for arm in spec["arms"]]
        rows = [
            (f"{name}/{arm}" if repeats == 1 else f"{name}/{arm}/{repeat}", arm, repeat, False)
            for repeat in range(repeats)
            for arm in arms
        ]
        if spec["retrain_seeds"]:
            rows += [(f"{name}/{arm}/retrain", arm, 0, True) for arm in arms]
        for study_name, arm, repeat, retrain in rows:
            connection.execute(
                studies.insert().values(
                    comparison=name,
                    study_name=study_name,
                    arm=arm,
                    repeat=repeat,
                    retrain=retrain,
                    n_trials=spec["retrain_seeds"] if retrain else spec["n_trials"],
                    status="active",
                    revision=1,
                )
            )


def downgrade() -> None:
    """Drop the new tables and columns."""
    for table in ("events", "requests", "keys", "workers", "studies"):
        op.drop_table(f"tuner_{table}")
    op.drop_index("ix_tuner_comparisons_created", "tuner_comparisons")
    with op.batch_alter_table("tuner_comparisons") as batch:
        for column in ("status", "revision", "code_version", "served"):
            batch.drop_column(column)
