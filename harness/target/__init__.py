"""A variant -> a running service: rendering, building, two backends, and what can be read from a running one."""
