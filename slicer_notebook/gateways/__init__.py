"""Other programs' protocols, spoken in Slicer's process: each a class found by an entry point (`commands.gateway`)."""
