"""What must survive a restart: the record of each generation."""
