"""Arrays and text <-> ids."""
