"""A softphone in a page (`phone.js`), for tests that drive it in a real browser."""
