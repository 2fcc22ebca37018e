"""TensorRT plans: the build target, the build, and the step that publishes a plan."""
