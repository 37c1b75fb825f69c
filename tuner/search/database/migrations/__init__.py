"""How our tables came to be, one numbered file per change (Alembic)."""
