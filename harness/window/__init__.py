"""One window: the order of events, the server's side, the host, the gates, the measurement."""
