"""What comparisons over several workloads say together."""
