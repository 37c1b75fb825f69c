"""Estimators over many arms at once."""
