"""Pictures that answer a slider, and leave a picture behind. It knows no paper.

For lessons:

    images       pictures and figures with alternative text
    matches      keypoints and matches, drawn fast
    curves       curves with their controls
    training     the loss while it falls, live in the cell
    attention    attention over a picture, tokens as colours
    embeddings   features as a map, matrices of what looks alike
    passport     all methods in one radar and one table
    widgets      live: sliders that redraw a picture; scrubber: frames under a slider
    picker       click a keypoint and see what is behind it
    photo_input  a photograph of the course, a file of your own, or the webcam
    source       the library's own source, shown in a lesson
    palette      colours that everyone can tell apart; numbers as pictures
    tiles        pictures beside each other, larger or smaller

Behind them:

    screen       the picture that a live widget draws on
    controls     sliders, buttons and menus from plain values
    attempt      runs a drawing function, turns its errors into a sentence
    encoding     pictures as PNG or JPEG, whichever is smaller
"""
