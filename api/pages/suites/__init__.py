"""The pages of suites: comparisons over several workloads, answered as one."""
