"""Reference programs, written from docs/figures.md alone, that the product is compared with."""
