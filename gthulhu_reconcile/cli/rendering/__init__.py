"""Pure functions from values to what is printed. No streams, no clock, no environment."""
