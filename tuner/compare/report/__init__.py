"""The comparison for its readers: terminal, JSON, sheets and one HTML page."""

PACKAGES = ("bnn-tuner", "numpy", "scipy", "opda", "optuna", "torch")
"""Those whose versions a page names."""
