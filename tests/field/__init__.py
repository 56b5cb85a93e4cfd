"""The field: what phones and carriers really send, played to the whole service over real sockets, and seen at the far end."""
