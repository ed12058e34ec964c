"""The reference: every exercise with its bodies. `exercises/` is derived from these files."""
