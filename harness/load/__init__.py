"""A service to samples: profile, schedule, and the Locust child process."""
