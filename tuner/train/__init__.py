"""How it is trained: K trials of one workload as one program."""
