"""Pure choice: who could take a contact, who gets it, and the proof of it; what a speech channel costs; how long a wait will be."""
