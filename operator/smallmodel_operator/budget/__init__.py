"""Budgets of routes: what may be used in a day or a month, counted before a request goes, by all gateways. Pure.

What all gateways share is a register (register.py): of each counter, how much each gateway was granted. A gateway uses
up what it was granted by itself (purse.py) and asks for more when it runs short, so that nobody is asked for most
requests. Nothing is used that was not granted, and no more is granted than the limit.
"""
