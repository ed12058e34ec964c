"""Relations: how a wrong result comes out of the expected one, where arithmetic can tell."""
