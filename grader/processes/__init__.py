"""The supervisor's side of the processes that run code under test."""
