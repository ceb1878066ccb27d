"""What is asked of an engine's /metrics, under one name for all engines."""

from typing import Final

RUNNING: Final = "running"
"""Requests that are being answered now."""
WAITING: Final = "waiting"
"""Requests the engine has taken and not begun."""
PROMPT_TOKENS: Final = "prompt_tokens"
"""Tokens of prompts, since it started."""
GENERATED_TOKENS: Final = "generated_tokens"
"""Tokens of answers, since it started."""
EVERY: Final = (RUNNING, WAITING, PROMPT_TOKENS, GENERATED_TOKENS)
