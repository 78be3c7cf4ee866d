"""What `make` installs, and how: the locks, the folder .venv, and why an installation failed."""
