"""Pictures: where they come from.

    photos   the real photographs of the course, offline, and your own
"""
