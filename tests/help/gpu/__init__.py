"""Stand-ins for GPUs, drivers, TensorRT and whole machines, and plans that are really built."""
