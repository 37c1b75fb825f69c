"""Fleets in the database: what their managers say of them, and what people want of them."""
