"""What PostgreSQL does about clients that are frozen or cut off in the middle of a transaction.

They would hold their locks for ever, and all who need them would wait as long. What fails so is
done again by whoever wanted it: at a worker's next beat, the keeper's next round, after a 503.

Behind a pooler that hands out its connections for a transaction each, as PgBouncer does, nothing
said outside a transaction is said to the connection that the next one gets.
"""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.pool import ConnectionPoolEntry

UNANSWERED_MILLISECONDS = 60_000
"""So long the system waits for the other side to acknowledge what was sent."""

LIMITS = {"lock_timeout": "10s", "statement_timeout": "10min"}
"""How long a statement waits for a lock, and how long it takes."""

FROZEN_SECONDS = 40
"""A transaction that writes may be idle for so long before PostgreSQL ends it: less than a lease
that was renewed before it began."""

_OF_A_CONNECTION = {
    "idle_in_transaction_session_timeout": "10min",
    "tcp_user_timeout": f"{UNANSWERED_MILLISECONDS}ms",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
}
"""Who only reads holds up nobody, and may think about thousands of trials meanwhile."""

_POOLED = "behind a pooler"


def set_limits(connection: Any, record: ConnectionPoolEntry) -> None:  # Any: a DBAPI connection
    """When psycopg has connected: set the limits, by statements, since poolers refuse options.

    A pooler between is known by this: the process that it says it connected to is not the one
    that answers. Then each transaction sets its own, and no statement is prepared: the next
    transaction would be another connection's.
    """
    try:
        (answers,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        record.info[_POOLED] = answers != connection.info.backend_pid
        if record.info[_POOLED]:
            connection.prepare_threshold = None
        else:
            connection.execute(_statements("SET", LIMITS | _OF_A_CONNECTION))
        connection.commit()
    except Exception:  # SQLAlchemy closes no connection that it was not given
        connection.close()
        raise


def limit_idleness(connection: Connection) -> None:
    """Have the transaction end if its client is frozen: others may wait for what it has locked."""
    if connection.dialect.name == "postgresql":
        limits = {"idle_in_transaction_session_timeout": f"{FROZEN_SECONDS}s"}
        if connection.info.get(_POOLED):
            limits |= LIMITS
        connection.exec_driver_sql(_statements("SET LOCAL", limits))


def _statements(command: str, limits: dict[str, str]) -> str:
    return "; ".join(f"{command} {name} = '{limit}'" for name, limit in limits.items())
