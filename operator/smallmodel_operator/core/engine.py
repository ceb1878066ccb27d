"""What the operator sets on llama.cpp's server and the memory estimate counts on."""

from typing import Final

CONTEXT_CHECKPOINTS: Final = 2
"""Copies of a slot's sliding-window (or recurrent) state that the server may keep to go back to. Its own default of 32
is reached after sixteen turns of a conversation. One prompt makes two, near its end: what the next turn needs."""
