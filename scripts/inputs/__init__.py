"""What the scripts read: texts, messages, instructions, vocabularies, and models as the hub has them."""
