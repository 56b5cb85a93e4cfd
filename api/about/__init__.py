"""About the service itself: health, metrics, state, whether it is the demonstration. `routes` alone; nobody else needs anything of it."""
