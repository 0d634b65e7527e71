"""What the windows mean: rank tests, intervals, noise, effects, guards, the verdict.

Pure functions of numbers and ledger records to frozen records. Nothing here decides what runs next, reads a clock or a
file, or turns something unknown into a positive statement.
"""
