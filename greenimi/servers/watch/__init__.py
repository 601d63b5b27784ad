"""What is known of a running worker, and who is told: blocked loops, statistics, metrics, health."""
