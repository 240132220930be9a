"""Shipped doubles: virtual time, a scripted provider, a store in memory. For tests of this project and of its users."""
