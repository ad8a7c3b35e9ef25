"""Assignments: handed out, checked by the student, handed in, judged without trusting anybody.

What a lecturer hands out and a student hands in:

assignment        what is asked, how many points it earns, what being late costs
secret            the lecturer's secret, from which hidden seeds and variants follow
"""
