"""A training at the terminal: where it is kept, what is shown, how it stops and goes on."""
