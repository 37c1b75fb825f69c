"""Workers on the nodes of a Ray cluster: Ray places them and starts them again.

What is to be run, who runs it and until when stays in the database, with its leases. Ray keeps how
many workers there are to be, and an actor for each.
"""
