"""The processes that run code under test, seen from outside: started, watched, limited, ended."""
