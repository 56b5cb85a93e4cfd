"""State machines of the core, one file and one table each; `kit` says how to read them, docs/diagrams draws them."""
