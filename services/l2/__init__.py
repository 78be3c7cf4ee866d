"""Verified order books: venue sockets in, book topics out."""
