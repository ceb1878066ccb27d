"""What in a request must stay inside: checksummed numbers, addresses, secrets, what a user lists. Pure; fails closed.

    scanner = Scanner(policy)                 # compiles the policy's patterns once; Refused names a bad one
    decide(body, scanner, labels)             # one of two answers, with reasons that never hold what was found

Patterns run on RE2, in time linear in the text, so no pattern and no request can stall a gateway.
"""
