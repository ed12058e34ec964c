"""What the authors of the course wrote: exercises, stubs, known mistakes; read, checked and put together."""
