"""``tuner bench fleet``: how many workers one database bears, if they sleep for training.

The workers are real: each is a process with the product's ``Worker``, queue and heartbeat, and
every eighth keeps the comparisons going too, as ``tuner worker`` does once a machine. Only the
training is a sleep, whose length is drawn from a distribution by the trial's seed.
"""
