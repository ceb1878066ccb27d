"""Quality: golden prompts, the gate before a version takes traffic, and the probe while it serves.

Owns the format of golden prompts, what counts as answered, the paired statistics, and the Job of a version that is
tried. Reads what trials came to. Reports `QualityMet`. Never asks a model itself, and never says what a prompt says.
"""
