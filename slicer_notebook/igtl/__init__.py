"""OpenIGTLink: messages and their contents, and the sockets they travel on. No Slicer."""
