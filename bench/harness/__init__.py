"""What every bench needs: take turns, measure a process, find the peers, write a dated result.

The measuring process imports nothing large here: a child's figures are to be its own.
"""
