"""The objective, the rules that are built from it, how alerts are routed, and what to do about each."""
