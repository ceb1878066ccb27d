"""The image of a recognizer: Presidio's analyzer with a blank spaCy, which needs no model and no network."""
