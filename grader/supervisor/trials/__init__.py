"""Forbidden acts, to be tried in a throwaway process."""
