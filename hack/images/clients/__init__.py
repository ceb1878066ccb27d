"""The image of clients that are not Python."""
