"""Stored content of requests: encrypted under a key of the person it is about, so that a destroyed key erases it.

Owns the keys of subjects (keyring), what is written of one request and what a record says of it (sealed), and what is
left of it later (state). Pure: files are the caller's.
"""
