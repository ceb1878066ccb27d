"""Audit: one chained record for every answer a gateway gave, and the proof that none was changed or taken away.

Owns what a record is and how it is written down (record), who signs for how many there are (sign), what the numbers of
requests and of records say together (completeness), how files are checked without a cluster (verify),
and stored content of requests, encrypted (content).
Reads nothing and writes nothing: gateway/record/ keeps the files, `slm audit` reads them.
Records never have a prompt, an answer or a credential: the access log they are made from has none.
"""
