"""What is known of the providers: how to speak to each, and how to read what it says."""
