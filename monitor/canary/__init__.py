"""Canaries: generations on a timetable, so that there is a signal without traffic, within a spending limit."""
