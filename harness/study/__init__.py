"""What was asked: the study file, the knob table, and what targets declare."""

from harness.study.loader import json_schema, load

__all__ = ["json_schema", "load"]
