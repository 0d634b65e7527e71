"""What happened: the run folder, its append-only ledger, its lock, and what it was made with."""
