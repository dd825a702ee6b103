"""What to run when there is a GPU for half an hour: `make gpu` (docs/scale.md)."""
