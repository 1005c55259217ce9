"""A small web shop, made to be watched while it breaks.

`gateway` takes what nginx passes on and asks `orders` and `inventory`; both
keep what they know in PostgreSQL. `load` is the customers, `shipper` sends the
logs of nginx and PostgreSQL where the services send theirs. Nothing in here
pretends: there is no switch that makes a request fail.
"""
