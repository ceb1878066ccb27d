"""SmallModel operator: small language models, declared, enforced and proved."""

__version__ = "0.1.0"
