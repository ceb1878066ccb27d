"""Debian's Chromium, in a root of its own without a network: what a page looks like, and what it tries to do."""
