"""Exercises that say which mistake was made.

    engine   what an exercise is, and the check that runs it
    mutants  small wrong versions of a solution, made by machine
    quiz     questions with an answer to every choice
    start    the exercises of 00_start
    sift     the exercises of 01_sift
    surf     the exercises of 02_surf
    brief    the exercises of 03_brief
    matching  the exercises of 04_matching
"""
