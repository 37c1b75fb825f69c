"""The REST layer. It imports ``tuner``; ``tuner`` never imports it."""
