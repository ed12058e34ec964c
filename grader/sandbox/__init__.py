"""What runs beside the code under test, in its process: inputs, observations, loading, confinement."""
