"""Your own GPT at work: `python -m scripts.train`, `scripts.generate`, `scripts.load_gpt2`."""
