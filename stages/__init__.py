"""What DVC runs: each script parses, calls the package and lets it write."""
