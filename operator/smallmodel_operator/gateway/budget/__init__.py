"""Budgets at one gateway: reserved before a request goes, settled from the access log, kept on the gateway's own disk.

What is decided is `smallmodel_operator.budget`'s. Here is what goes wrong around it: where the registers cannot be
reached, what was granted may be used up and then nothing; where the disk cannot be written, nothing goes at all.
"""
