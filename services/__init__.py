"""The processes of Bookrunner; they meet only on topics."""
