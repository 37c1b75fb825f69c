"""What of the set-up of this machine, its server and its database is in the way, and what helps.

One check is one function and one line in ``checks.CHECKS``. Nothing is made, changed or
downloaded: a database that is not there is not made, tables are not brought up to date.
"""
