"""Runs in Slicer: the agent, the applications (headless or desktop), views and capture, the kernel's start."""
