"""What works on this machine: each thing is tried in small, and what does not work comes with what to do."""
