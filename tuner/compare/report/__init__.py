"""The comparison for its readers: terminal, JSON, sheets and one HTML page."""
