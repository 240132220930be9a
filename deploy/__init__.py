"""What brings the service up beside the programs that watch it."""
