"""The answer of a suite for its readers: terminal, JSON, HTML."""
