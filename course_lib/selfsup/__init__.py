"""Learning without labels: what a picture's own crops, copies and holes can teach.

simclr  two views of a picture agree, all other pictures repel (Chen et al. 2020)
dino    a student names what its own slow average sees in other crops (Caron et al. 2021)
mae     three quarters of the patches are hidden, the rest must tell them (He et al. 2022)
"""
