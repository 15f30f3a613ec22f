"""What `make` runs: set-up, the demo, the licence check. Not part of the installed package."""
