"""Optuna's storage in a SQL database, as this software reads it."""
