"""From SIFT to LLaVA: small, proven implementations of the ideas behind visual representations.

A house with four floors; a room imports only from floors below it:

    3  exercises
    2  features | evaluate  show          (papers on the left never import protocol on the right)
    1  data
    0  blocks
"""

__version__ = "0.1.0"
