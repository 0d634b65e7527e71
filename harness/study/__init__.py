"""What was asked: the study file, the knob table, and what targets declare."""

from harness.study.editor import json_schema
from harness.study.loader import load

__all__ = ["json_schema", "load"]
