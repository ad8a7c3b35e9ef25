"""Pictures: where they come from.

photos   the real photographs of the course, offline, and your own
perturb  turn, zoom, blur, relight and add noise, and say where each pixel went
"""
