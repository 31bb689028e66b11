"""What measuring costs: LoadGen through the agent beside the engine by itself, and without one."""
