"""What the commands do. Nothing but the command line imports this."""
