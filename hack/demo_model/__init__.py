"""Trains the demo's tiny support-desk model: phrasings -> corpus -> tokenizer -> Llama network -> GGUF."""
