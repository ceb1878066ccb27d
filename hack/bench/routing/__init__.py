"""How good the choice of a model is, and what the detectors find and cost."""
