"""Estimators: arrays in, estimates out. They know numpy, scipy and opda, and no other room."""
