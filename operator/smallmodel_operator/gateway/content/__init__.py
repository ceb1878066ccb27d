"""What routes with `audit.content` keep of requests: made here before a decision is recorded, written by the record.

Owns whose a request is and under which key it is kept (keys), what is kept (keeping), and what becomes of keys that
are destroyed elsewhere (part). Key and cipher are audit/content, the file is gateway/record/beside.
"""
