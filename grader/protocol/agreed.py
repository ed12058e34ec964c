"""What both sides of the channel agree on; importable without torch."""

# The pseudo-check under which the import of the subject is reported.
IMPORT_CHECK = "import"
# The name of the file in the scratch folder where the subject process notes the line it hangs on.
TRACE_FILE = "where.txt"
# What a spare interpreter writes to its channel once it can take work.
READY = b"\n"
# What the supervisor sends to the zygote, together with descriptors, to have one child more.
START = b"+"
# What these make runs out of sight of the watch on forbidden operations: where there is one, they are refused.
OUT_OF_SIGHT = ("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.jit.trace_module")
