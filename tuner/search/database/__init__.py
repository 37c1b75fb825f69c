"""Where it is kept: one SQL database with Optuna's tables and our own."""
