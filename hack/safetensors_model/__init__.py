"""A small model as publishers ship it (config.json, a tokenizer, safetensors), trained here from a few sentences."""
