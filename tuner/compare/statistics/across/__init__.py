"""Estimators over several workloads: each workload's own estimates in, one estimate out."""
