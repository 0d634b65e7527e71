"""harness: evidence instead of folklore for the settings of Tokio runtimes."""

__version__ = "0.1.0"
