"""Studies that others made: found, read without touching them, and compared."""
