"""Read YAML 1.2 files into plain values, with the line of every value for error messages.

Others take `reader.read_yaml`; nothing here knows what params.yaml means.
"""
