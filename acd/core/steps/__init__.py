"""What a decision is made of: each module one thing that can be done while an input is decided; `step` is what they all work with."""
