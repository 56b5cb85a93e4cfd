"""The state of an exchange, what can be computed from it, and the fold that alone changes it (DESIGN.md §3)."""
