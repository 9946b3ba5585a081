"""The command line: builds settings, calls one function, prints events."""
