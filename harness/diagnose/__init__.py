"""Why: symptom, cause, remedy."""
