"""A variant to a running service: render, build, backends, inspection."""
