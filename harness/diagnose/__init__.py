"""Why: symptom, cause, remedy. Rules over the facts of windows; pure, measures nothing, decides nothing."""
