"""Models as the Hugging Face hub has them, read for the scripts, and in the sandbox for the scene of ex14."""
