"""Timed comparisons of greenimi with other servers; `scripts/bench --help` tells how to run them."""
